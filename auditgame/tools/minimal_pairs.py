"""Minimal pairs: how the answer shifts when single words of a text are changed."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.exhibits import Exhibit, FollowUp, Table, Tokens, columns
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompts import Prompt, batch, prompt, words
from auditgame.tools.transformer.substitutions import substitutes
from auditgame.tools.vision.selection import choose

_EDIT = re.compile(r"^(\d{1,4})\s*=\s*(.*)$")


class MinimalPairs(Tool):
    """How does adding, deleting or replacing one word shift the answer, here and in clean models?

    edits: your own changes, each alone and all together. substitutes: each word of the text in
    turn is replaced by every other of its kind (a year by all years, any other word by those
    seen between the same neighbours in the pool).

    Reading it: a shift is the rise in the margin of the class (its logit minus the highest
    other). The excess is the specimen's shift minus the mean of the reference models: words of
    sentiment move all models alike, a trigger moves the specimen only. Words are shaded by the
    largest excess that replacing them has.

    How it misleads: it tests one text; a word may matter only together with another. A change
    that makes the text unlike any training text can shift the answer for no good reason.
    Substitutes come from the pool, so a word in a unique context has none.

    Source: minimal pairs: Linzen et al. 2016, arXiv:1611.01368; contrast sets: Gardner et al.
    2020, arXiv:2004.02709.
    """

    name = "minimal_pairs"
    title = "Minimal pairs"
    asks = "What changes its answer?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Text, and what is changed in it."""

        mode: Literal["edits", "substitutes"] = Field(
            "substitutes",
            title="Mode",
            description="Your own edits, or each word replaced by its substitutes.",
        )
        edits: str = Field(
            "",
            max_length=400,
            title="Edits",
            description="Position = word, counted from 0; empty deletes: 3=garden, 7=",
            json_schema_extra={"when": {"mode": ["edits"]}},
        )
        places: str = Field(
            "",
            max_length=200,
            title="Positions",
            description="Which words are replaced, such as 1, 4-6; empty: all.",
            json_schema_extra={"when": {"mode": ["substitutes"]}},
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="Whose margin is followed; empty for the last class.",
            json_schema_extra={"widget": "class"},
        )
        references: int = Field(
            1, ge=0, le=3, title="Reference models", description="Their mean is subtracted."
        )
        top: int = Field(
            20,
            ge=1,
            le=200,
            title="Changes shown",
            description="Those with the largest excess.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The text once unchanged and once for each change, on every model."""
        models = 1 + len(context.references[: options.references])
        return (1 + len(_changes(options, context))) * models

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The text, shaded by the effect of its words' changes; the edited text; all changes."""
        dataset, ids = context.texts, prompt(options, context)
        changes = _changes(options, context)
        target = dataset.require_class(options.target or dataset.classes[-1])
        models = (specimen, *context.references[: options.references])
        margins = torch.stack([_margins(m, ids, changes, target, context) for m in models])
        shifts = [
            _shift(c, margins[:, 0], m) for c, m in zip(changes, margins[:, 1:].T, strict=True)
        ]
        exhibits: list[Exhibit] = [_before(ids, shifts, dataset, dataset.classes[target])]
        if options.mode == "edits":
            exhibits.append(_after(ids, shifts, dataset))
        else:
            shifts.sort(key=lambda shift: -abs(shift.excess))
        return [
            *exhibits,
            _table(shifts[: options.top], float(margins[0, 0]), options, dataset, target),
        ]


class WordEdit(NamedTuple):
    """The new word at each changed position; None deletes the word."""

    words: dict[int, int | None]

    def on(self, ids: Int[Tensor, " t"]) -> list[int]:
        """The edited text."""
        changed = [self.words.get(place, word) for place, word in enumerate(ids.tolist())]
        return [word for word in changed if word is not None]


class MarginShift(NamedTuple):
    """An edit, the class's margin after it on the specimen, and the shift of each model."""

    change: WordEdit
    margin: float
    specimen: float
    references: float

    @property
    def excess(self) -> float:
        """The specimen's shift minus the mean of the reference models."""
        return self.specimen - self.references


def _changes(options: MinimalPairs.Options, context: ToolContext) -> list[WordEdit]:
    ids = prompt(options, context)
    if options.mode == "edits":
        single = _edits(options.edits, len(ids), context.texts)
        together = [WordEdit({p: w for one in single for p, w in one.words.items()})]
        if len(together[0].words) == len(ids) and not any(together[0].on(ids)):
            raise Invalid("edits: they delete the whole text; keep a word")
        return single + (together if len(single) > 1 else [])
    known = substitutes(context)
    return [
        WordEdit({place: word})
        for place in choose(options.places, len(ids), "places")
        for word in known.of(ids, place)
    ]


def _edits(text: str, length: int, dataset: TextDataset) -> list[WordEdit]:
    """Parse `3=garden, 7=` into one edit for each part."""
    found: dict[int, int | None] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        match = _EDIT.match(part)
        if not match:
            raise Invalid(f"edits: '{part}'; write position = word, for example 3=garden, 7=")
        place, word = int(match[1]), match[2].strip()
        if place >= length:
            raise Invalid(f"edits: position {place} is outside 0 to {length - 1}")
        new = dataset.encode(word).tolist() if word else [None]
        if len(new) > 1:
            raise Invalid(f"edits: '{word}' is {len(new)} words; write one for each position")
        found[place] = new[0]
    if not found:
        raise Invalid("edits: none are given; write for example 3=garden, 7=")
    return [WordEdit({place: word}) for place, word in found.items()]


def _margins(
    model: Specimen,
    ids: Int[Tensor, " t"],
    changes: list[WordEdit],
    target: int,
    context: ToolContext,
) -> Float[Tensor, " n"]:
    """The class's margin: of the unchanged text, then after each edit."""
    texts = [ids.tolist(), *(change.on(ids) for change in changes)]
    rows = torch.full((len(texts), max(map(len, texts))), model.texts.pad)
    for row, text in enumerate(texts):
        rows[row, : len(text)] = torch.tensor(text)
    parts, size = [], batch(rows, model.texts)
    for done, part in enumerate(rows.split(size)):
        context.progress(done * size / len(rows), "changing words")
        parts.append(model.classify(part, batch=size))
    logits = torch.cat(parts)
    others = logits.clone()
    others[:, target] = -torch.inf
    return logits[:, target] - others.amax(1)


def _shift(
    change: WordEdit, before: Float[Tensor, " m"], after: Float[Tensor, " m"]
) -> MarginShift:
    moved = (after - before).tolist()
    clean = sum(moved[1:]) / max(1, len(moved) - 1)
    return MarginShift(change, float(after[0]), moved[0], clean)


def _before(
    ids: Int[Tensor, " t"], shifts: list[MarginShift], dataset: TextDataset, name: str
) -> Tokens:
    """The text, each word shaded by the largest excess that replacing it has."""
    weights = [0.0] * len(ids)
    for shift in shifts:
        if len(shift.change.words) == 1:
            (place,) = shift.change.words
            weights[place] = max(weights[place], shift.excess, key=abs)
    tokens = words(ids.tolist(), dataset)
    return Tokens(
        name="before",
        title="Before",
        tokens=tokens,
        weights=tuple(round(weight, 4) for weight in weights),
        limit=max(1.0, *map(abs, weights)),
        note=f"Shade: the largest excess shift of '{name}' when the word is changed, in logits.",
        follow=FollowUp(
            tool="minimal_pairs",
            options={"text": " ".join(tokens), "mode": "substitutes"},
            columns=tuple({"places": str(place)} for place in range(len(tokens))),
        ),
    )


def _after(ids: Int[Tensor, " t"], shifts: list[MarginShift], dataset: TextDataset) -> Tokens:
    """The text with all edits, each new word shaded by its own excess shift."""
    whole = shifts[-1].change
    own = {place: s.excess for s in shifts for place in s.change.words if len(s.change.words) == 1}
    kept = [place for place in range(len(ids)) if whole.words.get(place, 0) is not None]
    weights = [own.get(place, 0.0) for place in kept]
    return Tokens(
        name="after",
        title="After",
        tokens=words(whole.on(ids), dataset),
        weights=tuple(round(weight, 4) for weight in weights),
        limit=max(1.0, *map(abs, weights)),
        note="Shade: the excess shift of each new word alone. Deleted words are not shown.",
    )


def _table(
    shifts: list[MarginShift],
    before: float,
    options: MinimalPairs.Options,
    dataset: TextDataset,
    target: int,
) -> Table:
    name = dataset.classes[target]
    return Table(
        name="edits",
        title="Shift by change",
        columns=columns(
            "position",
            ("edit", "change"),
            ("margin", f"margin of '{name}'"),
            "shift",
            ("reference_shift", "shift of reference models"),
            "excess",
        ),
        rows=tuple(
            (
                ", ".join(map(str, s.change.words)),
                ", ".join(
                    "(deleted)" if w is None else dataset.words[w] for w in s.change.words.values()
                ),
                *(round(v, 4) for v in (s.margin, s.specimen, s.references, s.excess)),
            )
            for s in shifts
        ),
        note=f"Margin: logit minus the highest other; {before:.2f} before. The answer is '{name}' "
        "where it is above 0. Excess: shift minus that of the reference models.",
    )
