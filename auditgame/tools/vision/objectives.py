"""Objectives of feature visualisation, which can be added, subtracted and scaled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets import Examples
from auditgame.schema.errors import Invalid
from auditgame.specimen import Reading, Specimen


@dataclass(frozen=True)
class Objective(ABC):
    """A score for each image, such as `channel("conv3", 17) - 0.5 * logit("fish")`.

    It refers to sites and classes by name; `on` binds it to a model before `score` is used.
    """

    @abstractmethod
    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """One number for each image of the reading."""

    @property
    def sites(self) -> frozenset[str]:
        """The sites that a reading must keep."""
        return frozenset()

    @property
    def answers(self) -> bool:
        """Whether it needs the class logits, so that a pass must be complete."""
        return not self.sites

    @property
    def surveys(self) -> int:
        """How often `on` sends the pool through the model."""
        return 0

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """The objective bound to this model: names checked, sites read before their ReLU.

        pool: the examples that a direction is computed from. Raises AuditgameError for unknown
        names.
        """
        return self

    def __add__(self, other: Objective) -> Objective:
        return Total((self, other))

    def __sub__(self, other: Objective) -> Objective:
        return Total((self, -other))

    def __mul__(self, weight: float) -> Objective:
        return Scaled(float(weight), self)

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return Scaled(-1.0, self)


@dataclass(frozen=True)
class Total(Objective):
    """The sum of several objectives."""

    parts: tuple[Objective, ...]

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The parts' scores, added."""
        return torch.stack([part.score(reading) for part in self.parts]).sum(0)

    @property
    def sites(self) -> frozenset[str]:
        """The sites of all parts."""
        return frozenset().union(*(part.sites for part in self.parts))

    @property
    def answers(self) -> bool:
        """Whether any part does."""
        return any(part.answers for part in self.parts)

    @property
    def surveys(self) -> int:
        """The sum over the parts."""
        return sum(part.surveys for part in self.parts)

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """Each part bound to this model."""
        return Total(tuple(part.on(specimen, pool) for part in self.parts))


@dataclass(frozen=True)
class Scaled(Objective):
    """An objective times a number; a negative one minimises it."""

    weight: float
    part: Objective

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The part's score, scaled."""
        return self.weight * self.part.score(reading)

    @property
    def sites(self) -> frozenset[str]:
        """The part's sites."""
        return self.part.sites

    @property
    def answers(self) -> bool:
        """Whether the part does."""
        return self.part.answers

    @property
    def surveys(self) -> int:
        """That of the part."""
        return self.part.surveys

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """The part bound to this model."""
        return replace(self, part=self.part.on(specimen, pool))


@dataclass(frozen=True)
class _AtSite(Objective):
    """An objective on the values of one site."""

    site: str

    @property
    def sites(self) -> frozenset[str]:
        """The one site."""
        return frozenset({self.site})

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """The site before its ReLU, where the model has one; AuditgameError for unknown units."""
        site = specimen.site(self.site)
        if site.kind != "channel":
            raise Invalid(f"site: '{site.name}' has no channels; choose a convolution")
        unit = next((getattr(self, f.name) for f in fields(self) if f.name == "unit"), 0)
        specimen.unit(f"{self.site}:{unit}")
        return replace(self, site=before_relu(specimen, self.site))


@dataclass(frozen=True)
class NeuronObjective(_AtSite):
    """A channel at one position: the centre, or column `x` and row `y` of its map."""

    unit: int
    x: int | None = None
    y: int | None = None

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The value there."""
        value = reading.kept[self.site]
        height, width = value.shape[2:]
        x, y = (
            (width // 2 if self.x is None else self.x),
            (height // 2 if self.y is None else self.y),
        )
        if x >= width or y >= height:
            raise Invalid(f"neuron: {self.site} has {width} columns and {height} rows")
        return value[:, self.unit, y, x]


@dataclass(frozen=True)
class ChannelObjective(_AtSite):
    """A channel, averaged over positions."""

    unit: int

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The mean of its map."""
        return reading.kept[self.site][:, self.unit].mean((1, 2))


