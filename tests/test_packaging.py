"""What is declared is used, what is used is declared, and what the game needs is in the wheel."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from auditgame import paths
from auditgame.cli import health
from tests.conftest import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCKS = {
    name: (CHECKOUT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock")
}
LOADED_BY_NAME = {"psycopg"}
"""SQLAlchemy imports the driver that the URL names."""


def plain(name: str) -> str:
    """A distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def declared(*groups: str) -> set[str]:
    """The distributions that the project names: dependencies, or those of extras."""
    project = PROJECT["project"]
    lines = project["dependencies"] if not groups else []
    for group in groups:
        lines = [*lines, *project["optional-dependencies"][group]]
    return {plain(line) for line in lines}


def imports() -> Iterator[str]:
    """The name of every package from outside that the package or its front script imports."""
    for file in [*(CHECKOUT / "auditgame").rglob("*.py"), CHECKOUT / "streamlit_app.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module.partition(".")[0]


def used() -> set[str]:
    """The distributions behind these imports."""
    known = packages_distributions()
    outside = set(imports()) - sys.stdlib_module_names - {"auditgame"}
    return {plain(known.get(name, [name])[0]) for name in outside}


def pins(lock: str) -> dict[str, str]:
    """Version by name."""
    lines = [line.split()[0] for line in LOCKS[lock].splitlines()]
    return {plain(line): line.split("==")[1] for line in lines}


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    extras = declared("hf", "postgres")
    assert used() - extras == declared()
    assert extras - used() == LOADED_BY_NAME


def test_the_version_stands_in_one_place() -> None:
    from auditgame import __version__

    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "auditgame/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_wheel_holds_what_is_read_from_the_checkout() -> None:
    placed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all(target == f"auditgame/_content/{source}" for source, target in placed.items())
    read = [paths.practice(), paths.baselines(), paths.front_script()]
    read += [paths.recipes()[0], paths.references()[0], CHECKOUT / ".streamlit" / "config.toml"]
    assert {str(path.relative_to(CHECKOUT)) for path in read} == placed.keys()
    assert all(path.exists() for path in read)


def test_type_checkers_may_rely_on_the_package() -> None:
    assert (CHECKOUT / "auditgame" / "py.typed").is_file()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_versions_and_hashes_and_no_address(lock: str) -> None:
    assert "://" not in LOCKS[lock]
    for line in LOCKS[lock].splitlines():
        pin, *hashes = line.split()
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.+!-]+", pin)
        assert bool(hashes) != pin.startswith(("torch==", "torchvision=="))
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)


def test_what_runs_is_locked_without_what_develops() -> None:
    runs, develops = pins("requirements.lock"), pins("requirements-dev.lock")
    assert declared() <= runs.keys()
    assert runs.items() < develops.items()
    groups = PROJECT["dependency-groups"].values()
    tools = {plain(line) for group in groups for line in group}
    assert tools <= develops.keys()
    assert not runs.keys() & (tools | declared("hf", "postgres"))


def test_the_doctor_looks_for_what_is_declared() -> None:
    assert {plain(name) for name in health.needed()} == declared()


def test_the_doctor_says_which_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise health.PackageNotFoundError(name)

    monkeypatch.setattr(health, "version", missing)
    with pytest.raises(health.AuditgameError, match=r"not installed: .*torch.*pip install"):
        health.require_packages()
    states = {check.what: check.state for check in health.health_checks()}
    assert states["torch"] == "missing" and states["transformers"] == "missing"


def test_paths_in_the_project_file_exist() -> None:
    for source in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (CHECKOUT / source.lstrip("/")).exists(), source
    assert all(list(CHECKOUT.glob(pattern)) for pattern in PROJECT["project"]["license-files"])
