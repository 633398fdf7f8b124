"""A saliency map never stands alone: it is shown beside the checks it must beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import heated, png
from auditgame.exhibits import Exhibit, Gallery, HeatMap, Table, Tile, columns
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext
from auditgame.tools.vision.pixel_attribution import agreement, edges
from auditgame.tools.vision.selection import choose

Explain = Callable[[Specimen, Float[Tensor, "n c h w"], Int[Tensor, " n"]], Float[Tensor, "n h w"]]
"""A method: maps, at the pictures' size, for these pictures and classes of this model."""

REDRAWN = {"random_output": 1, "random_weights": None}
"""The check's networks, and how many weight tensors of each are redrawn (None: all)."""
REFERENCE, EDGES = "reference_model", "edges"
TITLES = {
    "": "this model",
    REFERENCE: "clean sibling",
    "random_output": "output layer redrawn",
    "random_weights": "every layer redrawn",
    EDGES: "edge detector",
}
"""What people see for each network, and for the edges."""
MOST, MOST_TOGETHER = 16, 64
"""How many pictures may be explained one by one, and together?"""
AT_ONCE = 4
"""After so many pictures progress is told."""


class SaliencyOptions(Record):
    """What every saliency map asks for: which pictures, which class, beside what."""

    examples: Annotated[
        str,
        Field(
            title="Examples",
            description="Numbers and ranges from the pool, such as 0-3, 40. At most 16, "
            "or 64 together.",
            max_length=400,
            json_schema_extra={"widget": "example"},
        ),
    ] = "0-3"
    together: Annotated[
        bool,
        Field(
            title="Together",
            description="One mean map over these examples, for instance a set of mistakes.",
        ),
    ] = False
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
    reference: Annotated[
        bool,
        Field(
            title="Clean sibling",
            description="The same maps of the first clean sibling. Siblings cost no probes.",
        ),
    ] = True


class Subjects(NamedTuple):
    """Pictures to explain, and a name for each."""

    images: Float[Tensor, "n c h w"]
    names: list[str]


class Seen(NamedTuple):
    """What was explained, and the maps: by method, then by network (the specimen is '').

    words: a name for each picture, and the class it is explained for.
    """

    images: Float[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]
    logits: Float[Tensor, "n k"]
    words: list[str]
    maps: dict[str, dict[str, Float[Tensor, "n h w"]]]


def subjects(options: SaliencyOptions, context: ToolContext) -> Subjects:
    """Which pictures are meant? AuditgameError where there are none, or too many."""
    if options.picture:
        if context.picture is None:
            raise AuditgameError("picture: none is uploaded; add one, or choose from the pool")
        return Subjects(context.picture[None], ["your picture"])
    rows = choose(options.examples, len(context.examples), "examples")
    most = MOST_TOGETHER if options.together else MOST
    if len(rows) > most:
        raise AuditgameError(f"examples: {len(rows)} chosen; choose at most {most}")
    return Subjects(context.examples.inputs[rows], [f"#{row}" for row in rows])


def queries(options: SaliencyOptions, context: ToolContext, per_picture: int) -> int:
    """What do the maps cost, the model's own answer and the checks included?"""
    n = len(subjects(options, context).names)
    return n * (1 + per_picture * (1 + len(REDRAWN) * options.check))


def shown(
    methods: Mapping[str, Explain],
    specimen: Specimen,
    context: ToolContext,
    options: SaliencyOptions,
) -> list[Exhibit]:
    """Maps by each method on one scale; beside each its checks; and how alike they are."""
    return drawn(look(methods, specimen, context, options), options.together)


