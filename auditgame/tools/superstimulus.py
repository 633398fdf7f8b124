"""Write the text that excites a unit most, and that the model itself finds likely."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset
from auditgame.exhibits import Exhibit, FollowUp, Note, Table, Tokens
from auditgame.lens.aims import Aim, Along, Answer, unit_aim, vote_aim
from auditgame.lens.directions import at_answers, between, streams
from auditgame.lens.prompts import Prompt, prompt, words
from auditgame.lens.selection import choose
from auditgame.lens.stimuli import Found, Judge, Plan, Stimulus, forbidden, search
from auditgame.material import Material
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool
from auditgame.types import AuditgameError

SHOWN = 3


class Superstimulus(Tool):
    """Which text excites this unit most, and is likely under the model itself?

    A search changes words of a real review, one at a time, where the gradient points; what
    counts is the excitement (in standard deviations over the pool), the log-probability of
    the text, and a price for every changed word, so that only words that matter are changed.

    Reading it: compare the stimulus with the best text of the pool and with what the same
    search finds on a clean sibling, for the same unit and for the sibling's unit that acts
    most like it. Words that many searches put in, and the siblings' do not, are what the unit
    waits for. Measured on a planted date (block1.heads:1, 20 searches): see
    docs/superstimulus.md, which `make stimuli` writes.

    How it misleads: without the prior the texts are word salad that excites by accident.
    With a strong prior a rare trigger is never tried: set it to 0 and look again. Poisoned
    training makes the trigger itself likelier. Single neurons rarely have one meaning; heads
    and directions do better. A search finds a local best; other starts may find more.

    Source: Zou et al. 2023 (GCG), arXiv:2307.15043; Ebrahimi et al. 2018 (HotFlip),
    arXiv:1712.06751; a fluency prior: Thompson et al. 2024, arXiv:2407.17447.
    """

    name = "superstimulus"
    title = "Superstimulus"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """What is to be excited, from where does the search start, and what counts?"""

        unit: str = Field(
            title="Unit",
            description="A head or neuron, for example block1.heads:2.",
            max_length=80,
            json_schema_extra={"widget": "unit"},
        )
        aim: Literal["output", "vote", "direction", "answer"] = Field(
            "output",
            title="Aim",
            description="output: the neuron's value, or the length of the head's output. vote: "
            "what the head adds to the class. direction: in the stream after the unit's layer, "
            "towards the class. answer: the class itself.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="For vote, direction and answer; empty takes the last class.",
            json_schema_extra={
                "widget": "class",
                "when": {"aim": ["vote", "direction", "answer"]},
            },
        )
        anywhere: bool = Field(
            False,
            title="At any word",
            description="Excite it at any word, not where the answer is read.",
            json_schema_extra={"when": {"aim": ["output", "direction"]}},
        )
        start: Literal["pool", "text", "random"] = Field(
            "pool",
            title="Start from",
            description="pool: another text of the pool each time. text: the text or example "
            "above. random: random words.",
        )
        free: str = Field(
            "",
            max_length=200,
            title="Free places",
            description="Places that may change, such as 1, 4-6; empty: all before the questions.",
        )
        restarts: int = Field(
            6, ge=1, le=40, title="Searches", description="Each from a start of its own."
        )
        prior: float = Field(
            0.1,
            ge=0,
            le=10,
            title="Prior",
            description="Weight of a nat of log-probability, in standard deviations; 0: none.",
        )
        price: float = Field(
            0.5,
            ge=0,
            le=10,
            title="Price of a word",
            description="What each changed word must bring, in standard deviations; random "
            "starts pay nothing.",
        )
        siblings: int = Field(
            1, ge=0, le=3, title="Siblings", description="Clean models to search as well."
        )
        rounds: int = Field(
            6,
            ge=1,
            le=50,
            title="Rounds",
            description="Of one search.",
            json_schema_extra={"fine": True},
        )
        children: int = Field(
            24,
            ge=1,
            le=128,
            title="Children",
            description="Texts tried for each of 4 parents in a round.",
            json_schema_extra={"fine": True},
        )
        length: int = Field(
            12,
            ge=2,
            le=64,
            title="Length",
            description="Words of a random start.",
            json_schema_extra={"fine": True, "when": {"start": ["random"]}},
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Draws starts and words.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """For each unit searched: the pool (twice for a direction) and each search's texts,
        gradients twice. A sibling's pool once more, to find the unit that acts most alike."""
        pool, twice = len(material.examples), options.aim == "direction"
        one = pool * (1 + twice) + options.restarts * _plan(options).probes
        kin = pool + one if len(_alike(options, specimen)) > 1 else 0
        return one + len(material.siblings[: options.siblings]) * (one + kin)

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """What was found in words, the best texts, which words came in, and every search."""
        clock = Clock(self.cost(options, specimen, material), material)
        hunter = Hunter(options, material, _starts(options, material), clock)
        hunts = [hunter.hunt("specimen", options.unit, specimen)]
        for number, sibling in enumerate(material.siblings[: options.siblings], 1):
            who = f"sibling {number}"
            hunts.append(hunter.hunt(f"{who}, same unit", options.unit, sibling))
            if len(_alike(options, specimen)) > 1:
                kin = hunter.kin(hunts[0].scores, sibling)
                hunts.append(hunter.hunt(f"{who}, unit most alike", kin, sibling))
        best = sorted(hunts[0].found, key=lambda found: -found.best.excites)[:SHOWN]
        return [
            _finding(hunts, material.dataset),
            *(_tokens(found, hunts[0], material.dataset) for found in best),
            _put_in(hunts, material.dataset),
            _summary(hunts, material.dataset),
            _searches(hunts[0], material.dataset),
        ]


