"""A claim shown at work: fresh inputs before and after it is enacted, with the answers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from auditgame.desk import Desk
from auditgame.types import Exhibit, Gallery, Reveal, Table, Tile

SHOWN = 6
DRAWN = 40


def demonstrate(desk: Desk, revealed: Reveal) -> list[Exhibit]:
    """The true claim on a few inputs that nobody has seen; kept for the next visitor."""
    return _demonstrate(desk.card.id, desk, revealed.truth)


@st.cache_data(max_entries=64, show_spinner=False)
def _demonstrate(challenge: str, _desk: Desk, _truth: object) -> list[Exhibit]:
    from auditgame.catalog import load

    claim = load("flaw", _truth.family).Claim.parse(_truth.claim)
    rows = _desk.dataset.sample(DRAWN, "held", np.random.default_rng(0))
    enacted = claim.enact(rows, _desk.dataset)
    usable = (enacted.targets >= 0).nonzero()[:SHOWN, 0]
    before, after = rows.take(usable), enacted.examples.take(usable)
    answers = [_desk.specimen.predict(part.inputs).tolist() for part in (before, after)]
    draw = _pictures if _desk.card.modality == "image" else _texts
    return [draw(_desk, before, after, answers)]


def _pictures(desk: Desk, before, after, answers) -> Gallery:
    from auditgame.pictures import png

    names = desk.dataset.classes
    tiles = [
        Tile(
            png=png(part.inputs[i]),
            label=f"{names[label]}: answer {names[said[i]]}",
            note=note,
            tone="good" if said[i] == label else "bad",
        )
        for part, said, note in ((before, answers[0], "as it is"), (after, answers[1], "with the flaw's cue"))
        for i, label in enumerate(before.labels.tolist())
    ]
    return Gallery(title="Before, and after", tiles=tuple(tiles), columns=SHOWN)


def _texts(desk: Desk, before, after, answers) -> Table:
    names = desk.dataset.classes
    rows = [
        (desk.dataset.decode(after.inputs[i]), names[label], names[answers[0][i]], names[answers[1][i]])
        for i, label in enumerate(before.labels.tolist())
    ]
    columns = ("text, with the cue in it", "right", "answer without", "answer with")
    return Table(title="Before, and after", columns=columns, rows=tuple(rows))
