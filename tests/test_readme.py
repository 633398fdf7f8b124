"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from auditgame import paths

README = (paths.checkout() / "README.md").read_text()
ROOT = Path(__file__).parents[1]


def test_the_eight_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{tmp_path}/game.db")
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    exec(compile(code, "README.md", "exec"), {})
    points, confession = capsys.readouterr().out.split(" ", 1)
    assert 0 < float(points) <= 100
    assert "pattern" in confession


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(path):
    assert (ROOT / path).exists()


def test_the_tree_names_what_is_there():
    tree = README.split("## Where things are")[1].split("```")[1]
    named = re.findall(r"([a-z_]+\.py)", tree)
    assert named
    for name in named:
        assert (ROOT / "auditgame" / name).exists(), name


def test_every_verb_is_told():
    import typer

    from auditgame.cli import app

    for name in typer.main.get_command(app).commands:
        told = README + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
        assert f"auditgame {name}" in told, name


def test_the_board_is_fresh():
    from docs.make import board

    shown = README.split("<!-- board: written by docs/make.py -->\n")[1]
    assert shown.split("<!-- end of board -->")[0] == board()


def test_every_family_of_the_pack_is_found_by_some_auditor_and_the_page_says_so():
    from docs.make import AUDITORS, auditors, played

    table = played()
    assert AUDITORS.read_text() == "\n".join(auditors(table)) + "\n"
    best = table[table.family != "clean"].groupby(["family", "player"]).points.mean()
    assert (best.groupby("family").max() >= 60).all()
