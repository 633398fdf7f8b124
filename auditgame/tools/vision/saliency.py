"""Saliency maps together with their sanity checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets.images.pictures import heated, png
from auditgame.exhibits import Exhibit, Gallery, HeatMap, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext
from auditgame.tools.vision.pixel_attribution import agreement, edges
from auditgame.tools.vision.selection import choose

Explain = Callable[[Specimen, Float[Tensor, "n c h w"], Int[Tensor, " n"]], Float[Tensor, "n h w"]]
"""A method: maps, at the images' size, for these images and classes of this model."""

REDRAWN = {"random_output": 1, "random_weights": None}
"""The networks of the check, and how many weight tensors are randomised (None: all)."""
REFERENCE, EDGES = "reference_model", "edges"
TITLES = {
    "": "specimen",
    REFERENCE: "reference model",
    "random_output": "randomised output layer",
    "random_weights": "randomised weights",
    EDGES: "edges",
}
"""Titles of the networks and of the edges."""
MOST, MOST_TOGETHER = 16, 64
"""Images explained one by one, and together, at most."""
AT_ONCE = 4
"""Images between two progress reports."""


class SaliencyOptions(Record):
    """Options of every saliency map: images, class, and comparisons."""

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
            description="One mean map over these examples, for example a set of mistakes.",
        ),
    ] = False
    picture: Annotated[
        bool,
        Field(
            title="Use my image",
            description="Explain the uploaded image instead of the pool.",
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
            description="Repeat on networks with randomised weights. Three times the queries.",
        ),
    ] = True
    reference: Annotated[
        bool,
        Field(
            title="Reference model",
            description="The same maps of the first reference model, which costs no queries.",
        ),
    ] = True


class Subjects(NamedTuple):
    """Images to explain, and a name for each."""

    images: Float[Tensor, "n c h w"]
    names: list[str]


class Seen(NamedTuple):
    """Explained images, and their maps by method, then by network ('' is the specimen).

    words: a name for each image, with the class it is explained for.
    """

    images: Float[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]
    logits: Float[Tensor, "n k"]
    words: list[str]
    maps: dict[str, dict[str, Float[Tensor, "n h w"]]]


def subjects(options: SaliencyOptions, context: ToolContext) -> Subjects:
    """The chosen images; AuditgameError where there are none, or too many."""
    if options.picture:
        if context.picture is None:
            raise Invalid("picture: none was uploaded; add one, or choose from the pool")
        return Subjects(context.picture[None], ["your image"])
    rows = choose(options.examples, len(context.examples), "examples")
    most = MOST_TOGETHER if options.together else MOST
    if len(rows) > most:
        raise Invalid(f"examples: {len(rows)} chosen; choose at most {most}")
    return Subjects(context.examples.inputs[rows], [f"#{row}" for row in rows])


def queries(options: SaliencyOptions, context: ToolContext, per_picture: int) -> int:
    """The queries of the maps, with the model's own answer and the checks."""
    n = len(subjects(options, context).names)
    return n * (1 + per_picture * (1 + len(REDRAWN) * options.check))


def shown(
    methods: Mapping[str, Explain],
    specimen: Specimen,
    context: ToolContext,
    options: SaliencyOptions,
) -> list[Exhibit]:
    """Maps by each method on one scale, their checks, and the correlations."""
    return drawn(look(methods, specimen, context, options), options.together)


def look(
    methods: Mapping[str, Explain],
    specimen: Specimen,
    context: ToolContext,
    options: SaliencyOptions,
) -> Seen:
    """Explain the images by every method on the specimen and on the networks of the checks.

    The check randomises the output layer alone, then every layer (Adebayo et al. 2018,
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
    """Heat maps of the specimen, small maps of its checks, and a table of correlations.

    together: one mean map over all images, on their mean image, in place of the maps.
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
    words = [f"the mean of {len(seen.words)} images"]
    image, logits = seen.images.mean(0, keepdim=True), seen.logits.mean(0, keepdim=True)
    return Seen(image, seen.labels[:1], logits, words, maps)


def _limit(values: Float[Tensor, "..."]) -> float:
    """The end of the colour scale: the 99th percentile, so that single pixels do not set it."""
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
    """One row for each image: the image, the map of each network, and the edges."""
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
        title=f"{method}: sanity checks",
        tiles=tuple(tiles),
        columns=1 + len(shown),
        note="The reference model on the specimen's scale, the others on their own.",
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
        title="Correlation of the map with its checks",
        columns=columns("image", *((name, TITLES[name]) for name in (*others, EDGES))),
        rows=tuple(rows),
        note="Spearman correlation of absolute values. Near 1 with randomised weights, or with "
        "the edges: the map depends little on what was learnt. Empty: one of the maps is "
        "constant.",
    )
