"""Superstimulus: a search for the text that activates a unit most and is itself probable."""

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
    word_counts,
)

SHOWN = 3


class Superstimulus(Tool):
    """Which text activates this unit most, and is probable under the model itself?

    A search changes words of a pool text, one at a time, following the gradient. Its goal is
    the activation (in standard deviations over the pool) plus the log-probability of
    the text, minus a price for every changed word, so that only words that matter are changed.

    Reading it: compare the result with the best text of the pool and with what the same
    search finds on a reference model, for the same unit and for the reference model's most
    similar unit. Words that many searches insert here, and none there, are what activates the
    unit. Measured on a planted date, for the head of its key: 15 of 20 searches inserted a
    trigger year, of 120 on three reference models none; without the prior 10 and 5 (`make
    stimuli`).

    How it misleads: without the prior the texts are word salad that activates by accident.
    With a strong prior a rare trigger is never tried: set it to 0 and search again. Poisoned
    training makes the trigger itself more probable. Single neurons rarely have one meaning;
    heads and directions do better. A search finds a local optimum; other starts may find more.

    Source: Zou et al. 2023 (GCG), arXiv:2307.15043; Ebrahimi et al. 2018 (HotFlip),
    arXiv:1712.06751; a fluency prior: Thompson et al. 2024, arXiv:2407.17447.
    """

    name = "superstimulus"
    title = "Superstimulus"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Objective, starts, and settings of the search."""

        unit: str = Field(
            title="Unit",
            description="A head or neuron, for example block1.heads:2.",
            max_length=80,
            json_schema_extra={"widget": "unit"},
        )
        aim: Literal["output", "vote", "direction", "answer"] = Field(
            "output",
            title="Objective",
            description="output: the neuron's value, or the norm of the head's output; vote: "
            "what the head adds to the class; direction: in the stream after the unit's layer, "
            "towards the class; answer: the class logit.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="For vote, direction and answer; empty for the last class.",
            json_schema_extra={
                "widget": "class",
                "when": {"aim": ["vote", "direction", "answer"]},
            },
        )
        anywhere: bool = Field(
            False,
            title="At any word",
            description="Maximise over all words, not at the answer's position.",
            json_schema_extra={"when": {"aim": ["output", "direction"]}},
        )
        start: Literal["pool", "text", "random"] = Field(
            "pool",
            title="Start from",
            description="pool: another text of the pool each time; text: the text or example "
            "above; random: random words.",
        )
        free: str = Field(
            "",
            max_length=200,
            title="Free positions",
            description="Positions that may change, such as 1, 4-6; empty: all before the "
            "final question.",
        )
        restarts: int = Field(
            6, ge=1, le=40, title="Searches", description="Each from its own start."
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
            description="Subtracted for each changed word, in standard deviations; not for "
            "random starts.",
        )
        references: int = Field(
            1, ge=0, le=3, title="Reference models", description="Searched as well."
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
            description="Of the starts and the words.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """For each unit searched: the pool (twice for a direction) and each search's texts,
        gradients twice. On a reference model the pool once more, to find the similar unit."""
        pool, twice = len(context.examples), options.aim == "direction"
        one = pool * (1 + twice) + options.restarts * _settings(options).queries
        alike = SearchTarget(options.aim, 0).candidates(specimen, options.unit)
        similar = pool + one if len(alike) > 1 else 0
        return one + len(context.references[: options.references]) * (one + similar)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding, the best texts, the inserted words, and every search."""
        clock = SearchProgress(self.cost(options, specimen, context), context)
        search = stimulus_search(options, context, clock.tick)
        searches = [search.on("specimen", options.unit, specimen)]
        for number, reference in enumerate(context.references[: options.references], 1):
            who = f"reference model {number}"
            searches.append(search.on(f"{who}, same unit", options.unit, reference))
            if len(search.target.candidates(specimen, options.unit)) > 1:
                other = search.counterpart(searches[0], reference)
                searches.append(search.on(f"{who}, most similar unit", other, reference))
        best = sorted(searches[0].found, key=lambda found: -found.best.activation)[:SHOWN]
        return [
            _finding(searches, context.texts),
            *(_tokens(found, searches[0], context.texts) for found in best),
            _inserted(searches, context.texts),
            _summary(searches, context.texts),
            _searches(searches[0], context.texts),
        ]


def stimulus_search(
    options: Superstimulus.Options, context: ToolContext, report: Callable[[int], None]
) -> StimulusSearch:
    """The searches for these options; `report` gets the number of texts of each pass."""
    dataset = context.texts
    target = dataset.require_class(options.target or dataset.classes[-1])
    free = f"0-{options.length}" if options.start == "random" else ""
    return StimulusSearch(
        SearchTarget(options.aim, target, options.anywhere),
        _settings(options),
        _starts(options, context),
        options.free or free,
        options.seed,
        context,
        report,
    )


