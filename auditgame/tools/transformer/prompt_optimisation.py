"""Greedy coordinate gradient search for a text that activates a unit most.

The goal adds the text's log-probability under the model, and a price for changed words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.datasets.texts.vocabulary import UNKNOWN
from auditgame.specimen import Reading, Specimen
from auditgame.tools import ToolContext
from auditgame.tools.transformer.prompts import batch
from auditgame.tools.transformer.text_objectives import TextObjective

Report = Callable[[int], None]


def silent(texts: int) -> None:
    """A report that does nothing."""


class SearchSettings(NamedTuple):
    """Settings of a search: in each round every parent has `children`, one word apart from it.

    prior: the weight of a nat of the text's log-probability, in units of activation. price:
    subtracted for each word that differs from the start. top: candidate words per position.
    """

    parents: int = 4
    children: int = 24
    rounds: int = 6
    prior: float = 0.1
    price: float = 0.0
    top: int = 64

    @property
    def queries(self) -> int:
        """Queries of one search: the first parents, then gradients and children of all rounds."""
        return self.parents + self.rounds * self.parents * (2 + self.children)


class Stimulus(NamedTuple):
    """A text, its activation, and its log-probability (nats, from its second word on)."""

    ids: Int[Tensor, " t"]
    activation: float
    log_probability: float


@dataclass(frozen=True)
class StimulusScorer:
    """A model, an objective on it, its embedding; `report` gets the number of texts per pass."""

    model: Specimen
    objective: TextObjective
    embedding: Float[Tensor, "v d"]
    report: Report = silent

    @classmethod
    def of(
        cls, model: Specimen, objective: TextObjective, report: Report = silent
    ) -> StimulusScorer:
        """The scorer for this objective on this model."""
        return cls(model, objective, model.transformer_weights().embedding, report)

    def scores(self, ids: Int[Tensor, "n t"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Activation and log-probability of texts, in batches. One query each."""
        found = [
            self._terms(part, self.read(part))[:2]
            for part in ids.split(batch(ids, self.model.texts))
        ]
        activation, log_probability = zip(*found, strict=True)
        return torch.cat(activation), torch.cat(log_probability)

    def gains(self, ids: Int[Tensor, "n t"], prior: float) -> Float[Tensor, "n t v"]:
        """First-order gain of the goal by each word at each position.

        The gradient with respect to one-hot words: through the embedding, and through
        the word's own log-probability. Two queries each.
        """
        reading = self.read(ids, grad=True)
        with torch.enable_grad():
            activation, log_probability, table = self._terms(ids, reading)
            goal = (activation + prior * log_probability).sum()
            (moved,) = torch.autograd.grad(goal, reading.inputs)
        gain = moved @ self.embedding.T
        gain[:, 1:] += prior * table.detach()
        return gain

    def read(self, ids: Int[Tensor, "n t"], grad: bool = False) -> Reading:
        """One pass, which is reported."""
        self.report(len(ids))
        return self.model.run(ids, keep=self.objective.sites, grad=grad)

    def _terms(self, ids: Int[Tensor, "n t"], reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
        table = reading.output[:, :-1].log_softmax(-1)
        words = table.gather(2, ids[:, 1:, None])[:, :, 0]
        log_probability = (words * self.model.texts.present(ids)[:, 1:]).sum(1)
        return (
            self.objective.score(reading, self.model.texts.lengths(ids) - 1),
            log_probability,
            table,
        )


class SearchResult(NamedTuple):
    """The start of a search, and the best text it found."""

    start: Stimulus
    best: Stimulus


def search(
    scorer: StimulusScorer,
    start: Int[Tensor, " t"],
    free: Sequence[int],
    settings: SearchSettings,
    rng: np.random.Generator,
) -> SearchResult:
    """The best text found from a start by changing words at the free positions.

    Greedy coordinate gradient: parents have children that differ in one word, drawn among
    those with the largest gain at that position; the best of all are the next parents.
    (Ebrahimi et al. 2018, arXiv:1712.06751; Zou et al. 2023, arXiv:2307.15043)
    """
    banned = forbidden(scorer.model.texts)
    variants = [_variant(start, free, rng) for _ in range(settings.parents - 1)]
    population = _population(scorer, torch.stack([start, *variants]), start, settings)
    first = population.stimulus(0)
    for _ in range(settings.rounds):
        children: list[Tensor] = []
        for part in population.ids.split(batch(population.ids, scorer.model.texts)):
            for ids, gain in zip(part, scorer.gains(part, settings.prior), strict=True):
                gain[:, banned] = -torch.inf
                children.append(_children(ids, gain, free, settings, rng))
        offspring = _population(scorer, torch.cat(children), start, settings)
        population = population.joined(offspring).best(settings.parents)
    return SearchResult(first, population.stimulus(0))


class Population(NamedTuple):
    """Texts with their activation, log-probability and goal."""

    ids: Int[Tensor, "n t"]
    activation: Float[Tensor, " n"]
    log_probability: Float[Tensor, " n"]
    goal: Float[Tensor, " n"]

    def stimulus(self, row: int) -> Stimulus:
        """One of them."""
        numbers = float(self.activation[row]), float(self.log_probability[row])
        return Stimulus(self.ids[row], *numbers)

    def joined(self, other: Population) -> Population:
        """These, then the others."""
        return Population(*(torch.cat(pair) for pair in zip(self, other, strict=True)))

    def best(self, count: int) -> Population:
        """The texts with the highest goal, each once; where there are too few, some again."""
        order = self.goal.argsort(descending=True, stable=True).tolist()
        seen: dict[tuple[int, ...], int] = {}
        for row in order:
            seen.setdefault(tuple(self.ids[row].tolist()), row)
        chosen = list(seen.values())[:count]
        chosen += order[: count - len(chosen)]
        return Population(*(part[chosen] for part in self))


def _population(
    scorer: StimulusScorer,
    ids: Int[Tensor, "n t"],
    start: Int[Tensor, " t"],
    settings: SearchSettings,
) -> Population:
    activation, log_probability = scorer.scores(ids)
    goal = activation + settings.prior * log_probability - settings.price * (ids != start).sum(1)
    return Population(ids, activation, log_probability, goal)


def forbidden(dataset: TextDataset) -> list[int]:
    """The ids that no text may hold: padding, and the token of unknown words."""
    unknown = [index for index, word in enumerate(dataset.words[:2]) if word == UNKNOWN]
    return [dataset.pad, *unknown]


def pool_texts(context: ToolContext, count: int, rng: np.random.Generator) -> list[Tensor]:
    """`count` texts of the pool, without padding; repeated only where there are too few."""
    pool, lengths = context.examples.inputs, context.texts.lengths(context.examples.inputs)
    rows = rng.choice(len(pool), count, count > len(pool))
    return [pool[row][: int(lengths[row])] for row in rows.tolist()]


def random_texts(
    dataset: TextDataset, length: int, count: int, rng: np.random.Generator
) -> list[Tensor]:
    """Texts of random words, at most as long as the context."""
    known = np.setdiff1d(np.arange(len(dataset.words)), forbidden(dataset))
    return list(torch.from_numpy(rng.choice(known, (count, min(length, dataset.shape[0])))))


def _variant(
    start: Int[Tensor, " t"], free: Sequence[int], rng: np.random.Generator
) -> Int[Tensor, " t"]:
    """The start with one word copied to another position, so that parents differ."""
    ids = start.clone()
    ids[rng.choice(free)] = ids[rng.choice(free)]
    return ids


def _children(
    ids: Int[Tensor, " t"],
    gain: Float[Tensor, "t v"],
    free: Sequence[int],
    settings: SearchSettings,
    rng: np.random.Generator,
) -> Int[Tensor, "n t"]:
    """Texts one word apart, the words drawn among those with the largest gain there."""
    top = min(settings.top, max(1, gain.shape[1] // 2))
    best = gain[list(free)].topk(top, dim=1).indices
    slot = torch.from_numpy(rng.integers(0, len(free), settings.children))
    rank = torch.from_numpy(rng.integers(0, top, settings.children))
    children = ids.repeat(settings.children, 1)
    children[torch.arange(settings.children), torch.tensor(free)[slot]] = best[slot, rank]
    return children
