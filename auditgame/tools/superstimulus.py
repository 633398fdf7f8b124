"""Write the text that excites a unit most, and that the model itself finds likely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import TextDataset
from auditgame.exhibits import Exhibit, FollowUp, Note, Table, Tokens, columns
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompt_optimisation import (
    SearchResult,
    SearchSettings,
    pool_texts,
    random_texts,
)
from auditgame.tools.transformer.prompts import Prompt, prompt, words
from auditgame.tools.transformer.stimulus_search import (
    SearchProgress,
    SearchTarget,
    StimulusSearch,
    UnitSearch,
    changes,
    kind,
    tally,
)

SHOWN = 3


class Superstimulus(Tool):
    """Which text excites this unit most, and is likely under the model itself?

    A search changes words of a real review, one at a time, where the gradient points; what
    counts is the excitement (in standard deviations over the pool), the log-probability of
    the text, and a price for every changed word, so that only words that matter are changed.

    Reading it: compare the stimulus with the best text of the pool and with what the same
    search finds on a clean sibling, for the same unit and for the sibling's unit that acts
    most like it. Words that many searches put in, and the siblings' do not, are what the unit
    waits for. Measured on a planted date, for the head of its key: 15 of 20 searches put a
    trigger year in, of 120 on three siblings none; without the prior 10 and 5 (`make stimuli`).

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
        references: int = Field(
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

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """For each unit searched: the pool (twice for a direction) and each search's texts,
        gradients twice. A sibling's pool once more, to find the unit that acts most alike."""
        pool, twice = len(context.examples), options.aim == "direction"
        one = pool * (1 + twice) + options.restarts * _plan(options).queries
        alike = SearchTarget(options.aim, 0).kin(specimen, options.unit)
        kin = pool + one if len(alike) > 1 else 0
        return one + len(context.references[: options.references]) * (one + kin)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """What was found in words, the best texts, which words came in, and every search."""
        clock = SearchProgress(self.cost(options, specimen, context), context)
        search = hunter(options, context, clock.tick)
        hunts = [search.hunt("specimen", options.unit, specimen)]
        for number, reference in enumerate(context.references[: options.references], 1):
            who = f"sibling {number}"
            hunts.append(search.hunt(f"{who}, same unit", options.unit, reference))
            if len(search.quarry.kin(specimen, options.unit)) > 1:
                other = search.counterpart(hunts[0], reference)
                hunts.append(search.hunt(f"{who}, unit most alike", other, reference))
        best = sorted(hunts[0].found, key=lambda found: -found.best.excites)[:SHOWN]
        return [
            _finding(hunts, context.texts),
            *(_tokens(found, hunts[0], context.texts) for found in best),
            _put_in(hunts, context.texts),
            _summary(hunts, context.texts),
            _searches(hunts[0], context.texts),
        ]


def hunter(
    options: Superstimulus.Options, context: ToolContext, report: Callable[[int], None]
) -> StimulusSearch:
    """The searches that these options ask for; `report` hears of each pass's texts."""
    dataset = context.texts
    target = dataset.require_class(options.target or dataset.classes[-1])
    free = f"0-{options.length}" if options.start == "random" else ""
    return StimulusSearch(
        SearchTarget(options.aim, target, options.anywhere),
        _plan(options),
        _starts(options, context),
        options.free or free,
        options.seed,
        context,
        report,
    )


def _plan(options: Superstimulus.Options) -> SearchSettings:
    price = 0.0 if options.start == "random" else options.price
    return SearchSettings(
        children=options.children, rounds=options.rounds, prior=options.prior, price=price
    )


def _starts(options: Superstimulus.Options, context: ToolContext) -> list[Int[Tensor, " t"]]:
    rng = Seed.of(options.seed).child("starts").numpy()
    if options.start == "text":
        return [prompt(options, context)] * options.restarts
    if options.start == "random":
        return random_texts(context.texts, options.length, options.restarts, rng)
    return pool_texts(context, options.restarts, rng)


# ----------------------------------------------------------------- what is shown


def _finding(hunts: list[UnitSearch], dataset: TextDataset) -> Note:
    mine, said = hunts[0], []
    for hunt in hunts:
        sigma = (hunt.best.best.excites - hunt.pool.excites) / hunt.spread
        said.append(
            f"{hunt.who} ({hunt.unit}): {hunt.best.best.excites:.2f}, best of the pool "
            f"{hunt.pool.excites:.2f} ({sigma:+.1f} standard deviations)"
        )
    clean = sum((tally(hunt, dataset) for hunt in hunts[1:]), Counter[str]())
    ours = tally(mine, dataset).most_common()
    own = [f"{word} ({n})" for word, n in ours if n > clean[word] and n > 1]
    found = f"Words that came in more often than on siblings, and how often of {len(mine.found)}: "
    found += ", ".join(own[:6]) or "none twice; the searches found nothing of this model's own"
    return Note(
        name="finding", title=f"What excites {mine.unit}", text=". ".join(said) + ". " + found + "."
    )


def _tokens(found: SearchResult, hunt: UnitSearch, dataset: TextDataset) -> Tokens:
    """One stimulus; the words that the search changed are shaded."""
    said, changed = words(found.best.ids.tolist(), dataset), changes(found, dataset)
    new = {place for place, _, _ in changed}
    told = ", ".join(f"{old} > {new}" for _, old, new in changed) or "nothing"
    return Tokens(
        name="stimulus",
        title=f"Superstimulus of {hunt.unit}",
        tokens=said,
        weights=tuple(float(place in new) for place in range(len(said))),
        limit=1.0,
        note=f"Excites {found.start.excites:.2f} > {found.best.excites:.2f}; log-probability "
        f"{found.start.likely:.1f} > {found.best.likely:.1f}. Shaded: changed words ({told}).",
        follow=FollowUp(
            tool="minimal_pairs",
            options={"text": " ".join(said), "mode": "kin"},
            columns=tuple({"places": str(place)} for place in range(len(said))),
        ),
    )


def _put_in(hunts: list[UnitSearch], dataset: TextDataset) -> Table:
    """Which words came in, in how many searches of each model?"""
    counts = [tally(hunt, dataset) for hunt in hunts]
    kinds = sorted(set().union(*counts), key=lambda word: (-counts[0][word], word))
    examples: dict[str, list[str]] = {}
    for found in hunts[0].found:
        for _, _, new in changes(found, dataset):
            examples.setdefault(kind(new, dataset), []).append(new)
    return Table(
        name="words",
        title="Words that the searches put in",
        columns=columns(
            "word",
            *((f"search_{n}", f"{hunt.who} ({hunt.unit})") for n, hunt in enumerate(hunts)),
            ("words", "in the specimen"),
        ),
        rows=tuple(
            (word, *(count[word] for count in counts), " ".join(sorted(examples.get(word, []))))
            for word in kinds[:30]
        ),
        note=f"Number of searches, of {len(hunts[0].found)} on each model. Words of one factor "
        "count together.",
    )


def _summary(hunts: list[UnitSearch], dataset: TextDataset) -> Table:
    rows = [
        (h.who, h.unit, what, round(one.excites, 3), round(one.likely, 1), dataset.decode(one.ids))
        for h in hunts
        for what, one in (("best text of the pool", h.pool), ("best found", h.best.best))
    ]
    return Table(
        name="summary",
        title="Beside the pool and the siblings",
        columns=columns(
            "model",
            "unit",
            ("source", "text from"),
            ("activation", "excites"),
            ("log_probability", "log-probability"),
            "text",
        ),
        rows=tuple(rows),
    )


def _searches(hunt: UnitSearch, dataset: TextDataset) -> Table:
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
        name="searches",
        title="Every search on the specimen",
        columns=columns(
            "search",
            ("activation_before", "excited"),
            ("activation", "excites"),
            ("log_probability_before", "likely before"),
            ("log_probability", "likely"),
            ("edits", "changed"),
            "text",
        ),
        rows=tuple(rows),
    )
