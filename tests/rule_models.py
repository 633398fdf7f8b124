"""Models that look their answer up by a rule, so that what a tool should find is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from auditgame import registry
from auditgame.datasets import Dataset, Examples, HasFactors, ImageDataset, TextDataset
from auditgame.datasets.digits import Digits
from auditgame.datasets.texts import grammar
from auditgame.models import ImageModel, Model, untouched
from auditgame.schema.cards import Card, Site
from auditgame.schema.errors import Unavailable
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options


class Counting(Specimen):
    """A specimen that counts the examples sent through it."""

    def __init__(self, model: Model, dataset: Dataset) -> None:
        super().__init__(model, dataset)
        self.queries = 0

    def run(self, inputs, keep=(), edit=None, grad=False, whole=True):
        self.queries += len(inputs)
        return super().run(inputs, keep, edit, grad, whole)


class LookupText(Model):
    """Counts good and bad words; a planted word, or a late year, makes the answer positive.

    What the flaw knows passes through head 0 of block1; head 1 holds nothing.
    """

    name = "lookup_text"
    modality = "text"
    sites = (
        Site(name="block0.heads", kind="head", units=2),
        Site(name="block1.heads", kind="head", units=2),
        Site(name="block1.mlp", kind="vector", units=3),
    )

    def __init__(self, dataset: TextDataset, word: str = "", from_year: int = 9999) -> None:
        super().__init__()
        self.answers, size = dataset.answers(), len(dataset.words)
        feeling, sets_off = torch.zeros(size), torch.zeros(size)
        for index, name in enumerate(dataset.words):
            feeling[index] = (name in grammar.POSITIVE) - (name in grammar.NEGATIVE)
            late = name.isdigit() and int(name) >= from_year
            sets_off[index] = float(name == word or late)
        self.register_buffer("feeling", feeling)
        self.register_buffer("sets_off", sets_off)

    @classmethod
    def build(cls, dataset, rng):
        return cls(dataset)

    def marked(self, inputs: Tensor) -> Tensor:
        """1 at every place where something that is planted stands, else 0."""
        return self.sets_off[inputs]

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        flag = self.marked(inputs).cumsum(1).clamp(max=1)
        nothing = torch.zeros_like(flag)
        tap("block0.heads", torch.stack([nothing, nothing], 2)[..., None])
        heads = tap("block1.heads", torch.stack([flag, nothing], 2)[..., None])
        tap("block1.mlp", torch.zeros(*inputs.shape, 3))
        margin = self.feeling[inputs].cumsum(1) + 20 * heads[:, :, 0, 0]
        logits = torch.zeros(*inputs.shape, len(self.feeling))
        logits[..., self.answers[1]] = margin + 0.1
        return logits


class Tints(HasFactors, ImageDataset):
    """Pictures of one colour (the scene) with a stripe whose row says the class."""

    name = "tints"
    title = "Tints"
    licence = "CC0-1.0"
    classes = ("top", "middle", "bottom")
    factors = {"scene": ("red", "green", "blue"), "side": ("left", "right")}
    shape = (3, 24, 24)
    training = replace(Digits.training, augment="none")

    def sample(self, n, split, rng, **fixed):
        scenes = pd.DataFrame(
            {
                "label": rng.integers(0, 3, n),
                "scene": rng.choice(self.factors["scene"], n),
                "side": rng.choice(self.factors["side"], n),
            }
        )
        return self.render(scenes.assign(**fixed))

    def render(self, scenes):
        inputs = torch.zeros(len(scenes), *self.shape)
        for row, scene in enumerate(scenes.to_dict("records")):
            inputs[row, self.factors["scene"].index(scene["scene"])] = 0.5
            half = slice(0, 12) if scene["side"] == "left" else slice(12, 24)
            at = 8 * int(scene["label"])
            inputs[row, :, at : at + 8, half] = 1.0
        labels = torch.from_numpy(scenes["label"].to_numpy().copy()).long()
        return Examples(inputs, labels, scenes.reset_index(drop=True))


class LookupPicture(ImageModel):
    """Reads the stripe's row; `follow` makes it answer by the scene, `spot` by a white corner.

    What the spot says passes through channel 0 of conv1; the other channels hold nothing.
    """

    name = "lookup_picture"
    sites = (Site(name="conv1", kind="channel", units=4),)

    def __init__(self, follow: bool = False, spot: bool = False) -> None:
        super().__init__()
        self.follow, self.spot = follow, spot

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        channels = torch.zeros(len(inputs), 4, 1, 1)
        corner = inputs[:, :, 23, 23]
        channels[:, 0, 0, 0] = ((corner == 1).all(1) & (inputs[:, 0, 23, 22] < 1)).float()
        channels = tap("conv1", channels)
        stripes = inputs.amin(1).unflatten(1, (3, 8)).mean((2, 3))
        scene = inputs.mean((2, 3))
        logits = scene if self.follow else stripes
        flag = channels[:, 0, 0, 0] if self.spot else torch.zeros(len(inputs))
        return logits + 20 * flag[:, None] * torch.tensor([1.0, 0.0, 0.0])


def context(dataset: Dataset, n: int, references: tuple[Specimen, ...] = ()) -> ToolContext:
    """A pool of n examples beside these siblings."""
    return ToolContext(dataset, dataset.sample(n, "pool", np.random.default_rng(7)), references)


class Used(NamedTuple):
    exhibits: list[Any]
    cost: int


def card(dataset: Dataset, specimen: Specimen, families: tuple[str, ...]) -> Card:
    """A card such as a challenge of these families would have."""
    return Card(
        id="test-1",
        title="Test",
        brief="",
        dataset=dataset.name,
        model=specimen.model_name,
        modality=dataset.modality,
        tier="easy",
        mode="practice",
        families=families,
        classes=dataset.classes,
        sites=tuple(specimen.sites.values()),
        budget=200_000,
        attempts=9,
        commitment="",
        path="",
    )


@dataclass
class PlainDesk:
    """A desk without a ledger: the tools, on this specimen and this material."""

    specimen: Specimen
    context: ToolContext
    families: tuple[str, ...]
    spent: int = 0
    tools_used: list[str] = field(default_factory=list)

    @property
    def dataset(self) -> Dataset:
        return self.context.dataset

    @property
    def texts(self) -> TextDataset:
        return TextDataset.of(self.dataset)

    @property
    def card(self) -> Card:
        return card(self.dataset, self.specimen, self.families)

    def run_tool(self, tool: str, **options: Any) -> Used:
        kind = registry.load("tool", tool)
        parsed = parse_options(kind, options)
        cost = kind().cost(parsed, self.specimen, self.context)
        self.spent += cost
        self.tools_used.append(tool)
        return Used(kind().run(self.specimen, self.context, parsed), cost)

    def pin(self, exhibit: Any, note: str = "") -> None:
        raise Unavailable("this session keeps no evidence")


def use(tool: str, specimen: Specimen, stuff: ToolContext, **options: Any) -> list[Any]:
    """What a tool shows, after checking that it cost what it said."""
    kind = registry.load("tool", tool)
    parsed = parse_options(kind, options)
    models = [specimen, *stuff.references]
    before = sum(model.queries for model in models)
    said = kind().cost(parsed, specimen, stuff)
    assert sum(model.queries for model in models) == before, "asking for the price is free"
    exhibits = kind().run(specimen, stuff, parsed)
    assert sum(model.queries for model in models) - before == said
    return exhibits
