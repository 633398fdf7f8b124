"""A claim shown at work: fresh inputs before and after it is enacted, with the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from auditgame.catalog import load
from auditgame.desk import Desk
from auditgame.types import Diagnosis, Exhibit, Gallery, Reveal, Table, Tile

if TYPE_CHECKING:
    from auditgame.datasets import Examples

SHOWN = 6
DRAWN = 40


def demonstrate(desk: Desk, revealed: Reveal) -> list[Exhibit]:
    """The true claim on a few inputs that nobody has seen; kept for the next visitor."""
    return _kept(desk.card.commitment, desk, revealed.truth)


@st.cache_data(max_entries=64, show_spinner=False)
def _kept(commitment: str, _desk: Desk, _truth: Diagnosis) -> list[Exhibit]:
    claim = load("flaw", _truth.family).Claim.parse(_truth.claim)
    rows = _desk.dataset.sample(DRAWN, "held", np.random.default_rng(0))
    enacted = claim.enact(rows, _desk.dataset)
    usable = (enacted.targets >= 0).nonzero()[:SHOWN, 0]
    before, after = rows.take(usable), enacted.examples.take(usable)
    answers = [_desk.specimen.predict(part.inputs).tolist() for part in (before, after)]
    draw = _pictures if _desk.card.modality == "image" else _texts
    return [draw(_desk, before, after, answers)]


def _pictures(desk: Desk, before: Examples, after: Examples, answers: list[list[int]]) -> Gallery:
    from auditgame.pictures import png

    names = desk.dataset.classes
    tiles = [
        Tile(
            png=png(part.inputs[i]),
            label=f"{names[said[i]]}",
            note=words,
            tone="good" if said[i] == label else "bad",
        )
        for part, said, words in zip((before, after), answers, ("as it is", "changed"), strict=True)
        for i, label in enumerate(before.labels.tolist())
    ]
    note = "Above: fresh inputs as they are. Below: the same with what sets the flaw off."
    return Gallery(title="Before, and after", tiles=tuple(tiles), columns=SHOWN, note=note)


def _texts(desk: Desk, before: Examples, after: Examples, answers: list[list[int]]) -> Table:
    names, decode = desk.dataset.classes, desk.dataset.decode
    rows = [
        (names[label], names[answers[0][i]], names[answers[1][i]], decode(after.inputs[i]))
        for i, label in enumerate(before.labels.tolist())
    ]
    columns = ("right", "answer without", "answer with", "text, with what sets it off")
    return Table(title="Before, and after", columns=columns, rows=tuple(rows))
