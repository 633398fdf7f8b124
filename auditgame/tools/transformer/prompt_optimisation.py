"""Which text excites a unit most, and is likely under the model? A search word by word."""

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


def unheard(texts: int) -> None:
    """The report that goes nowhere."""


class SearchSettings(NamedTuple):
    """How is searched? Each round, every parent has so many children, one word apart from it.

    prior: how much a nat of the text's log-probability counts, in units of excitement. price:
    what each word that differs from the start must bring. top: words a place that children
    draw from.
    """

    parents: int = 4
    children: int = 24
    rounds: int = 6
    prior: float = 0.1
    price: float = 0.0
    top: int = 64

    @property
    def queries(self) -> int:
        """Of one search: the first parents, then their gradients and their children."""
        return self.parents + self.rounds * self.parents * (2 + self.children)


class Stimulus(NamedTuple):
    """A text, how strongly it excites, and its log-probability (nats, from its second word on)."""

    ids: Int[Tensor, " t"]
    excites: float
    likely: float


@dataclass(frozen=True)
class StimulusScorer:
    """A model, what is to be excited in it, its embedding, and who is told of each pass's texts."""

    model: Specimen
    aim: TextObjective
    embedding: Float[Tensor, "v d"]
    report: Report = unheard

    @classmethod
    def of(cls, model: Specimen, aim: TextObjective, report: Report = unheard) -> StimulusScorer:
        """The judge for this aim on this model."""
        return cls(model, aim, model.transformer_weights().embedding, report)

    def weigh(self, ids: Int[Tensor, "n t"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Excitement and log-probability of texts, in batches. One probe each."""
        found = [
            self._weigh(part, self.read(part))[:2]
            for part in ids.split(batch(ids, self.model.texts))
        ]
        excites, likely = zip(*found, strict=True)
        return torch.cat(excites), torch.cat(likely)

    def slope(self, ids: Int[Tensor, "n t"], prior: float) -> Float[Tensor, "n t v"]:
        """How much would the goal gain, to first order, by each word at each place?

        The gradient with respect to the one-hot words: through the embedding, and through
        the prior's own reading of the word. Two probes each.
        """
        reading = self.read(ids, grad=True)
        with torch.enable_grad():
            excites, likely, table = self._weigh(ids, reading)
            goal = (excites + prior * likely).sum()
            (moved,) = torch.autograd.grad(goal, reading.inputs)
        gain = moved @ self.embedding.T
        gain[:, 1:] += prior * table.detach()
        return gain

    def read(self, ids: Int[Tensor, "n t"], grad: bool = False) -> Reading:
        """One pass, told of."""
        self.report(len(ids))
        return self.model.run(ids, keep=self.aim.sites, grad=grad)

    def _weigh(self, ids: Int[Tensor, "n t"], reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
        table = reading.output[:, :-1].log_softmax(-1)
        words = table.gather(2, ids[:, 1:, None])[:, :, 0]
        likely = (words * self.model.texts.present(ids)[:, 1:]).sum(1)
        return self.aim.score(reading, self.model.texts.lengths(ids) - 1), likely, table


class SearchResult(NamedTuple):
    """The start of a search, and the best text that it came to."""

    start: Stimulus
    best: Stimulus


def search(
    judge: StimulusScorer,
    start: Int[Tensor, " t"],
    free: Sequence[int],
    plan: SearchSettings,
    rng: np.random.Generator,
) -> SearchResult:
    """The best text that one search finds from a start, changing words at the free places.

    Greedy coordinate gradient: parents have children that differ in one word, drawn among
    those that the gradient likes best at that place; the best of all go on.
    (Ebrahimi et al. 2018, arXiv:1712.06751; Zou et al. 2023, arXiv:2307.15043)
    """
    banned = forbidden(judge.model.texts)
    strays = [_stray(start, free, rng) for _ in range(plan.parents - 1)]
    crowd = _weighed(judge, torch.stack([start, *strays]), start, plan)
    first = crowd.stimulus(0)
    for _ in range(plan.rounds):
        young: list[Tensor] = []
        for part in crowd.ids.split(batch(crowd.ids, judge.model.texts)):
            for ids, gain in zip(part, judge.slope(part, plan.prior), strict=True):
                gain[:, banned] = -torch.inf
                young.append(_children(ids, gain, free, plan, rng))
        crowd = crowd.joined(_weighed(judge, torch.cat(young), start, plan)).best(plan.parents)
    return SearchResult(first, crowd.stimulus(0))


class Population(NamedTuple):
    """Texts with their excitement, log-probability and goal."""

    ids: Int[Tensor, "n t"]
    excites: Float[Tensor, " n"]
    likely: Float[Tensor, " n"]
    goal: Float[Tensor, " n"]

    def stimulus(self, row: int) -> Stimulus:
        """One of them."""
        return Stimulus(self.ids[row], float(self.excites[row]), float(self.likely[row]))

    def joined(self, other: Population) -> Population:
        """These, then the others."""
        return Population(*(torch.cat(pair) for pair in zip(self, other, strict=True)))

    def best(self, count: int) -> Population:
        """Those that reach highest, each text once; filled up with the best where they are few."""
        order = self.goal.argsort(descending=True, stable=True).tolist()
        seen: dict[tuple[int, ...], int] = {}
        for row in order:
            seen.setdefault(tuple(self.ids[row].tolist()), row)
        chosen = list(seen.values())[:count]
        chosen += order[: count - len(chosen)]
        return Population(*(part[chosen] for part in self))


def _weighed(
    judge: StimulusScorer, ids: Int[Tensor, "n t"], start: Int[Tensor, " t"], plan: SearchSettings
) -> Population:
    excites, likely = judge.weigh(ids)
    goal = excites + plan.prior * likely - plan.price * (ids != start).sum(1)
    return Population(ids, excites, likely, goal)


def forbidden(dataset: TextDataset) -> list[int]:
    """The ids that no text may hold: padding, and what stands for unknown words."""
    unknown = [index for index, word in enumerate(dataset.words[:2]) if word == UNKNOWN]
    return [dataset.pad, *unknown]


def pool_texts(context: ToolContext, count: int, rng: np.random.Generator) -> list[Tensor]:
    """So many texts of the pool, without padding; each once while there are enough."""
    pool, lengths = context.examples.inputs, context.texts.lengths(context.examples.inputs)
    rows = rng.choice(len(pool), count, count > len(pool))
    return [pool[row][: int(lengths[row])] for row in rows.tolist()]


def random_texts(
    dataset: TextDataset, length: int, count: int, rng: np.random.Generator
) -> list[Tensor]:
    """Texts of random words, no longer than the data set's longest."""
    known = np.setdiff1d(np.arange(len(dataset.words)), forbidden(dataset))
    return list(torch.from_numpy(rng.choice(known, (count, min(length, dataset.shape[0])))))


def _stray(
    start: Int[Tensor, " t"], free: Sequence[int], rng: np.random.Generator
) -> Int[Tensor, " t"]:
    """The start with one word copied to another place, so that parents differ."""
    ids = start.clone()
    ids[rng.choice(free)] = ids[rng.choice(free)]
    return ids


def _children(
    ids: Int[Tensor, " t"],
    gain: Float[Tensor, "t v"],
    free: Sequence[int],
    plan: SearchSettings,
    rng: np.random.Generator,
) -> Int[Tensor, "n t"]:
    """Texts one word apart, the words drawn among those that the gradient likes best there."""
    top = min(plan.top, max(1, gain.shape[1] // 2))
    liked = gain[list(free)].topk(top, dim=1).indices
    slot = torch.from_numpy(rng.integers(0, len(free), plan.children))
    rank = torch.from_numpy(rng.integers(0, top, plan.children))
    young = ids.repeat(plan.children, 1)
    young[torch.arange(plan.children), torch.tensor(free)[slot]] = liked[slot, rank]
    return young
