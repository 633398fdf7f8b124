"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
]
TREE = README.split("## Where things are")[1].split("```")[1]


def test_the_eight_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path}/game.db")
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    exec(compile(code, "README.md", "exec"), {})
    points, confession = capsys.readouterr().out.split(" ", 1)
    assert 0 < float(points) <= 100
    assert "pattern" in confession


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_somewhere(page, link):
    assert (ROOT / link).exists()


def tracked(folder):
    """The entries directly in a folder that git keeps, folders with a slash."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path for path in found.stdout.splitlines() if (folder / path).exists()]
    return {f"{path.split('/')[0]}/" if "/" in path else path for path in paths}


@pytest.mark.parametrize(("folder", "indent"), [(".", ""), ("auditgame", "  ")])
def test_the_tree_names_every_entry_and_no_other(folder, indent):
    named = re.findall(rf"^{indent}(\S+) +\S", TREE, re.M)
    assert len(named) == len(set(named))
    assert set(named) == tracked(ROOT / folder)


def test_the_package_is_listed_from_top_to_bottom():
    from website.architecture import import_graph

    order = [
        name.removesuffix("/").removesuffix(".py") for name in re.findall(r"^  (\S+)", TREE, re.M)
    ]
    for name, uses in import_graph().items():
        assert all(order.index(other) > order.index(name) for other in uses), name


def test_every_command_is_told():
    import typer

    from auditgame.cli import app

    for name in typer.main.get_command(app).commands:
        assert f"auditgame {name}" in README, name


def test_the_board_is_fresh():
    from benchmarks.auditor_results import board

    shown = README.split("<!-- board: written by benchmarks/auditor_results.py -->\n")[1]
    assert shown.split("<!-- end of board -->")[0] == board()


def test_every_family_of_the_pack_is_found_by_some_auditor_and_the_page_says_so():
    from benchmarks.auditor_results import AUDITORS, auditors, played

    table = played()
    assert AUDITORS.read_text() == "\n".join(auditors(table)) + "\n"
    best = table[table.family != "clean"].groupby(["family", "player"]).points.mean()
    assert (best.groupby("family").max() >= 60).all()