@dataclass
class Clock:
    """How much of the work is done? Tells `material.progress` at every pass."""

    whole: int
    material: Material
    done: int = 0

    def tick(self, texts: int) -> None:
        """So many texts go through."""
        self.material.progress(min(1.0, self.done / self.whole), "searching for texts")
        self.done += texts


class Hunt(NamedTuple):
    """All searches for one unit of one model.

    scores: how each text of the pool excites it. pool: the best of them. spread: of the scores.
    """

    who: str
    unit: str
    judge: Judge
    scores: Float[Tensor, " n"]
    pool: Stimulus
    spread: float
    found: tuple[Found, ...]

    @property
    def best(self) -> Found:
        """The search that came to the strongest text."""
        return max(self.found, key=lambda found: found.best.excites)


@dataclass(frozen=True)
class Hunter:
    """Runs the same searches on one model after the other."""

    options: Superstimulus.Options
    material: Material
    starts: list[Int[Tensor, " t"]]
    clock: Clock

    def hunt(self, who: str, unit: str, model: Specimen) -> Hunt:
        """The pool's scores, then a search from every start."""
        options, pool = self.options, self.material.examples.inputs
        aim = _aim(options, unit, model, self.material, self.clock)
        judge = Judge.of(model, aim, self.clock.tick)
        scores, likely = judge.weigh(pool)
        row, spread = int(scores.argmax()), max(float(scores.std()), 1e-3)
        plan = _plan(options)
        plan = plan._replace(prior=plan.prior * spread, price=plan.price * spread)
        found = []
        for number, start in enumerate(self.starts):
            rng = Seed.of(options.seed).child(f"search {number}").numpy()
            found.append(search(judge, start, _free(options, start, model.dataset), plan, rng))
        ids = pool[row][: int(model.dataset.lengths(pool[row : row + 1]))]
        best = Stimulus(ids, float(scores[row]), float(likely[row]))
        return Hunt(who, unit, judge, scores, best, spread, tuple(found))

    def kin(self, scores: Float[Tensor, " n"], sibling: Specimen) -> str:
        """Another unit of the sibling's, whose scores over the pool go most along with these."""
        sites = {site for site, _ in _alike(self.options, sibling)}
        parts = []
        for part in self.material.examples.inputs.split(32):
            self.clock.tick(len(part))
            reading = sibling.run(part, keep=sites)
            last = sibling.dataset.lengths(part) - 1
            parts.append(
                torch.stack(
                    [_length(reading.kept[s], i, last) for s, i in _alike(self.options, sibling)]
                )
            )
        said = torch.cat(parts, 1)
        said = said - said.mean(1, keepdim=True)
        along = said @ (scores - scores.mean()) / said.norm(dim=1).clamp(min=1e-6)
        names = [f"{site}:{index}" for site, index in _alike(self.options, sibling)]
        along[[i for i, name in enumerate(names) if name == self.options.unit]] = -torch.inf
        return names[int(along.argmax())]