@dataclass(frozen=True)
class LayerObjective(_AtSite):
    """A whole layer: the mean square of all its values.

    (DeepDream: Mordvintsev, Olah and Tyka 2015, Inceptionism)
    """

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The mean square."""
        return reading.kept[self.site].square().mean((1, 2, 3))


@dataclass(frozen=True)
class DirectionObjective(_AtSite):
    """A direction in a layer: the mean over positions of dot product times cosine."""

    vector: tuple[float, ...]

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """Dot products along the unit vector, each times its cosine (at least .1)."""
        value = reading.kept[self.site]
        along = F.normalize(torch.tensor(self.vector), dim=0)[:, None, None]
        dot = (value * along).sum(1)
        cosine = dot / value.norm(dim=1).clamp(min=1e-6)
        return (dot * cosine.clamp(min=0.1)).mean((1, 2))


@dataclass(frozen=True)
class MeanDifferenceObjective(_AtSite):
    """The difference of means, in a layer, of a class or an example and all other examples."""

    what: str | int

    @property
    def surveys(self) -> int:
        """Once."""
        return 1

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """Not defined before it is bound to a model."""
        raise Invalid("direction: needs a model and a pool; bind it with `on`")

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """The DirectionObjective along the difference of the two means."""
        if pool is None:
            raise Invalid("direction: there is no pool to take it from")
        if isinstance(self.what, int):
            if self.what >= len(pool):
                raise Invalid(f"direction: example {self.what}; the last is {len(pool) - 1}")
            mine = torch.arange(len(pool)) == self.what
        else:
            mine = pool.labels == specimen.dataset.require_class(self.what, "direction")
        if mine.all() or not mine.any():
            raise Invalid(
                f"direction: the pool holds '{self.what}' only, or not at all; choose another"
            )
        site = before_relu(specimen, self.site)
        found = specimen.collect(pool.inputs, site).flatten(2).mean(2)
        apart = found[mine].mean(0) - found[~mine].mean(0)
        return DirectionObjective(self.site, tuple(apart.tolist())).on(specimen)


@dataclass(frozen=True)
class LogitObjective(Objective):
    """The logit of a class."""

    label: str | int

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The class logit."""
        return reading.classes[:, int(self.label)]

    def on(self, specimen: Specimen, pool: Examples | None = None) -> Objective:
        """The class by its index."""
        if isinstance(self.label, int) and self.label < len(specimen.dataset.classes):
            return self
        return replace(self, label=specimen.dataset.require_class(str(self.label), "class"))


@dataclass(frozen=True)
class ProbabilityObjective(LogitObjective):
    """The log odds of a class.

    It has the maximum of the probability, whose gradient vanishes near 0 and 1.
    """

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """The class logit minus the log-sum-exp of the others."""
        own = int(self.label)
        others = reading.classes.clone()
        others[:, own] = float("-inf")
        return reading.classes[:, own] - others.logsumexp(1)


@dataclass(frozen=True)
class DiversityObjective(_AtSite):
    """Diversity of the images of one objective, in the textures of a layer.

    Minus the mean cosine between an image's Gram matrix and the others'; 0 for one alone.
    """

    def score(self, reading: Reading) -> Float[Tensor, " n"]:
        """One number for each image."""
        maps = reading.kept[self.site].flatten(2)
        grams = F.normalize((maps @ maps.transpose(1, 2)).flatten(1), dim=1)
        alike = grams @ grams.T
        return (alike.diagonal() - alike.sum(1)) / max(1, len(alike) - 1)


def before_relu(specimen: Specimen, site: str) -> str:
    """The site before its ReLU where there is one: a unit at zero has no gradient after it."""
    return f"{site}.pre" if f"{site}.pre" in specimen.sites else site


def blend(start: Objective, end: Objective, share: float) -> Objective:
    """Interpolation of two objectives: `share` 0 is the start, 1 the end."""
    return (1 - share) * start + share * end
