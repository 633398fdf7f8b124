"""`python -m auditgame`: the command line."""

from auditgame.cli import main

if __name__ == "__main__":
    main()
