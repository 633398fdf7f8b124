"""The same search for a stimulus, on one model after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.schema.errors import AuditgameError
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
"""No spread counts as less than this."""


class SearchTarget(NamedTuple):
    """What is hunted: a unit's output, a head's vote for a class, a direction, or a class."""

    kind: Literal["output", "vote", "direction", "answer"]
    target: int
    anywhere: bool = False

    def on(self, model: Specimen, unit: str, context: ToolContext) -> TextObjective:
        """The aim on this model; a direction is that of the class in the unit's layer."""
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
            raise AuditgameError("target: the pool has nothing to tell this class from")
        return StreamDirectionObjective(
            site, between(found[mine], found[~mine]).unit, self.anywhere
        )

    def kin(self, model: Specimen, unit: str) -> list[tuple[str, int]]:
        """Every unit of the kind of this one: where a sibling's counterpart may be."""
        kind = model.unit(unit)[0].kind
        sites = [site for site in model.sites.values() if site.kind == kind]
        named = [(site.name, index) for site in sites for index in range(site.units)]
        return named if self.kind in ("output", "vote") else []


@dataclass
class SearchProgress:
    """How much of the work is done? Tells `material.progress` at every pass."""

    whole: int
    context: ToolContext
    done: int = 0

    def tick(self, texts: int) -> None:
        """So many texts go through."""
        self.context.progress(min(1.0, self.done / self.whole), "searching for texts")
        self.done += texts


class UnitSearch(NamedTuple):
    """All searches for one unit of one model.

    scores: how each text of the pool excites it. pool: the best of them. spread: of the scores.
    """

    who: str
    unit: str
    scores: Float[Tensor, " n"]
    pool: Stimulus
    spread: float
    found: tuple[SearchResult, ...]

    @property
    def best(self) -> SearchResult:
        """The search that came to the strongest text."""
        return max(self.found, key=lambda found: found.best.excites)


@dataclass(frozen=True)
class StimulusSearch:
    """What is hunted, how, from which starts, and which places of all of them may change.

    The plan's prior and price are in standard deviations of the excitement over the pool.
    free: places such as 1, 4-6; empty frees all before the questions at the end.
    """

    quarry: SearchTarget
    plan: SearchSettings
    starts: list[Int[Tensor, " t"]]
    free: str
    seed: int
    context: ToolContext
    report: Callable[[int], None]

    def hunt(self, who: str, unit: str, model: Specimen) -> UnitSearch:
        """The pool's scores, then a search from every start."""
        judge = StimulusScorer.of(model, self.quarry.on(model, unit, self.context), self.report)
        pool = self.context.examples.inputs
        scores, likely = judge.weigh(pool)
        row, spread = int(scores.argmax()), max(float(scores.std(correction=0)), LEAST)
        plan, found = self.plan, []
        plan = plan._replace(prior=plan.prior * spread, price=plan.price * spread)
        for number, start in enumerate(self.starts):
            rng = Seed.of(self.seed).child(f"search {number}").numpy()
            found.append(search(judge, start, self._places(start), plan, rng))
        ids = pool[row][: int(model.texts.lengths(pool[row : row + 1]))]
        best = Stimulus(ids, float(scores[row]), float(likely[row]))
        return UnitSearch(who, unit, scores, best, spread, tuple(found))

    def counterpart(self, mine: UnitSearch, reference: Specimen) -> str:
        """Another unit of the sibling's, whose outputs over the pool go most along with these."""
        units, parts = self.quarry.kin(reference, mine.unit), []
        pool = self.context.examples.inputs
        for part in pool.split(batch(pool, reference.texts)):
            self.report(len(part))
            kept = reference.run(part, keep={site for site, _ in units}).kept
            last = reference.texts.lengths(part) - 1
            parts.append(torch.stack([_output(kept[site], i, last) for site, i in units]))
        said = torch.cat(parts, 1)
        said = said - said.mean(1, keepdim=True)
        along = said @ (mine.scores - mine.scores.mean()) / said.norm(dim=1).clamp(min=LEAST)
        names = [f"{site}:{index}" for site, index in units]
        along[names.index(mine.unit)] = -torch.inf
        return names[int(along.argmax())]

    def _places(self, ids: Int[Tensor, " t"]) -> list[int]:
        if self.free:
            return choose(self.free, len(ids), "free")
        return list(range(self.context.texts.gaps(ids)[-1] or len(ids)))


def _output(value: Tensor, index: int, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """A neuron's value, or the length of a head's output, where the answer is read."""
    said = value[torch.arange(len(value)), last, index]
    return said.norm(dim=-1) if said.dim() == 2 else said


def changes(found: SearchResult, dataset: TextDataset) -> list[tuple[int, str, str]]:
    """Which words did a search change: place, before, after."""
    before, after = (words(one.ids.tolist(), dataset) for one in found)
    pairs = enumerate(zip(before, after, strict=True))
    return [(place, old, new) for place, (old, new) in pairs if old != new]


def kind(word: str, dataset: TextDataset) -> str:
    """The factor of which this word is a level, or the word itself."""
    return next((f"any {f}" for f, levels in dataset.factors.items() if word in levels), word)


def tally(hunt: UnitSearch, dataset: TextDataset) -> Counter[str]:
    """In how many searches did a word of this kind come in?"""
    sets = [{kind(new, dataset) for _, _, new in changes(f, dataset)} for f in hunt.found]
    return Counter(name for names in sets for name in names)
