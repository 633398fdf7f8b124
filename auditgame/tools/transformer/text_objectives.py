"""What in a text model shall be excited? A unit, a head's vote, a direction, or a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Reading, Specimen


class TextObjective(ABC):
    """A number for each text, read off one pass; `sites` must be kept in that pass.

    last: the place of each text where the answer is read.
    """

    @property
    def sites(self) -> frozenset[str]:
        """Which sites must be kept?"""
        return frozenset()

    @abstractmethod
    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """How strongly does each text excite it?"""


def _at(value: Float[Tensor, "n t ..."], last: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
    return value[torch.arange(len(value)), last]


def _over(value: Float[Tensor, "n t"], last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The largest value over the words of each text."""
    after = torch.arange(value.shape[1]) > last[:, None]
    return value.masked_fill(after, -torch.inf).amax(1)


@dataclass(frozen=True)
class UnitObjective(TextObjective):
    """A neuron's value, or the length of a head's output.

    anywhere: at the word where it is largest, not where the answer is read.
    """

    site: str
    index: int
    kind: str
    anywhere: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The unit's own."""
        return frozenset({self.site})

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Where the answer is read, or the largest."""
        value = reading.kept[self.site][:, :, self.index]
        said = value.norm(dim=-1) if self.kind == "head" else value
        return _over(said, last) if self.anywhere else _at(said, last)


@dataclass(frozen=True)
class HeadVoteObjective(UnitObjective):
    """What a head adds to the logit of a class, less what it adds to the others' mean.

    Direct attribution where the answer is read: the final norm's scale is the text's own.
    (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits")
    """

    target: int = 0
    answers: tuple[int, ...] = ()
    anatomy: TransformerWeights | None = None

    @property
    def sites(self) -> frozenset[str]:
        """The head's, and the last stream, whose length scales the vote."""
        return super().sites | {self._stream}

    @property
    def _parts(self) -> TransformerWeights:
        if self.anatomy is None:
            raise AuditgameError("vote: hand in the weights of the model")
        return self.anatomy

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
    """How far does a stream go along a direction of length 1?"""

    site: str
    direction: Float[Tensor, " d"]
    anywhere: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The stream's."""
        return frozenset({self.site})

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Where the answer is read, or the largest."""
        said = reading.kept[self.site] @ self.direction
        return _over(said, last) if self.anywhere else _at(said, last)


@dataclass(frozen=True)
class ClassObjective(TextObjective):
    """The logit of a class, less the mean of the others."""

    target: int

    def score(self, reading: Reading, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """In logits."""
        return _margin(reading.classes, self.target)


def _margin(logits: Float[Tensor, "n k"], target: int) -> Float[Tensor, " n"]:
    rest = logits.shape[1] - 1
    others = (logits.sum(1) - logits[:, target]) / max(1, rest)
    return logits[:, target] - others


def unit_objective(model: Specimen, unit: str, anywhere: bool = False) -> UnitObjective:
    """The aim that a unit such as block1.heads:2 or block0.neurons:17 names on this model."""
    site, index = model.unit(unit)
    if site.kind not in ("head", "neuron", "vector"):
        raise AuditgameError(f"unit: '{unit}' is a {site.kind}; choose a head or a neuron")
    return UnitObjective(site.name, index, site.kind, anywhere)


def head_vote_objective(model: Specimen, unit: str, target: int) -> HeadVoteObjective:
    """The aim that is a head's vote for a class."""
    site, index = model.unit(unit)
    if site.kind != "head":
        raise AuditgameError(f"unit: '{unit}' is no head; only heads have a vote")
    return HeadVoteObjective(
        site.name,
        index,
        site.kind,
        target=target,
        answers=tuple(model.texts.answers()),
        anatomy=model.transformer_weights(),
    )
