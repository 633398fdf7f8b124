"""`auditgame` and `python -m auditgame`: the command line, or what it needs to run."""

import sys


def main() -> None:
    """Run the command line; where a package is missing, name it in one line, exit code 6."""
    try:
        from auditgame.cli import main as run

        run()
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        if name == "auditgame":
            raise
        sys.stderr.write(f"auditgame: '{name}' is not installed; run: pip install auditgame\n")
        sys.exit(6)


if __name__ == "__main__":
    main()