def look(
    methods: Mapping[str, Explain],
    specimen: Specimen,
    context: ToolContext,
    options: SaliencyOptions,
) -> Seen:
    """Explain the pictures by every method on the specimen and on what it is held against.

    The check redraws the output layer alone, then every layer (Adebayo et al. 2018,
    arXiv:1810.03292).
    """
    images, names = subjects(options, context)
    logits = specimen.classify(images)
    labels = logits.argmax(1)
    if options.label:
        labels[:] = specimen.dataset.require_class(options.label, "label")
    words = [
        f"{name}, for {specimen.dataset.classes[int(label)]}"
        for name, label in zip(names, labels, strict=True)
    ]
    networks = {"": specimen, **dict(_beside(specimen, context, options))}
    maps: dict[str, dict[str, Tensor]] = {method: {} for method in methods}
    total = len(methods) * len(networks)
    for done, (method, network) in enumerate((m, n) for m in methods for n in networks):
        parts = []
        for part, label in zip(images.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
            parts.append(methods[method](networks[network], part, label))
            share = sum(map(len, parts)) / len(images)
            context.progress((done + share) / total, f"{method}, {TITLES[network]}")
        maps[method][network] = torch.cat(parts)
    return Seen(images, labels, logits, words, maps)


def _beside(
    specimen: Specimen, context: ToolContext, options: SaliencyOptions
) -> Iterator[tuple[str, Specimen]]:
    if options.reference and context.references:
        yield REFERENCE, context.references[0]
    if options.check:
        rng = torch.Generator().manual_seed(Seed.of(0).child("redrawn weights").integer())
        for name, count in REDRAWN.items():
            yield name, specimen.randomised(count, rng)


# ------------------------------------------------------------------- exhibits


def drawn(seen: Seen, together: bool = False) -> list[Exhibit]:
    """Heat maps of the specimen, each beside its checks in small, and a table of correlations.

    together: the mean map over all pictures, on their mean picture, takes the maps' place.
    """
    outline = torch.stack([edges(image) for image in seen.images])
    if together:
        seen, outline = _mean(seen), outline.mean(0, keepdim=True)
    exhibits: list[Exhibit] = []
    for method, maps in seen.maps.items():
        exhibits += _heatmaps(method, maps[""], seen)
    if next(iter(seen.maps.values())).keys() == {""}:
        return exhibits
    galleries = [_gallery(method, maps, outline, seen) for method, maps in seen.maps.items()]
    return [*exhibits, *galleries, _table(seen, outline)]


def _mean(seen: Seen) -> Seen:
    maps = {
        method: {network: value.mean(0, keepdim=True) for network, value in found.items()}
        for method, found in seen.maps.items()
    }
    words = [f"the mean of {len(seen.words)} pictures"]
    image, logits = seen.images.mean(0, keepdim=True), seen.logits.mean(0, keepdim=True)
    return Seen(image, seen.labels[:1], logits, words, maps)


def _limit(values: Float[Tensor, "..."]) -> float:
    """Full strength of the colours: all but the highest hundredth, lest one pixel pale the rest."""
    sizes = values.abs().flatten()
    return float(sizes.quantile(0.99)) or float(sizes.max()) or 1.0


def _heatmaps(method: str, maps: Float[Tensor, "n h w"], seen: Seen) -> list[HeatMap]:
    return [
        HeatMap(
            name="map",
            title=f"{method} of {word}",
            png=png(image),
            values=tuple(tuple(round(v, 6) for v in row) for row in values.tolist()),
            limit=_limit(maps),
            note=f"Raw values, {values.min():.3g} to {values.max():.3g}.",
        )
        for values, image, word in zip(maps, seen.images, seen.words, strict=True)
    ]


def _gallery(
    method: str, maps: Mapping[str, Tensor], outline: Float[Tensor, "n h w"], seen: Seen
) -> Gallery:
    """One row for each picture: itself, then the map of each network and the edges."""
    shown = {**maps, EDGES: outline}
    shown.pop("random_output", None)
    limits = {name: _limit(value) for name, value in shown.items()}
    if REFERENCE in limits:
        limits[REFERENCE] = limits[""]
    tiles = []
    for i, (image, word) in enumerate(zip(seen.images, seen.words, strict=True)):
        tiles.append(Tile(png=png(image), label=word))
        for name, value in shown.items():
            over = heated(image, value[i], limits[name])
            tiles.append(Tile(png=png(over), label=TITLES[name]))
    return Gallery(
        name="checks",
        title=f"{method}, beside its checks",
        tiles=tuple(tiles),
        columns=1 + len(shown),
        note="The sibling on this model's scale; redrawn weights and edges on their own.",
    )


def _table(seen: Seen, outline: Float[Tensor, "n h w"]) -> Table:
    rows, others = [], [name for name in next(iter(seen.maps.values())) if name]
    for method, maps in seen.maps.items():
        for i, word in enumerate(seen.words):
            alike = [agreement(maps[""][i], maps[name][i]) for name in others]
            alike.append(agreement(maps[""][i], outline[i]))
            what = f"{method}: {word}" if len(seen.maps) > 1 else word
            rows.append((what, *(None if r is None else round(r, 3) for r in alike)))
    return Table(
        name="correlations",
        title="Does the map depend on the model?",
        columns=columns("image", *((name, TITLES[name]) for name in (*others, EDGES))),
        rows=tuple(rows),
        note="Spearman correlation of absolute values. Near 1 with every layer redrawn, or "
        "with the edges: the map says little about what was learnt. Empty: one of the maps "
        "is constant.",
    )
