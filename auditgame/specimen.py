"""The model on the table, and the one door to it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Dataset
from auditgame.models import Model
from auditgame.models.layers import Selective
from auditgame.models.layers.transformer_weights import TransformerWeights
from auditgame.registry import suggest
from auditgame.schema.cards import Site
from auditgame.schema.diagnosis import parse_unit
from auditgame.schema.errors import AuditgameError

Edit = Callable[[Tensor], Tensor]

BATCH = 96
"""Inputs of one pass, where nobody says otherwise."""
PIXELS = BATCH * 64 * 64
"""No pass of `classify` or `collect` takes more pixels than these: large pictures go few by few."""
NUMBERS = 2**26
"""Nor more numbers in one layer at once than these: so do long texts in wide models."""
FINAL = "final"
"""The site of a text model from which its word logits are read, row by row."""


class _Seen(Exception):
    """Every site that was asked for has been seen; the rest of the pass is not needed."""


@dataclass(frozen=True)
class Reading:
    """What one pass showed.

    classes: class logits `n k`. kept: the value at each site asked for. inputs: what to
    differentiate with respect to, if `grad` was asked for (the pictures themselves, the
    token embeddings of a text, or a site's value). read: how to come by the output.
    """

    classes: Float[Tensor, "n k"]
    read: Callable[[], Tensor]
    kept: Mapping[str, Tensor]
    inputs: Tensor

    @functools.cached_property
    def output(self) -> Tensor:
        """The model's raw output. A text's word logits are many: made when first asked for."""
        return self.read()


@dataclass
class _Watch(Selective):
    """What one pass is to show: values kept or edited, and where gradients start."""

    wanted: frozenset[str]
    edits: Mapping[str, Edit]
    start: str | None
    whole: bool
    leaf: Tensor
    kept: dict[str, Tensor] = field(default_factory=dict)
    final: Tensor | None = None

    def sees(self, name: str) -> bool:
        """Is it kept, edited, or where gradients start?"""
        return name in self.wanted or name in self.edits or name == self.start

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """The value to go on with; ends the pass where nothing more is needed of it."""
        if name == self.start:
            value = value if value.requires_grad else value.detach().requires_grad_()
            self.leaf = value
        if name in self.edits:
            value = self.edits[name](value)
        if name in self.wanted:
            self.kept[name] = value
            if not self.whole and len(self.kept) == len(self.wanted):
                raise _Seen
        if name == FINAL:
            self.final = value
            raise _Seen
        return value


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
        pixels = grad is True and inputs.is_floating_point()
        source = inputs
        if pixels and not inputs.requires_grad:
            source = inputs.detach().requires_grad_()
        named = grad if isinstance(grad, str) else None
        start = "embed" if grad is True and not pixels else named
        watch = _Watch(frozenset(keep), edit or {}, start, whole, source)
        for name in watch.wanted | watch.edits.keys() | ({named} if named else set()):
            self.site(name)
        with torch.enable_grad() if grad else torch.no_grad():
            try:
                output = self._model(_packed(source), watch)
                classes = self._classes(source, output)
                return Reading(classes, lambda: output, watch.kept, watch.leaf)
            except _Seen:
                if watch.final is not None and whole:
                    return self._read(source, watch.final, watch.kept, watch.leaf)
                nothing = torch.empty(len(inputs), 0)
                return Reading(nothing, lambda: nothing, watch.kept, watch.leaf)

    def classify(
        self, inputs: Tensor, edit: Mapping[str, Edit] | None = None, batch: int = BATCH
    ) -> Float[Tensor, "n k"]:
        """Class logits of any number of inputs, in batches, without gradients.

        Texts of like length go together, cut to the longest of them: padding says nothing.
        """
        most = self.fitting(inputs, batch)
        if self.modality == "image" or edit or not len(inputs):
            return torch.cat([self.run(part, edit=edit).classes for part in inputs.split(most)])
        lengths = self.dataset.lengths(inputs)
        order = lengths.argsort(stable=True)
        found = [
            self.run(inputs[rows, : int(lengths[rows].max())]).classes for rows in order.split(most)
        ]
        return torch.cat(found)[order.argsort()]

    def predict(self, inputs: Tensor, edit: Mapping[str, Edit] | None = None) -> Int[Tensor, " n"]:
        """The class each input goes to."""
        return self.classify(inputs, edit).argmax(1)

    def collect(self, inputs: Tensor, site: str, batch: int = BATCH) -> Tensor:
        """The values at one site for any number of inputs."""
        parts = inputs.split(self.fitting(inputs, batch))
        return torch.cat([self.run(part, keep=[site]).kept[site] for part in parts])

    def fitting(self, inputs: Tensor, batch: int) -> int:
        """As many inputs as asked for, or as many large ones as there is room for in a pass."""
        if inputs.dim() == 4:
            return max(1, min(batch, PIXELS // (inputs.shape[2] * inputs.shape[3])))
        if inputs.dim() != 2:
            return batch
        return max(1, min(batch, NUMBERS // self._numbers(inputs.shape[1])))

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

    def transformer_weights(self) -> TransformerWeights:
        """Text only: the weights of heads and neurons, one by one."""
        with torch.no_grad():
            return self._model.transformer_weights()

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
        return self._last(inputs, output)[:, list(self.dataset.answers())]

    def _read(
        self, inputs: Tensor, final: Tensor, kept: Mapping[str, Tensor], leaf: Tensor
    ) -> Reading:
        """A text's class logits, from its last word alone; the other logits wait."""

        def output() -> Tensor:
            with torch.set_grad_enabled(final.requires_grad):
                return self._model.logits(final)

        answers = list(self.dataset.answers())
        classes = self._model.logits(self._last(inputs, final))[:, answers]
        return Reading(classes, output, kept, leaf)

    def _last(self, inputs: Tensor, value: Float[Tensor, "n t d"]) -> Float[Tensor, "n d"]:
        return value[torch.arange(len(inputs)), self.dataset.lengths(inputs) - 1]

    def _numbers(self, words: int) -> int:
        """What one text of so many words fills in a layer: patterns, and values of its units."""
        kinds = {site.kind: site.units for site in self.sites.values()}
        patterns = kinds.get("pattern", 0) * words
        return max(1, words * (3 * patterns + 4 * kinds.get("neuron", 0)))


def _packed(inputs: Tensor) -> Tensor:
    """Pictures with their channels innermost: pooling is three times as fast, convolution 1.4."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs
