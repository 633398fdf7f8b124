"""The model on the table, and the one door to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.catalog import suggest
from auditgame.datasets import Dataset
from auditgame.models import Model
from auditgame.networks.anatomy import Anatomy
from auditgame.types import AuditgameError, Site, parse_unit

Edit = Callable[[Tensor], Tensor]

BATCH = 96
"""Inputs of one pass, where nobody says otherwise."""
PIXELS = BATCH * 64 * 64
"""No pass of `classify` or `collect` takes more pixels than these: large pictures go few by few."""


class _Seen(Exception):
    """Every site that was asked for has been seen; the rest of the pass is not needed."""


@dataclass(frozen=True)
class Reading:
    """What one pass showed.

    classes: class logits `n k`. output: the model's raw output. kept: the value at each
    site asked for. inputs: what to differentiate with respect to, if `grad` was asked
    for (the pictures themselves, the token embeddings of a text, or a site's value).
    """

    classes: Float[Tensor, "n k"]
    output: Tensor
    kept: Mapping[str, Tensor]
    inputs: Tensor


class Specimen:
    """A frozen model with its data set. Safe to share between threads: a pass keeps no state."""

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self._model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.dataset = dataset
        self.modality = model.modality
        self.model_name = model.name
        self.map_site = model.map_site
        self.sites: dict[str, Site] = {site.name: site for site in model.sites}

    def run(
        self,
        inputs: Tensor,
        keep: Iterable[str] = (),
        edit: Mapping[str, Edit] | None = None,
        grad: bool | str = False,
        whole: bool = True,
    ) -> Reading:
        """One forward pass: keep the values of sites, edit them on the way, allow gradients.

        Gradients are taken by the caller with torch.autograd.grad; parameters stay frozen.
        `grad` may name the site they reach back to: nothing is remembered before it.
        A pass that is not `whole` ends at the last site kept: classes and output are empty.
        """
        wanted, edits, kept = set(keep), dict(edit or {}), {}
        start = grad if isinstance(grad, str) else "embed"
        for name in wanted | edits.keys() | ({start} if isinstance(grad, str) else set()):
            self.site(name)
        source, pixels = inputs, grad is True and inputs.is_floating_point()
        if pixels and not inputs.requires_grad:
            source = inputs.detach().requires_grad_()
        leaf = [source]

        def tap(name: str, value: Tensor) -> Tensor:
            if grad and name == start and not pixels:
                value = value if value.requires_grad else value.detach().requires_grad_()
                leaf[0] = value
            if name in edits:
                value = edits[name](value)
            if name in wanted:
                kept[name] = value
                if not whole and len(kept) == len(wanted):
                    raise _Seen
            return value

        with torch.enable_grad() if grad else torch.no_grad():
            try:
                output = self._model(_packed(source), tap)
            except _Seen:
                nothing = torch.empty(len(inputs), 0)
                return Reading(nothing, nothing, kept, leaf[0])
            return Reading(self._classes(source, output), output, kept, leaf[0])

    def classify(
        self, inputs: Tensor, edit: Mapping[str, Edit] | None = None, batch: int = BATCH
    ) -> Float[Tensor, "n k"]:
        """Class logits of any number of inputs, in batches, without gradients."""
        parts = inputs.split(_fitting(inputs, batch))
        return torch.cat([self.run(part, edit=edit).classes for part in parts])

    def predict(self, inputs: Tensor, edit: Mapping[str, Edit] | None = None) -> Int[Tensor, " n"]:
        """The class each input goes to."""
        return self.classify(inputs, edit).argmax(1)

    def collect(self, inputs: Tensor, site: str, batch: int = BATCH) -> Tensor:
        """The values at one site for any number of inputs."""
        parts = inputs.split(_fitting(inputs, batch))
        return torch.cat([self.run(part, keep=[site]).kept[site] for part in parts])

    def site(self, name: str) -> Site:
        """The site of this name, or an error with a suggestion."""
        if name not in self.sites:
            raise suggest("site", name, self.sites)
        return self.sites[name]

    def unit(self, text: str) -> tuple[Site, int]:
        """The site and index of a unit such as `conv3:17`, checked against the model."""
        name, index = parse_unit(text)
        site = self.site(name)
        if index >= site.units:
            raise AuditgameError(f"unit '{text}': site {name} has units 0 to {site.units - 1}")
        return site, index

    def weights(self) -> dict[str, Tensor]:
        """A copy of every parameter and buffer, by name."""
        return {name: value.clone() for name, value in self._model.state_dict().items()}

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Text only: next-token logits read off a residual stream (final norm, unembedding)."""
        with torch.no_grad():
            return self._model.unembed(residual)

    def anatomy(self) -> Anatomy:
        """Text only: the weights of heads and neurons, one by one."""
        with torch.no_grad():
            return self._model.anatomy()

    def randomised(self, stages: int | None, rng: torch.Generator) -> Specimen:
        """The same network with its last `stages` weight tensors redrawn; None: all of them.

        Each keeps its mean and spread. For the model-randomisation check of saliency maps
        (Adebayo et al. 2018, arXiv:1810.03292).
        """
        model = copy.deepcopy(self._model)
        matrices = [p for p in model.parameters() if p.dim() > 1]
        for weight in matrices if stages is None else matrices[-stages:]:
            noise = torch.randn(weight.shape, generator=rng)
            weight.data = weight.data.mean() + weight.data.std() * noise
        return Specimen(model, self.dataset)

    def _classes(self, inputs: Tensor, output: Tensor) -> Float[Tensor, "n k"]:
        if self.modality == "image":
            return output
        rows, last = torch.arange(len(inputs)), self.dataset.lengths(inputs) - 1
        return output[rows, last][:, list(self.dataset.answers())]


def _packed(inputs: Tensor) -> Tensor:
    """Pictures with their channels innermost: pooling is three times as fast, convolution 1.4."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


def _fitting(inputs: Tensor, batch: int) -> int:
    """As many inputs as asked for, or as many large pictures as there is room for."""
    if inputs.dim() < 4:
        return batch
    return max(1, min(batch, PIXELS // (inputs.shape[2] * inputs.shape[3])))