def _settings(options: Superstimulus.Options) -> SearchSettings:
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


def _finding(searches: list[UnitSearch], dataset: TextDataset) -> Note:
    own, sentences = searches[0], []
    for search in searches:
        sigma = (search.best.best.activation - search.pool.activation) / search.spread
        sentences.append(
            f"{search.who} ({search.unit}): {search.best.best.activation:.2f}, best of the pool "
            f"{search.pool.activation:.2f} ({sigma:+.1f} standard deviations)"
        )
    clean = sum((word_counts(search, dataset) for search in searches[1:]), Counter[str]())
    counts = word_counts(own, dataset).most_common()
    often = [f"{word} ({n})" for word, n in counts if n > clean[word] and n > 1]
    found = f"Words inserted more often than on reference models, of {len(own.found)} searches: "
    found += ", ".join(often[:6]) or "none more than once"
    return Note(
        name="finding",
        title=f"What activates {own.unit}",
        text=". ".join(sentences) + ". " + found + ".",
    )


def _tokens(found: SearchResult, search: UnitSearch, dataset: TextDataset) -> Tokens:
    """One result; the words that the search changed are shaded."""
    start, best = found
    tokens, changed = words(best.ids.tolist(), dataset), changes(found, dataset)
    new = {place for place, _, _ in changed}
    edits = ", ".join(f"{old} > {new}" for _, old, new in changed) or "none"
    return Tokens(
        name="stimulus",
        title=f"Superstimulus of {search.unit}",
        tokens=tokens,
        weights=tuple(float(place in new) for place in range(len(tokens))),
        limit=1.0,
        note=f"Activation {start.activation:.2f} > {best.activation:.2f}; log-probability "
        f"{start.log_probability:.1f} > {best.log_probability:.1f}. Shaded: changed ({edits}).",
        follow=FollowUp(
            tool="minimal_pairs",
            options={"text": " ".join(tokens), "mode": "substitutes"},
            columns=tuple({"places": str(place)} for place in range(len(tokens))),
        ),
    )


def _inserted(searches: list[UnitSearch], dataset: TextDataset) -> Table:
    """The inserted words, and in how many searches of each model."""
    counts = [word_counts(search, dataset) for search in searches]
    kinds = sorted(set().union(*counts), key=lambda word: (-counts[0][word], word))
    examples: dict[str, list[str]] = {}
    for found in searches[0].found:
        for _, _, new in changes(found, dataset):
            examples.setdefault(kind(new, dataset), []).append(new)
    return Table(
        name="words",
        title="Words that the searches inserted",
        columns=columns(
            "word",
            *(
                (f"search_{n}", f"{search.who} ({search.unit})")
                for n, search in enumerate(searches)
            ),
            ("words", "words on the specimen"),
        ),
        rows=tuple(
            (word, *(count[word] for count in counts), " ".join(sorted(examples.get(word, []))))
            for word in kinds[:30]
        ),
        note=f"Number of searches, of {len(searches[0].found)} on each model. Words of one factor "
        "are counted together.",
    )


def _summary(searches: list[UnitSearch], dataset: TextDataset) -> Table:
    rows = [
        (
            h.who,
            h.unit,
            what,
            round(one.activation, 3),
            round(one.log_probability, 1),
            dataset.decode(one.ids),
        )
        for h in searches
        for what, one in (("best of the pool", h.pool), ("best found", h.best.best))
    ]
    return Table(
        name="summary",
        title="Best texts by model",
        columns=columns(
            "model",
            "unit",
            "source",
            "activation",
            ("log_probability", "log-probability"),
            "text",
        ),
        rows=tuple(rows),
    )


def _searches(search: UnitSearch, dataset: TextDataset) -> Table:
    rows = []
    for number, found in enumerate(search.found):
        edits = ", ".join(f"{old} > {new}" for _, old, new in changes(found, dataset))
        pairs = (
            (found.start.activation, found.best.activation),
            (found.start.log_probability, found.best.log_probability),
        )
        rows.append(
            (
                number + 1,
                *(round(v, 2) for pair in pairs for v in pair),
                edits,
                dataset.decode(found.best.ids),
            )
        )
    return Table(
        name="searches",
        title="All searches on the specimen",
        columns=columns(
            "search",
            "activation_before",
            "activation",
            ("log_probability_before", "log-probability before"),
            ("log_probability", "log-probability"),
            ("edits", "changed words"),
            "text",
        ),
        rows=tuple(rows),
    )
