"""A saliency map never stands alone: it is shown beside the checks it must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.attribution import agreement, edges, stages
from auditgame.pictures import png
from auditgame.seeds import Seed
from auditgame.selection import choose
from auditgame.specimen import Specimen
from auditgame.tools import Material
from auditgame.types import AuditgameError, Exhibit, HeatMap, Record, Table

Explain = Callable[[Specimen, Float[Tensor, "n c h w"], Int[Tensor, " n"]], Float[Tensor, "n h w"]]
"""A method: maps, at the pictures' size, for these pictures and classes of this model."""

REDRAWN = 2
"""With the checks, a method runs on this many further networks."""


class SaliencyOptions(Record):
    """What every saliency map asks for: which pictures, which class."""

    examples: Annotated[
        str,
        Field(
            title="Examples",
            description="Numbers and ranges from the pool, such as 0-3, 40. At most 16.",
            max_length=400,
            json_schema_extra={"widget": "example"},
        ),
    ] = "0-3"
    picture: Annotated[
        bool,
        Field(
            title="Use my picture",
            description="Explain the uploaded picture instead of the pool.",
            json_schema_extra={"widget": "picture"},
        ),
    ] = False
    label: Annotated[
        str,
        Field(
            title="Class",
            description="Explain this class; empty for the one the model answers.",
            max_length=64,
            json_schema_extra={"widget": "class"},
        ),
    ] = ""
    check: Annotated[
        bool,
        Field(
            title="Sanity checks",
            description="Repeat on networks with redrawn weights. Three times the probes.",
        ),
    ] = True


class Subjects(NamedTuple):
    """Pictures to explain, and a name for each."""

    images: Float[Tensor, "n c h w"]
    names: list[str]


def subjects(options: SaliencyOptions, material: Material) -> Subjects:
    """Which pictures are meant? At most 16; AuditgameError where there are none or more."""
    if options.picture:
        if material.picture is None:
            raise AuditgameError("picture: none is uploaded; add one, or choose from the pool")
        return Subjects(material.picture[None], ["your picture"])
    rows = choose(options.examples, len(material.examples), "examples")
    if len(rows) > 16:
        raise AuditgameError(f"examples: {len(rows)} chosen; choose at most 16")
    return Subjects(material.examples.inputs[rows], [f"#{row}" for row in rows])


def probes(options: SaliencyOptions, material: Material, per_picture: int) -> int:
    """What do the maps cost, the model's own answer and the checks included?"""
    n = len(subjects(options, material).names)
    return n * (1 + per_picture * (1 + REDRAWN * options.check))


def shown(
    method: str,
    explain: Explain,
    specimen: Specimen,
    material: Material,
    options: SaliencyOptions,
) -> list[Exhibit]:
    """Maps of the specimen on one scale; then, for the check, of redrawn networks, and a table.

    The check redraws the output layer alone, then every layer (Adebayo et al. 2018,
    arXiv:1810.03292), and compares ranks of absolute values with an edge detector's too.
    """
    images, names = subjects(options, material)
    answers = specimen.predict(images)
    labels = answers.clone()
    if options.label:
        labels[:] = specimen.dataset.require_class(options.label, "label")
    words = [
        f"{name}, for {specimen.dataset.classes[int(label)]}"
        for name, label in zip(names, labels, strict=True)
    ]
    maps = explain(specimen, images, labels)
    exhibits: list[Exhibit] = _heatmaps(method, maps, images, words)
    if options.check:
        twins = [explain(redrawn, images, labels) for redrawn in _redrawn(specimen)]
        exhibits += _heatmaps(f"Check, every layer redrawn: {method}", twins[-1], images, words)
        exhibits.append(_table(maps, twins, images, words))
    return exhibits


def _redrawn(specimen: Specimen) -> list[Specimen]:
    rng = torch.Generator().manual_seed(Seed.of(0).child("redrawn weights").integer())
    return [specimen.randomised(count, rng) for count in (1, stages(specimen))]


def _heatmaps(
    title: str, maps: Float[Tensor, "n h w"], images: Tensor, words: Sequence[str]
) -> list[Exhibit]:
    limit = float(maps.abs().max()) or 1.0
    return [
        HeatMap(
            title=f"{title} of {word}",
            png=png(image),
            values=tuple(tuple(round(v, 6) for v in row) for row in values.tolist()),
            limit=limit,
            note=f"Raw signed values, {values.min():.3g} to {values.max():.3g}.",
        )
        for values, image, word in zip(maps, images, words, strict=True)
    ]


def _table(
    maps: Float[Tensor, "n h w"],
    twins: Sequence[Float[Tensor, "n h w"]],
    images: Float[Tensor, "n c h w"],
    words: Sequence[str],
) -> Table:
    rows = []
    for i, word in enumerate(words):
        others = [agreement(maps[i], twin[i]) for twin in twins]
        others.append(agreement(maps[i], edges(images[i])))
        rows.append((word, *(None if r is None else round(r, 3) for r in others)))
    return Table(
        title="Does the map depend on the model?",
        columns=("picture", "output layer redrawn", "every layer redrawn", "edge detector"),
        rows=tuple(rows),
        note="Spearman correlation of absolute values. Near 1 in the second or third column: "
        "the map says little about what was learnt. Empty: one of the maps is constant.",
    )
