"""What does each part of a language model add to an answer? Direct logit attribution."""

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
    """How much does each part add to the logit of an answer less its rival's? Means over texts.

    The parts sum to `measured`, which is the model's own logit difference. bias: what the
    final norm's bias adds alone. rests: what attention writes beside its heads (its bias).
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
    """One MLP's neurons: how active, what each adds, and what the MLP writes beside them."""

    activation: Float[Tensor, " m"]
    adds: Float[Tensor, " m"]
    rest: Float[Tensor, ""]


class Attribution:
    """One pass over some texts, each looked at in one place; all means are over the texts.

    The final norm's scale is frozen at that of the run, so that parts add up. Probes: one a
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
        self.way = rows[followed.answer] - rows[followed.rival]
        self.at = _seen(specimen, ids, places)
        self.whole = self.at[layers(specimen)[-1]]

    def parts(self) -> LogitParts:
        """What each part adds."""
        added = []
        for layer, block in enumerate(blocks(self.specimen)):
            writes = self.weights.head_writes(layer, self.at[f"{block}.heads"][:, None])[:, 0]
            rest = self.at[f"{block}.attn"] - writes.sum(1)
            heads = self._slope(writes, self.whole[:, None]).mean(0)
            added.append((heads, self._adds(rest), self._adds(self.at[f"{block}.mlp"])))
        heads, rests, mlps = (torch.stack(kind) for kind in zip(*added, strict=True))
        embed, bias = self._adds(self.at["embed"]), self.weights.bias @ self.way
        return LogitParts(embed, heads, rests, mlps, bias, self._measured())

    def neurons(self, layer: int) -> Neurons:
        """The same for each neuron of one MLP."""
        block, written = blocks(self.specimen)[layer], self.weights.layers[layer].writes
        active = self.at[f"{block}.neurons"]
        slopes = torch.stack([self._slope(written, whole) for whole in self.whole])
        each = (active * slopes).mean(0)
        return Neurons(active.mean(0), each, self._adds(self.at[f"{block}.mlp"]) - each.sum())

    def _slope(self, part: Float[Tensor, "... d"], whole: Tensor) -> Float[Tensor, "..."]:
        """What a part of the final stream adds to the logit difference."""
        return self.weights.normalise(part, whole) @ (self.weights.gain * self.way)

    def _adds(self, part: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        return self._slope(part, self.whole).mean(0)

    def _measured(self) -> Float[Tensor, ""]:
        logits = self.specimen.unembed(self.whole)
        return (logits[:, self.followed.answer] - logits[:, self.followed.rival]).mean()


def _seen(
    specimen: Specimen, ids: Int[Tensor, "n t"], places: Int[Tensor, " n"]
) -> dict[str, Float[Tensor, "n ..."]]:
    """What stands at one place of each text, at every site that writes and at the stream's end."""
    kinds = ("heads", "attn", "neurons", "mlp")
    writers = [f"{block}.{kind}" for block in blocks(specimen) for kind in kinds]
    found: dict[str, list[Tensor]] = {s: [] for s in ("embed", *writers, layers(specimen)[-1])}
    for part, at in zip(batches(ids), places.split(len(next(batches(ids)))), strict=True):
        kept = specimen.run(part, keep=found, whole=False).kept
        for site, rows in found.items():
            rows.append(kept[site][torch.arange(len(part)), at])
    return {site: torch.cat(rows) for site, rows in found.items()}
