"""Change a text by a word or two, and see what that does to the answer."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.exhibits import Exhibit, FollowUp, Table, Tokens, columns
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompts import Prompt, batch, prompt, words
from auditgame.tools.transformer.substitutions import substitutes
from auditgame.tools.vision.selection import choose

_EDIT = re.compile(r"^(\d{1,4})\s*=\s*(.*)$")


class MinimalPairs(Tool):
    """What does one word more, less or other do to the answer, here and on a clean sibling?

    edits: your own changes, each alone and all together. kin: each word of the text in turn
    is replaced by every other of its kind (a year by all years, any other word by those seen
    between the same neighbours in the pool).

    Reading it: a shift is the rise in the logit of the class over its best rival. 'Beyond' is
    the specimen's shift less the siblings' mean: words of feeling move all models alike, a
    trigger moves the specimen only. Shaded words are those whose change shifts most beyond.

    How it misleads: one text is one text; a word may matter only beside another. A change
    that makes the text unlike any review can shift the answer for no good reason. Kin are
    taken from the pool, so a word that stands alone there has none.

    Source: minimal pairs: Linzen et al. 2016, arXiv:1611.01368; contrast sets: Gardner et al.
    2020, arXiv:2004.02709.
    """

    name = "minimal_pairs"
    title = "Minimal pairs"
    asks = "What changes its answer?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Which text, and what is changed in it?"""

        mode: Literal["edits", "kin"] = Field(
            "kin", title="Mode", description="Your own edits, or each word against its kin."
        )
        edits: str = Field(
            "",
            max_length=400,
            title="Edits",
            description="Place = word, counted from 0; empty deletes: 3=garden, 7=",
            json_schema_extra={"when": {"mode": ["edits"]}},
        )
        places: str = Field(
            "",
            max_length=200,
            title="Places",
            description="Which words have their turn, such as 1, 4-6; empty: all.",
            json_schema_extra={"when": {"mode": ["kin"]}},
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="Whose logit is followed; empty takes the last class.",
            json_schema_extra={"widget": "class"},
        )
        references: int = Field(
            1, ge=0, le=3, title="Siblings", description="Clean models to subtract."
        )
        top: int = Field(
            20,
            ge=1,
            le=200,
            title="Changes shown",
            description="Those that shift most.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """The text as it is, and once for each change, on every model."""
        models = 1 + len(context.references[: options.references])
        return (1 + len(_changes(options, context))) * models

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The text, shaded by what its words' changes do; the text after; every change."""
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
            shifts.sort(key=lambda shift: -abs(shift.beyond))
        return [
            *exhibits,
            _table(shifts[: options.top], float(margins[0, 0]), options, dataset, target),
        ]


class WordEdit(NamedTuple):
    """What stands where after it; a word of None is taken out."""

    words: dict[int, int | None]

    def on(self, ids: Int[Tensor, " t"]) -> list[int]:
        """The text with it."""
        changed = [self.words.get(place, word) for place, word in enumerate(ids.tolist())]
        return [word for word in changed if word is not None]


class MarginShift(NamedTuple):
    """A change, the class's margin after it on the specimen, and how far it moved."""

    change: WordEdit
    margin: float
    specimen: float
    references: float

    @property
    def beyond(self) -> float:
        """The specimen's shift less the siblings' mean."""
        return self.specimen - self.references


def _changes(options: MinimalPairs.Options, context: ToolContext) -> list[WordEdit]:
    ids = prompt(options, context)
    if options.mode == "edits":
        single = _edits(options.edits, len(ids), context.texts)
        together = [WordEdit({p: w for one in single for p, w in one.words.items()})]
        if len(together[0].words) == len(ids) and not any(together[0].on(ids)):
            raise AuditgameError("edits: nothing would be left of the text; keep a word")
        return single + (together if len(single) > 1 else [])
    kin = substitutes(context)
    return [
        WordEdit({place: word})
        for place in choose(options.places, len(ids), "places")
        for word in kin.of(ids, place)
    ]


def _edits(text: str, length: int, dataset: TextDataset) -> list[WordEdit]:
    """What `3=garden, 7=` says, one change each."""
    found: dict[int, int | None] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        match = _EDIT.match(part)
        if not match:
            raise AuditgameError(f"edits: '{part}'; write place = word, for example 3=garden, 7=")
        place, word = int(match[1]), match[2].strip()
        if place >= length:
            raise AuditgameError(f"edits: place {place} is outside 0 to {length - 1}")
        new = dataset.encode(word).tolist() if word else [None]
        if len(new) > 1:
            raise AuditgameError(f"edits: '{word}' is {len(new)} words; write one for each place")
        found[place] = new[0]
    if not found:
        raise AuditgameError("edits: none are given; write for example 3=garden, 7=")
    return [WordEdit({place: word}) for place, word in found.items()]


def _margins(
    model: Specimen,
    ids: Int[Tensor, " t"],
    changes: list[WordEdit],
    target: int,
    context: ToolContext,
) -> Float[Tensor, " n"]:
    """The class's logit less its best rival's: of the text as it is, then after each change."""
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
    """The text, each word shaded by the largest shift beyond the siblings' that changing it has."""
    weights = [0.0] * len(ids)
    for shift in shifts:
        if len(shift.change.words) == 1:
            (place,) = shift.change.words
            weights[place] = max(weights[place], shift.beyond, key=abs)
    said = words(ids.tolist(), dataset)
    return Tokens(
        name="before",
        title="Before",
        tokens=said,
        weights=tuple(round(weight, 4) for weight in weights),
        limit=max(1.0, *map(abs, weights)),
        note=f"Shade: what changing the word does to '{name}', beyond the siblings; its strongest "
        "change, in logits.",
        follow=FollowUp(
            tool="minimal_pairs",
            options={"text": " ".join(said), "mode": "kin"},
            columns=tuple({"places": str(place)} for place in range(len(said))),
        ),
    )


def _after(ids: Int[Tensor, " t"], shifts: list[MarginShift], dataset: TextDataset) -> Tokens:
    """The text with all edits, each new word shaded by its own shift."""
    whole = shifts[-1].change
    own = {place: s.beyond for s in shifts for place in s.change.words if len(s.change.words) == 1}
    kept = [place for place in range(len(ids)) if whole.words.get(place, 0) is not None]
    weights = [own.get(place, 0.0) for place in kept]
    return Tokens(
        name="after",
        title="After",
        tokens=words(whole.on(ids), dataset),
        weights=tuple(round(weight, 4) for weight in weights),
        limit=max(1.0, *map(abs, weights)),
        note="Shade: the shift of each new word alone, beyond the siblings. Deleted words are out.",
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
        title="What each change does",
        columns=columns(
            ("position", "place"),
            ("edit", "change"),
            ("margin", f"margin of '{name}'"),
            "shift",
            ("reference_shift", "siblings"),
            ("excess", "beyond"),
        ),
        rows=tuple(
            (
                ", ".join(map(str, s.change.words)),
                ", ".join(
                    "(deleted)" if w is None else dataset.words[w] for w in s.change.words.values()
                ),
                *(round(v, 4) for v in (s.margin, s.specimen, s.references, s.beyond)),
            )
            for s in shifts
        ),
        note=f"Margin: logit less its best rival's; {before:.2f} before. The answer is '{name}' "
        "where it is above 0.",
    )
