"""The specimen: the model under audit, and the only access to it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import Dataset, TextDataset
from auditgame.models import ImageModel, Model, TextModel
from auditgame.models.layers import Selective
from auditgame.registry import suggest
from auditgame.schema.cards import Site
from auditgame.schema.diagnosis import parse_unit
from auditgame.schema.errors import Invalid

if TYPE_CHECKING:
    from auditgame.models.layers.transformer_weights import TransformerWeights

Edit = Callable[[Tensor], Tensor]

BATCH = 96
"""Inputs of one pass by default."""
PIXELS = BATCH * 64 * 64
"""Most pixels of one pass of `classify` or `collect`: large images go in smaller batches."""
NUMBERS = 2**26
"""Most activations in one layer of such a pass: so do long texts in wide models."""
FINAL = "final"
"""The site of a text model from which next-token logits are computed."""


class _Seen(Exception):
    """Every requested site has been seen; the rest of the pass is not needed."""


@dataclass(frozen=True)
class Reading:
    """The result of one forward pass.

    classes: class logits `n k`. kept: the value at each requested site. inputs: what to
    differentiate with respect to, if `grad` was requested (the images themselves, the token
    embeddings of a text, or a site's value). read: computes the output.
    """

    classes: Float[Tensor, "n k"]
    read: Callable[[], Tensor]
    kept: Mapping[str, Tensor]
    inputs: Tensor

    @functools.cached_property
    def output(self) -> Tensor:
        """The model's raw output; next-token logits of texts are computed on first access."""
        return self.read()


@dataclass
class _Watch(Selective):
    """The tap of one pass: which values are kept or edited, and where gradients start."""

    wanted: frozenset[str]
    edits: Mapping[str, Edit]
    start: str | None
    whole: bool
    leaf: Tensor
    kept: dict[str, Tensor] = field(default_factory=dict)
    final: Tensor | None = None

    def sees(self, name: str) -> bool:
        """Is the site kept, edited, or where gradients start?"""
        return name in self.wanted or name in self.edits or name == self.start

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """The value to continue with; ends the pass where nothing more is needed."""
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
    """A frozen model with its data set; a pass keeps no state, so that threads can share it.

    map_site: the site whose maps localise best, empty where the model has no preference.
    sites: the model's sites by name, in the order of the forward pass.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self._model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.dataset = dataset
        self.modality = model.modality
        self.model_name = model.name
        self.map_site = model.map_site if isinstance(model, ImageModel) else ""
        self.sites: dict[str, Site] = {site.name: site for site in model.sites}

    @property
    def texts(self) -> TextDataset:
        """The data set, known to hold texts; AuditgameError where it holds images."""
        return TextDataset.of(self.dataset, f"this use of model '{self.model_name}'")

    def run(
        self,
        inputs: Tensor,
        keep: Iterable[str] = (),
        edit: Mapping[str, Edit] | None = None,
        grad: bool | str = False,
        whole: bool = True,
    ) -> Reading:
        """One forward pass that can keep values of sites, edit them, and allow gradients.

        Gradients are computed by the caller with torch.autograd.grad; parameters stay frozen.
        `grad` may name the site that they reach back to; nothing is recorded before it.
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

        Texts of similar length are batched together and cut to the longest of them.
        """
        most = self.fitting(inputs, batch)
        if self.modality == "image" or edit or not len(inputs):
            return torch.cat([self.run(part, edit=edit).classes for part in inputs.split(most)])
        lengths = self.texts.lengths(inputs)
        order = lengths.argsort(stable=True)
        found = [
            self.run(inputs[rows, : int(lengths[rows].max())]).classes for rows in order.split(most)
        ]
        return torch.cat(found)[order.argsort()]

    def predict(self, inputs: Tensor, edit: Mapping[str, Edit] | None = None) -> Int[Tensor, " n"]:
        """The predicted class of each input."""
        return self.classify(inputs, edit).argmax(1)

    def collect(self, inputs: Tensor, site: str, batch: int = BATCH) -> Tensor:
        """The values at one site for any number of inputs."""
        parts = inputs.split(self.fitting(inputs, batch))
        return torch.cat([self.run(part, keep=[site]).kept[site] for part in parts])

    def fitting(self, inputs: Tensor, batch: int) -> int:
        """The batch size for these inputs: `batch`, or fewer where inputs are large."""
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
        """The site and index of a unit such as `conv3:17`; AuditgameError where there is none."""
        name, index = parse_unit(text)
        site = self.site(name)
        if index >= site.units:
            raise Invalid(f"unit '{text}': site {name} has units 0 to {site.units - 1}")
        return site, index

    def weights(self) -> dict[str, Tensor]:
        """A copy of every parameter and buffer, by name."""
        return {name: value.clone() for name, value in self._model.state_dict().items()}

    def unembed(self, residual: Float[Tensor, "... d"]) -> Float[Tensor, "... v"]:
        """Next-token logits of a residual stream; AuditgameError where there is no text model."""
        with torch.no_grad():
            return self._text_model.unembed(residual)

    def transformer_weights(self) -> TransformerWeights:
        """The weights of heads and neurons; AuditgameError where there is no text model."""
        with torch.no_grad():
            return self._text_model.transformer_weights()

    def randomised(self, stages: int | None, rng: torch.Generator) -> Specimen:
        """The same network with its last `stages` weight tensors randomised; None: all of them.

        Each keeps its mean and standard deviation. For the model-randomisation check of saliency
        maps (Adebayo et al. 2018, arXiv:1810.03292).
        """
        model = copy.deepcopy(self._model)
        matrices = [p for p in model.parameters() if p.dim() > 1]
        for weight in matrices if stages is None else matrices[-stages:]:
            noise = torch.randn(weight.shape, generator=rng)
            weight.data = weight.data.mean() + weight.data.std() * noise
        return Specimen(model, self.dataset)

    @property
    def _text_model(self) -> TextModel:
        if not isinstance(self._model, TextModel):
            raise Invalid(f"model '{self.model_name}' reads no texts; choose a text model")
        return self._model

    def _classes(self, inputs: Tensor, output: Tensor) -> Float[Tensor, "n k"]:
        if self.modality == "image":
            return output
        return self._last(inputs, output)[:, list(self.texts.answers())]

    def _read(
        self, inputs: Tensor, final: Tensor, kept: Mapping[str, Tensor], leaf: Tensor
    ) -> Reading:
        """The class logits of texts, from their last token; other logits are computed on demand."""

        def output() -> Tensor:
            with torch.set_grad_enabled(final.requires_grad):
                return model.logits(final)

        model, answers = self._text_model, list(self.texts.answers())
        classes = model.logits(self._last(inputs, final))[:, answers]
        return Reading(classes, output, kept, leaf)

    def _last(self, inputs: Tensor, value: Float[Tensor, "n t d"]) -> Float[Tensor, "n d"]:
        return value[torch.arange(len(inputs)), self.texts.lengths(inputs) - 1]

    def _numbers(self, words: int) -> int:
        """Activations of one text of this length in a layer: attention patterns and unit values."""
        kinds = {site.kind: site.units for site in self.sites.values()}
        patterns = kinds.get("pattern", 0) * words
        return max(1, words * (3 * patterns + 4 * kinds.get("neuron", 0)))


def _packed(inputs: Tensor) -> Tensor:
    """Images with channels last in memory: pooling is 3 times as fast, convolution 1.4 times."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs
