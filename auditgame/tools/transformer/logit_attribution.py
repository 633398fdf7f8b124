"""Direct logit attribution: what each part of a language model adds to an answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.specimen import Specimen
from auditgame.tools.transformer.residual_stream import batches, blocks, layers
from auditgame.tools.transformer.targets import FollowedWord


class LogitParts(NamedTuple):
    """What each part adds to the logit difference of an answer and its rival; means over texts.

    The parts sum to `measured`, the model's own logit difference. bias: the final norm's bias.
    rests: what attention writes apart from its heads (its bias).
    """

    embed: Float[Tensor, ""]
    heads: Float[Tensor, "layer head"]
    rests: Float[Tensor, " layer"]
    mlps: Float[Tensor, " layer"]
    bias: Float[Tensor, ""]
    measured: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of all parts."""
        parts = (self.embed, self.heads, self.rests, self.mlps, self.bias)
        return torch.stack([part.sum() for part in parts]).sum()


class Neurons(NamedTuple):
    """One MLP's neurons: activation, what each adds, and what the MLP's bias adds."""

    activation: Float[Tensor, " m"]
    adds: Float[Tensor, " m"]
    rest: Float[Tensor, ""]


class Attribution:
    """Logit attribution at one position of each text; all means are over the texts.

    The final norm's scale is held at its value in the run, so that parts add up. Queries: one a
    text. (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits")
    """

    def __init__(
        self,
        specimen: Specimen,
        followed: FollowedWord,
        ids: Int[Tensor, "n t"],
        places: Int[Tensor, " n"],
    ) -> None:
        self.specimen, self.followed = specimen, followed
        self.weights: TransformerWeights = specimen.transformer_weights()
        rows = self.weights.unembedding
        self.direction = rows[followed.answer] - rows[followed.rival]
        self.values = _values(specimen, ids, places)
        self.final = self.values[layers(specimen)[-1]]

    def parts(self) -> LogitParts:
        """What each part adds to the logit difference."""
        added = []
        for layer, block in enumerate(blocks(self.specimen)):
            writes = self.weights.head_writes(layer, self.values[f"{block}.heads"][:, None])[:, 0]
            rest = self.values[f"{block}.attn"] - writes.sum(1)
            heads = self._contribution(writes, self.final[:, None]).mean(0)
            added.append((heads, self._adds(rest), self._adds(self.values[f"{block}.mlp"])))
        heads, rests, mlps = (torch.stack(kind) for kind in zip(*added, strict=True))
        embed, bias = self._adds(self.values["embed"]), self.weights.bias @ self.direction
        return LogitParts(embed, heads, rests, mlps, bias, self._measured())

    def neurons(self, layer: int) -> Neurons:
        """What each neuron of one MLP adds."""
        block, written = blocks(self.specimen)[layer], self.weights.layers[layer].writes
        active = self.values[f"{block}.neurons"]
        slopes = torch.stack([self._contribution(written, whole) for whole in self.final])
        each = (active * slopes).mean(0)
        return Neurons(active.mean(0), each, self._adds(self.values[f"{block}.mlp"]) - each.sum())

    def _contribution(self, part: Float[Tensor, "... d"], whole: Tensor) -> Float[Tensor, "..."]:
        """What a part of the final stream adds to the logit difference."""
        return self.weights.normalise(part, whole) @ (self.weights.gain * self.direction)

    def _adds(self, part: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        return self._contribution(part, self.final).mean(0)

    def _measured(self) -> Float[Tensor, ""]:
        logits = self.specimen.unembed(self.final)
        return (logits[:, self.followed.answer] - logits[:, self.followed.rival]).mean()


def _values(
    specimen: Specimen, ids: Int[Tensor, "n t"], places: Int[Tensor, " n"]
) -> dict[str, Float[Tensor, "n ..."]]:
    """Values at one position of each text, at every site that writes and at the last stream."""
    kinds = ("heads", "attn", "neurons", "mlp")
    writers = [f"{block}.{kind}" for block in blocks(specimen) for kind in kinds]
    found: dict[str, list[Tensor]] = {s: [] for s in ("embed", *writers, layers(specimen)[-1])}
    for part, at in zip(batches(ids), places.split(len(next(batches(ids)))), strict=True):
        kept = specimen.run(part, keep=found, whole=False).kept
        for site, rows in found.items():
            rows.append(kept[site][torch.arange(len(part)), at])
    return {site: torch.cat(rows) for site, rows in found.items()}
