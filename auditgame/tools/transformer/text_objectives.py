"""Objectives of a text search: a unit, a head's logit contribution, a direction, a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import Invalid
from auditgame.specimen import Reading, Specimen


class TextObjective(ABC):
    """A number for each text, computed from one pass that keeps `sites`.

    last: the position of each text at which the answer is read.
    """

    @property
    def sites(self) -> frozenset[str]:
        """Which sites must be kept?"""
        return frozenset()

    @abstractmethod
    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The objective's value for each text."""


def _at(value: Float[Tensor, "n t ..."], last: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
    return value[torch.arange(len(value)), last]


def _over(value: Float[Tensor, "n t"], last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The largest value over the words of each text."""
    after = torch.arange(value.shape[1]) > last[:, None]
    return value.masked_fill(after, -torch.inf).amax(1)


@dataclass(frozen=True)
class UnitObjective(TextObjective):
    """A neuron's value, or the norm of a head's output.

    anywhere: at the word where it is largest, not at the answer's position.
    """

    site: str
    index: int
    kind: str
    anywhere: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The unit's site."""
        return frozenset({self.site})

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """At the answer's position, or the largest."""
        value = reading.kept[self.site][:, :, self.index]
        size = value.norm(dim=-1) if self.kind == "head" else value
        return _over(size, last) if self.anywhere else _at(size, last)


@dataclass(frozen=True)
class HeadVoteObjective(UnitObjective):
    """What a head adds to the logit of a class, minus what it adds to the others' mean.

    Direct logit attribution at the answer's position, with the text's own final norm.
    (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits")
    """

    target: int = 0
    answers: tuple[int, ...] = ()
    weights: TransformerWeights | None = None

    @property
    def sites(self) -> frozenset[str]:
        """The head's site, and the last stream, whose norm scales the contribution."""
        return super().sites | {self._stream}

    @property
    def _parts(self) -> TransformerWeights:
        if self.weights is None:
            raise Invalid("vote: needs the weights of the model; pass them")
        return self.weights

    @property
    def _stream(self) -> str:
        return f"block{len(self._parts.layers) - 1}.residual"

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """In logits."""
        parts, layer = self._parts, int(self.site.removesuffix(".heads").removeprefix("block"))
        write = (
            _at(reading.kept[self.site], last)[:, self.index]
            @ parts.layers[layer].output[self.index]
        )
        scaled = parts.normalise(write, _at(reading.kept[self._stream], last)) * parts.gain
        return _margin(scaled @ parts.unembedding[list(self.answers)].T, self.target)


@dataclass(frozen=True)
class StreamDirectionObjective(TextObjective):
    """The projection of the residual stream on a unit vector."""

    site: str
    direction: Float[Tensor, " d"]
    anywhere: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The stream's site."""
        return frozenset({self.site})

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """At the answer's position, or the largest."""
        along = reading.kept[self.site] @ self.direction
        return _over(along, last) if self.anywhere else _at(along, last)


@dataclass(frozen=True)
class ClassObjective(TextObjective):
    """The logit of a class, minus the mean of the others."""

    target: int

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """In logits."""
        return _margin(reading.classes, self.target)


def _margin(logits: Float[Tensor, "n k"], target: int) -> Float[Tensor, " n"]:
    rest = logits.shape[1] - 1
    others = (logits.sum(1) - logits[:, target]) / max(1, rest)
    return logits[:, target] - others


def unit_objective(model: Specimen, unit: str, anywhere: bool = False) -> UnitObjective:
    """The objective for a unit such as block1.heads:2 or block0.neurons:17 of this model."""
    site, index = model.unit(unit)
    if site.kind not in ("head", "neuron", "vector"):
        raise Invalid(f"unit: '{unit}' is a {site.kind}; choose a head or a neuron")
    return UnitObjective(site.name, index, site.kind, anywhere)


def head_vote_objective(model: Specimen, unit: str, target: int) -> HeadVoteObjective:
    """The objective for a head's contribution to a class."""
    site, index = model.unit(unit)
    if site.kind != "head":
        raise Invalid(f"unit: '{unit}' is not a head; only heads have a vote")
    return HeadVoteObjective(
        site.name,
        index,
        site.kind,
        target=target,
        answers=tuple(model.texts.answers()),
        weights=model.transformer_weights(),
    )
