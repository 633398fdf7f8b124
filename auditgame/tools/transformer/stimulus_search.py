"""Searches for maximally activating texts, on the specimen and on reference models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.schema.errors import Invalid
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext
from auditgame.tools.transformer.directions import at_answers, between
from auditgame.tools.transformer.prompt_optimisation import (
    SearchResult,
    SearchSettings,
    Stimulus,
    StimulusScorer,
    search,
)
from auditgame.tools.transformer.prompts import batch, words
from auditgame.tools.transformer.residual_stream import layers
from auditgame.tools.transformer.text_objectives import (
    ClassObjective,
    StreamDirectionObjective,
    TextObjective,
    head_vote_objective,
    unit_objective,
)
from auditgame.tools.vision.selection import choose

LEAST = 1e-3
"""Smallest standard deviation that is used."""


class SearchTarget(NamedTuple):
    """What a search maximises: a unit's output, a head's vote for a class, a direction, a class."""

    kind: Literal["output", "vote", "direction", "answer"]
    target: int
    anywhere: bool = False

    def on(self, model: Specimen, unit: str, context: ToolContext) -> TextObjective:
        """The objective on this model; a direction is that of the class in the unit's layer."""
        if self.kind == "output":
            return unit_objective(model, unit, self.anywhere)
        if self.kind == "vote":
            return head_vote_objective(model, unit, self.target)
        if self.kind == "answer":
            return ClassObjective(self.target)
        site = model.unit(unit)[0].name.split(".")[0]
        site = site if site in layers(model) else f"{site}.residual"
        found = at_answers(model, context.examples.inputs, [site], context)[site]
        mine = context.examples.labels == self.target
        if mine.all() or not mine.any():
            raise Invalid("target: the pool holds this class only, or not at all; choose another")
        return StreamDirectionObjective(
            site, between(found[mine], found[~mine]).unit, self.anywhere
        )

    def candidates(self, model: Specimen, unit: str) -> list[tuple[str, int]]:
        """Every unit of this one's kind: the candidates for a reference model's counterpart."""
        kind = model.unit(unit)[0].kind
        sites = [site for site in model.sites.values() if site.kind == kind]
        named = [(site.name, index) for site in sites for index in range(site.units)]
        return named if self.kind in ("output", "vote") else []


@dataclass
class SearchProgress:
    """The share of the work that is done, reported to `context.progress` at every pass."""

    whole: int
    context: ToolContext
    done: int = 0

    def tick(self, texts: int) -> None:
        """Count the texts of one pass, and report."""
        self.context.progress(min(1.0, self.done / self.whole), "searching for texts")
        self.done += texts


class UnitSearch(NamedTuple):
    """All searches for one unit of one model.

    scores: its activation on each text of the pool. pool: the best of them. spread: the
    standard deviation of the scores.
    """

    who: str
    unit: str
    scores: Float[Tensor, " n"]
    pool: Stimulus
    spread: float
    found: tuple[SearchResult, ...]

    @property
    def best(self) -> SearchResult:
        """The search with the strongest result."""
        return max(self.found, key=lambda found: found.best.activation)


@dataclass(frozen=True)
class StimulusSearch:
    """What is maximised, by which settings, from which starts.

    The settings' prior and price are in standard deviations of the activation over the pool.
    free: positions that may change, such as 1, 4-6; empty for all before the final question.
    """

    target: SearchTarget
    settings: SearchSettings
    starts: list[Int[Tensor, " t"]]
    free: str
    seed: int
    context: ToolContext
    report: Callable[[int], None]

    def on(self, who: str, unit: str, model: Specimen) -> UnitSearch:
        """The pool's scores, then a search from every start."""
        scorer = StimulusScorer.of(model, self.target.on(model, unit, self.context), self.report)
        pool = self.context.examples.inputs
        scores, log_probability = scorer.scores(pool)
        row, spread = int(scores.argmax()), max(float(scores.std(correction=0)), LEAST)
        settings, found = self.settings, []
        settings = settings._replace(prior=settings.prior * spread, price=settings.price * spread)
        for number, start in enumerate(self.starts):
            rng = Seed.of(self.seed).child(f"search {number}").numpy()
            found.append(search(scorer, start, self._places(start), settings, rng))
        ids = pool[row][: int(model.texts.lengths(pool[row : row + 1]))]
        best = Stimulus(ids, float(scores[row]), float(log_probability[row]))
        return UnitSearch(who, unit, scores, best, spread, tuple(found))

    def counterpart(self, own: UnitSearch, reference: Specimen) -> str:
        """The other unit of the reference model whose activations on the pool correlate most."""
        units, parts = self.target.candidates(reference, own.unit), []
        pool = self.context.examples.inputs
        for part in pool.split(batch(pool, reference.texts)):
            self.report(len(part))
            kept = reference.run(part, keep={site for site, _ in units}).kept
            last = reference.texts.lengths(part) - 1
            parts.append(torch.stack([_output(kept[site], i, last) for site, i in units]))
        values = torch.cat(parts, 1)
        values = values - values.mean(1, keepdim=True)
        along = values @ (own.scores - own.scores.mean()) / values.norm(dim=1).clamp(min=LEAST)
        names = [f"{site}:{index}" for site, index in units]
        along[names.index(own.unit)] = -torch.inf
        return names[int(along.argmax())]

    def _places(self, ids: Int[Tensor, " t"]) -> list[int]:
        if self.free:
            return choose(self.free, len(ids), "free")
        return list(range(self.context.texts.gaps(ids)[-1] or len(ids)))


def _output(value: Tensor, index: int, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """A neuron's value, or the norm of a head's output, at the answer's position."""
    found = value[torch.arange(len(value)), last, index]
    return found.norm(dim=-1) if found.dim() == 2 else found


def changes(found: SearchResult, dataset: TextDataset) -> list[tuple[int, str, str]]:
    """The words that a search changed: position, before, after."""
    before, after = (words(one.ids.tolist(), dataset) for one in found)
    pairs = enumerate(zip(before, after, strict=True))
    return [(place, old, new) for place, (old, new) in pairs if old != new]


def kind(word: str, dataset: TextDataset) -> str:
    """The factor of which this word is a level, or the word itself."""
    return next((f"any {f}" for f, levels in dataset.factors.items() if word in levels), word)


def word_counts(search: UnitSearch, dataset: TextDataset) -> Counter[str]:
    """By word (or factor): the number of searches that inserted it."""
    sets = [{kind(new, dataset) for _, _, new in changes(f, dataset)} for f in search.found]
    return Counter(name for names in sets for name in names)