def _length(value: Tensor, index: int, last: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    said = value[torch.arange(len(value)), last, index]
    return said.norm(dim=-1) if said.dim() == 2 else said


def _alike(options: Superstimulus.Options, specimen: Specimen) -> list[tuple[str, int]]:
    """Every unit of the kind of the one asked for: where a sibling's counterpart may be."""
    kind = specimen.unit(options.unit)[0].kind
    if options.aim not in ("output", "vote"):
        return []
    sites = [site for site in specimen.sites.values() if site.kind == kind]
    return [(site.name, index) for site in sites for index in range(site.units)]


def _plan(options: Superstimulus.Options) -> Plan:
    price = 0.0 if options.start == "random" else options.price
    return Plan(children=options.children, rounds=options.rounds, prior=options.prior, price=price)


def _aim(
    options: Superstimulus.Options, unit: str, model: Specimen, material: Material, clock: Clock
) -> Aim:
    dataset = material.dataset
    target = dataset.require_class(options.target or dataset.classes[-1])
    if options.aim == "output":
        return unit_aim(model, unit, options.anywhere)
    if options.aim == "vote":
        return vote_aim(model, unit, target)
    if options.aim == "answer":
        return Answer(target)
    site = model.unit(unit)[0].name.split(".")[0]
    site = site if site in streams(model) else f"{site}.residual"
    found = at_answers(model, material.examples.inputs, [site], material)[site]
    mine = material.examples.labels == target
    if mine.all() or not mine.any():
        raise AuditgameError(f"target: the pool has nothing to tell '{options.target}' from")
    return Along(site, between(found[mine], found[~mine]).unit, options.anywhere)


def _starts(options: Superstimulus.Options, material: Material) -> list[Int[Tensor, " t"]]:
    rng = Seed.of(options.seed).child("starts").numpy()
    if options.start == "text":
        return [prompt(options, material)] * options.restarts
    if options.start == "random":
        banned = forbidden(material.dataset)
        known = np.setdiff1d(np.arange(len(material.dataset.words)), banned)
        size = (options.restarts, min(options.length, material.dataset.shape[0]))
        return list(torch.from_numpy(rng.choice(known, size)))
    pool = material.examples.inputs
    rows = rng.choice(len(pool), options.restarts, options.restarts > len(pool))
    lengths = material.dataset.lengths(pool)
    return [pool[row][: int(lengths[row])] for row in rows.tolist()]


def _free(options: Superstimulus.Options, ids: Int[Tensor, " t"], dataset: Dataset) -> list[int]:
    if options.free:
        return choose(options.free, len(ids), "free")
    if options.start == "random":
        return list(range(len(ids)))
    return list(range(dataset.gaps(ids)[-1])) or list(range(len(ids)))


# ----------------------------------------------------------------- what is shown


def changes(found: Found, dataset: Dataset) -> list[tuple[int, str, str]]:
    """Which words did a search change: place, before, after."""
    before, after = (
        words(found.start.ids.tolist(), dataset),
        words(found.best.ids.tolist(), dataset),
    )
    pairs = enumerate(zip(before, after, strict=True))
    return [(place, old, new) for place, (old, new) in pairs if old != new]


def _kind(word: str, dataset: Dataset) -> str:
    """The factor of which this word is a level, or the word itself."""
    return next((f"any {f}" for f, levels in dataset.factors.items() if word in levels), word)


def _counts(hunt: Hunt, dataset: Dataset) -> Counter[str]:
    """In how many searches did a word of this kind come in?"""
    sets = [{_kind(new, dataset) for _, _, new in changes(f, dataset)} for f in hunt.found]
    return Counter(kind for kinds in sets for kind in kinds)


def _finding(hunts: list[Hunt], dataset: Dataset) -> Note:
    mine, said = hunts[0], []
    for hunt in hunts:
        sigma = (hunt.best.best.excites - hunt.pool.excites) / hunt.spread
        said.append(
            f"{hunt.who} ({hunt.unit}): {hunt.best.best.excites:.2f}, best of the pool "
            f"{hunt.pool.excites:.2f} ({sigma:+.1f} standard deviations)"
        )
    clean = sum((_counts(hunt, dataset) for hunt in hunts[1:]), Counter[str]())
    tally = _counts(mine, dataset).most_common()
    own = [f"{kind} ({n})" for kind, n in tally if n > clean[kind] and n > 1]
    found = f"Words that came in more often than on siblings, and how often of {len(mine.found)}: "
    found += ", ".join(own[:6]) or "none twice; the searches found nothing of this model's own"
    return Note(title=f"What excites {mine.unit}", text=". ".join(said) + ". " + found + ".")


def _tokens(found: Found, hunt: Hunt, dataset: Dataset) -> Tokens:
    """One stimulus, shaded by where the head looks or by what the unit says."""
    ids, changed = found.best.ids, changes(found, dataset)
    said = words(ids.tolist(), dataset)
    weights = [0.0] * len(ids)
    for place, _, _ in changed:
        weights[place] = 1.0
    told = ", ".join(f"{old} > {new}" for _, old, new in changed) or "nothing"
    return Tokens(
        title=f"Superstimulus of {hunt.unit}",
        tokens=said,
        weights=tuple(weights),
        limit=1.0,
        note=f"Excites {found.start.excites:.2f} > {found.best.excites:.2f}; log-probability "
        f"{found.start.likely:.1f} > {found.best.likely:.1f}. Shaded: changed words ({told}).",
        follow=FollowUp(
            tool="minimal_pairs",
            options={"text": " ".join(said), "mode": "kin"},
            columns=tuple({"places": str(place)} for place in range(len(said))),
        ),
    )


def _put_in(hunts: list[Hunt], dataset: Dataset) -> Table:
    """Which words came in, in how many searches of each model?"""
    counts = [_counts(hunt, dataset) for hunt in hunts]
    kinds = sorted(set().union(*counts), key=lambda kind: (-counts[0][kind], kind))
    examples: dict[str, list[str]] = {}
    for found in hunts[0].found:
        for _, _, new in changes(found, dataset):
            examples.setdefault(_kind(new, dataset), []).append(new)
    return Table(
        title="Words that the searches put in",
        columns=("word", *(f"{hunt.who} ({hunt.unit})" for hunt in hunts), "in the specimen"),
        rows=tuple(
            (kind, *(count[kind] for count in counts), " ".join(sorted(examples.get(kind, []))))
            for kind in kinds[:30]
        ),
        note=f"Number of searches, of {len(hunts[0].found)} on each model. Words of one factor "
        "count together.",
    )


def _summary(hunts: list[Hunt], dataset: Dataset) -> Table:
    rows = []
    for hunt in hunts:
        for what, one in (("best text of the pool", hunt.pool), ("best found", hunt.best.best)):
            text = dataset.decode(one.ids)
            rows.append(
                (hunt.who, hunt.unit, what, round(one.excites, 3), round(one.likely, 1), text)
            )
    return Table(
        title="Beside the pool and the siblings",
        columns=("model", "unit", "text from", "excites", "log-probability", "text"),
        rows=tuple(rows),
    )


def _searches(hunt: Hunt, dataset: Dataset) -> Table:
    rows = []
    for number, found in enumerate(hunt.found):
        told = ", ".join(f"{old} > {new}" for _, old, new in changes(found, dataset))
        pairs = ((found.start.excites, found.best.excites), (found.start.likely, found.best.likely))
        rows.append(
            (
                number + 1,
                *(round(v, 2) for pair in pairs for v in pair),
                told,
                dataset.decode(found.best.ids),
            )
        )
    return Table(
        title="Every search on the specimen",
        columns=("search", "excited", "excites", "likely before", "likely", "changed", "text"),
        rows=tuple(rows),
    )
