"""Programs find exhibits, columns and series by name: titles may be reworded at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from auditgame import Game, paths
from auditgame.exhibits import Column, Curve, Exhibit, Grid, Note, Table, columns
from auditgame.exhibits.reading import find, find_all, rows
from auditgame.play.audit_session import AuditSession, ToolRun
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest

EXHIBITS: TypeAdapter[list[Exhibit]] = TypeAdapter(list[Exhibit])
STORED = [
    {
        "kind": "table",
        "title": "Effect beyond",
        "columns": ["effect", "at least"],
        "rows": [[0.9, 0.8]],
        "note": "",
    },
    {
        "kind": "curve",
        "title": "Margins",
        "series": {"sibling 1": [[0.0, 1.0]]},
        "x_axis": "",
        "y_axis": "",
        "note": "",
    },
    {"kind": "note", "title": "Found", "text": "nothing"},
]
"""Exhibits as databases hold them that were written before exhibits had names."""


def test_what_an_older_version_stored_keeps_its_digest() -> None:
    opened = EXHIBITS.validate_json(json.dumps(STORED))
    assert [digest(e.model_dump(mode="json")) for e in opened] == list(map(digest, STORED))
    table, curve, _ = opened
    assert table.columns[1] == Column("at least", "at least") and table.name == ""
    assert curve.heading("sibling 1") == "sibling 1"


def test_names_survive_storage_and_titles_are_shown() -> None:
    table = Table(
        name="effect",
        title="Effect",
        columns=columns("effect", "effect_low", ("class", "goes to")),
        rows=((0.9, 0.8, "cat"),),
    )
    curve = Curve(
        name="lines", title="", series={"class_0": ((0.0, 1.0),)}, titles={"class_0": "cat"}
    )
    assert (
        table.headings == ("effect", "effect low", "goes to") and curve.heading("class_0") == "cat"
    )
    assert EXHIBITS.validate_json(EXHIBITS.dump_json([table, curve])) == [table, curve]
    assert rows([curve, table], "effect") == [{"effect": 0.9, "effect_low": 0.8, "class": "cat"}]


def test_several_exhibits_may_share_a_name() -> None:
    notes = [Note(name="wrong_answers", title=title, text="") for title in "ab"]
    assert find_all(notes, "wrong_answers") == notes
    assert find(notes, "wrong_answers", Note) is notes[0]
    with pytest.raises(AuditgameError, match=r"no grid is named 'wrong_answers'; .*\(note\)"):
        find(notes, "wrong_answers", Grid)


@pytest.mark.parametrize("name", ["Effect", "two words", "1st"])
def test_a_name_is_an_identifier(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Note(name=name, title="", text="")


# ------------------------------------------------------ playing by names alone


def reworded(exhibit: Exhibit, number: int) -> Exhibit:
    """The exhibit under other words, wherever it has a title."""
    other: dict[str, Any] = {"title": f"title {number}"}
    if isinstance(exhibit, Table):
        heads = (Column(c.name, f"column {n}") for n, c in enumerate(exhibit.columns))
        other["columns"] = tuple(heads)
    if isinstance(exhibit, Curve):
        other["titles"] = {name: f"line {n}" for n, name in enumerate(exhibit.series)}
    return exhibit.model_copy(update=other)


@pytest.mark.parametrize(
    "challenge, auditor",
    [("digits-222bd940", "detective"), ("reviews-aa5af4d5", "word_sweep")],
)
def test_auditors_score_the_same_when_every_title_is_reworded(
    challenge: str, auditor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Game(packs=[paths.practice()], database=f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    first = game.open(challenge, "first")
    plain = first.submit(load("auditor", auditor)().audit(first))
    asked, seen = AuditSession.run_tool, 0

    def run_tool(session: AuditSession, tool: str, **options: Any) -> ToolRun:
        nonlocal seen
        used = asked(session, tool, **options)
        seen += len(used.exhibits)
        return used._replace(exhibits=[reworded(e, n) for n, e in enumerate(used.exhibits)])

    monkeypatch.setattr(AuditSession, "run_tool", run_tool)
    second = game.open(challenge, "second")
    other = second.submit(load("auditor", auditor)().audit(second))
    assert seen > 0 and plain.diagnosis.family is not None
    assert other.diagnosis == plain.diagnosis and other.score == plain.score
