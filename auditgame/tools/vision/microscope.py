"""The microscope: visualisation, examples, connections and similar units of every unit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.datasets.images.pictures import png, spotlight
from auditgame.exhibits import Curve, Gallery, Tile
from auditgame.schema.errors import Invalid
from auditgame.specimen import Specimen
from auditgame.tools.vision.activations import (
    BATCH,
    TopExamples,
    UnitActivations,
    distance,
    record_activations,
    top_examples,
)
from auditgame.tools.vision.connectivity import class_weights, kernels, layers
from auditgame.tools.vision.selection import choose
from auditgame.tools.vision.unit_images import LayerImages, UnitImageCache

Order = Literal["number", "difference", "selectivity", "weight"]
ORDERS: tuple[Order, ...] = get_args(Order)
WRONG = "answered wrongly"
"""Name of the set of examples that the model answers incorrectly."""
BARS, EXAMPLES = 24, 8


class Ranked(NamedTuple):
    """A unit, and the value it is ranked by (None: its index)."""

    unit: int
    value: float | None


class Link(NamedTuple):
    """A unit of a neighbouring layer, and the kernel that connects it."""

    unit: int
    kernel: Float[Tensor, "a b"]


class SimilarUnit(NamedTuple):
    """The unit of a reference model whose activations on the pool correlate most."""

    reference: int
    unit: int
    correlation: float


class Microscope:
    """What is known of a model's units from its weights and its activations on the pool.

    It costs no queries, since all of it can be computed in advance. Shared between
    threads: every cached value is deterministic.
    """

    def __init__(
        self,
        specimen: Specimen,
        pool: Examples,
        references: Sequence[Specimen],
        folder: Path,
        files: dict[str, str],
    ) -> None:
        if not layers(specimen):
            raise Invalid("microscope: this model has no convolutional channels")
        self.specimen, self.pool, self.references = specimen, pool, tuple(references)
        self.layers = layers(specimen)
        self.image_cache = UnitImageCache(specimen, pool.inputs, folder, files)
        self._kernels: dict[str, Tensor] = {}

    @property
    def unit_images(self) -> LayerImages:
        """The visualisations by layer, computed now if they are not cached."""
        return self.image_cache.build()

    @cached_property
    def answers(self) -> Tensor:
        """The model's answer to each example."""
        return self._readout.answers

    @cached_property
    def _readout(self) -> UnitActivations:
        return record_activations(self.specimen, self.pool.inputs, self.layers)

    @cached_property
    def _top_examples(self) -> dict[str, TopExamples]:
        return top_examples(self.specimen, self.pool.inputs.split(BATCH), self.layers, EXAMPLES)

    def peaks(self, site: str) -> Float[Tensor, "n units"]:
        """The maximum of each unit on each example."""
        return self._readout.activations[self._layer(site)][:, :, 0]

    # ------------------------------------------------------------- overview

    def group(self, text: str, field: str) -> Bool[Tensor, " n"]:
        """The examples selected by a class name, 'answered wrongly', or numbers such as 0-9."""
        text, classes = text.strip(), self.specimen.dataset.classes
        if text == WRONG:
            return self.answers != self.pool.labels
        if text in classes:
            return self.pool.labels == classes.index(text)
        chosen = torch.zeros(len(self.pool), dtype=torch.bool)
        chosen[choose(text, len(self.pool), field)] = True
        return chosen

    def difference(self, site: str, one: str, other: str = "") -> Float[Tensor, " units"]:
        """The distance of each unit's means on two sets, in standard deviations of the other.

        other: empty for all examples that are not in the first set.
        """
        first = self.group(one, "first set")
        second = self.group(other, "second set") if other.strip() else ~first
        if not first.any() or not second.any():
            raise Invalid("sets: one of them is empty; choose another")
        values = self._readout.activations[self._layer(site)]
        return distance(values[first], values[second])

    def selectivity(self, site: str) -> Float[Tensor, " units"]:
        """Class selectivity of each unit, 0 to 1.

        (best class - rest) / (best class + rest) of mean maxima. (Morcos et al. 2018,
        arXiv:1803.06959)
        """
        peaks = self.peaks(site).clamp(min=0)
        labels = range(len(self.specimen.dataset.classes))
        own = torch.stack([_mean(peaks[self.pool.labels == k]) for k in labels])
        rest = torch.stack([_mean(peaks[self.pool.labels != k]) for k in labels])
        best = own.argmax(0, keepdim=True)
        high, low = own.gather(0, best)[0], rest.gather(0, best)[0]
        return (high - low) / (high + low).clamp(min=1e-6)

    @cached_property
    def class_weights(self) -> dict[str, Float[Tensor, "units k"]]:
        """The change of each class logit per unit of activation."""
        return class_weights(self.specimen, self.pool.inputs)

    def ranked(
        self, site: str, order: Order = "number", one: str = WRONG, other: str = "", label: str = ""
    ) -> list[Ranked]:
        """The units of a layer in this order, largest value first."""
        units = self.specimen.site(self._layer(site)).units
        if order == "number":
            return [Ranked(unit, None) for unit in range(units)]
        if order == "difference":
            values = self.difference(site, one, other)
        elif order == "selectivity":
            values = self.selectivity(site)
        else:
            number = self.specimen.dataset.require_class(label, "class")
            values = self.class_weights[site][:, number]
        ranks = values.argsort(descending=True, stable=True).tolist()
        return [Ranked(unit, float(values[unit])) for unit in ranks]

    # ------------------------------------------------------------- one unit

    def maps(self, site: str, unit: int) -> Float[Tensor, "n h w"]:
        """The activation of the unit at every position of every example."""
        self.specimen.unit(f"{self._layer(site)}:{unit}")
        return self.specimen.collect(self.pool.inputs, site)[:, unit]

    def pictures(self, site: str, unit: int) -> Gallery:
        """Feature visualisation: images that maximise and minimise the unit."""
        images = self.unit_images[self._layer(site)]
        shown = (
            ("most", images.most, images.entry.most),
            ("least", images.least, images.entry.least),
        )
        tiles = tuple(
            Tile(
                png=png(pictures[unit] / 255),
                label=f"{words} activating",
                note=f"{scores[unit]:.1f}",
            )
            for words, pictures, scores in shown
        )
        note = "Optimised from noise; below: the activation reached before the ReLU."
        return Gallery(
            name="images", title=f"{site}:{unit}: visualisation", tiles=tiles, columns=2, note=note
        )

    def examples(self, site: str, unit: int, count: int = EXAMPLES) -> Gallery:
        """The examples that activate the unit most, in colour where they do."""
        self.specimen.unit(f"{self._layer(site)}:{unit}")
        best, classes = self._top_examples[site], self.specimen.dataset.classes
        rows, peaks = best.rows[unit, :count], best.peaks[unit, :count]
        maps = self.specimen.collect(self.pool.inputs[rows], site)[:, unit]
        right = self.answers == self.pool.labels
        tiles = tuple(
            Tile(
                png=png(spotlight(self.pool.inputs[row], region)),
                label=f"#{row} {classes[int(self.pool.labels[row])]}",
                note=f"{peak:.2f}",
                tone="good" if right[row] else "bad",
            )
            for row, peak, region in zip(rows.tolist(), peaks.tolist(), maps, strict=True)
        )
        note = "In colour: at least a third of the maximum. Red: answered incorrectly."
        return Gallery(
            name="examples", title=f"{site}:{unit}: examples", tiles=tiles, columns=4, note=note
        )

    def histogram(self, site: str, unit: int) -> Curve:
        """Histogram of the unit's activation over all positions of all examples."""
        values = self.maps(site, unit).flatten()
        high = float(values.max()) or 1.0
        zero = float((values == 0).float().mean())
        counts = torch.histc(values[values > 0], BARS, 0.0, high) / len(values)
        steps = [(k + 0.5) * high / BARS for k in range(BARS)]
        points = tuple(
            (round(x, 4), round(float(y), 6)) for x, y in zip(steps, counts, strict=True)
        )
        return Curve(
            name="distribution",
            title=f"{site}:{unit}: activation distribution",
            series={"share": points},
            titles={"share": "share of positions"},
            x_axis="activation",
            y_axis="share of positions",
            note=f"Zero at {zero:.0%} of positions, which are left out.",
        )

    def kernels(self, site: str) -> Float[Tensor, "units sources a b"]:
        """The kernels into a layer, from the one before it or from the image."""
        if site not in self._kernels:
            at = self.layers.index(self._layer(site))
            source = self.layers[at - 1] if at else None
            self._kernels[site] = kernels(self.specimen, source, site, self.pool.inputs)
        return self._kernels[site]

    def incoming(self, site: str, unit: int, count: int = 6) -> list[Link]:
        """The units of the previous layer with the largest kernels; none for the first layer."""
        self.specimen.unit(f"{self._layer(site)}:{unit}")
        first = site == self.layers[0]
        return [] if first else _strongest(self.kernels(site)[unit], count)

    def outgoing(self, site: str, unit: int, count: int = 6) -> list[Link]:
        """The units of the next layer with the largest kernels; none for the last layer."""
        self.specimen.unit(f"{self._layer(site)}:{unit}")
        after = self.neighbour(site, 1)
        return [] if after is None else _strongest(self.kernels(after)[:, unit], count)

    def neighbour(self, site: str, step: int) -> str | None:
        """The layer `step` layers later (-1: earlier); None beyond the ends."""
        at = self.layers.index(self._layer(site)) + step
        return self.layers[at] if 0 <= at < len(self.layers) else None

    def similar_units(self, site: str, unit: int) -> list[SimilarUnit]:
        """The unit of each reference model that correlates most with this one on the pool.

        Pearson's correlation over all positions. (Universality: Li et al. 2015,
        arXiv:1511.07543; Olah et al. 2020, Zoom In, Distill)
        """
        mine, found = _standard(self.maps(site, unit).flatten()[None]), []
        for number, reference in enumerate(self.references):
            if site in reference.sites:
                theirs = reference.collect(self.pool.inputs, site).transpose(0, 1).flatten(1)
                alike = (_standard(theirs) @ mine[0]).tolist()
                best = max(range(len(alike)), key=alike.__getitem__)
                found.append(SimilarUnit(number, best, alike[best]))
        return found

    def similar_unit_examples(self, site: str, twin: SimilarUnit, count: int = 4) -> list[Tile]:
        """The examples that activate a reference model's unit most."""
        maps = self.references[twin.reference].collect(self.pool.inputs, site)[:, twin.unit]
        peaks = maps.flatten(1).amax(1)
        rows = peaks.argsort(descending=True, stable=True)[:count].tolist()
        return [
            Tile(png=png(spotlight(self.pool.inputs[row], maps[row])), label=f"#{row}")
            for row in rows
        ]

    def _layer(self, site: str) -> str:
        if site not in self.layers:
            raise Invalid(
                f"site: '{site}' is not a convolutional layer; choose {', '.join(self.layers)}"
            )
        return site


def _mean(rows: Float[Tensor, "m units"]) -> Float[Tensor, " units"]:
    return rows.mean(0) if len(rows) else rows.new_zeros(rows.shape[1])


def _strongest(found: Float[Tensor, "m a b"], count: int) -> list[Link]:
    order = found.abs().sum((1, 2)).argsort(descending=True, stable=True)[:count]
    return [Link(unit, found[unit]) for unit in order.tolist()]


def _standard(rows: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-6)
