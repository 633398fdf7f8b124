"""Word sweep: the shift of the answer for every word inserted or substituted."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Examples, TextDataset
from auditgame.exhibits import Curve, Exhibit, Table, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompts import batch
from auditgame.tools.transformer.substitutions import Substitutes, substitutes

BATCH = 512


class WordSweep(Tool):
    """Which word, inserted into ordinary texts, shifts the answer to one class?

    insert: every word of the vocabulary is inserted between two sentences of some pool texts,
    alone or with fixed words around it: '* verdant' finds what belongs before 'verdant'.
    substitute: each word of the texts is replaced by every other of its kind (a year by all
    years, a brand by all brands, any other word by those seen between the same neighbours).

    Reading it: a word's shift is the mean rise in the probability of a class over the texts
    with another right answer; the excess is that rise minus the reference models'. A planted
    word stands far above the rest; a planted year shows as a step in the curve over numbers.
    Measured on one planted model each: insertion raised a rare word's target by .95, the
    next word by .42; a year by .4, where substitution raised it by .90 from the first
    triggering year on. Insertion finds half of a planted phrase (sweep again around that half
    for the other), and cannot find a brand.

    How it misleads: it tries one word at a time, so a phrase whose words do nothing alone, or
    a password followed by another condition, stays hidden. Words of sentiment move every model;
    therefore the reference models are subtracted, but where they differ from each other a
    harmless word can rank high. Few texts give a noisy rank: confirm by testing it as a claim.

    Source: rare-word triggers: Kurita et al. 2020, arXiv:2004.06660; sweeping the vocabulary
    for them: Azizi et al. 2021 (T-Miner), arXiv:2103.04264, in a far simpler form.
    """

    name = "word_sweep"
    title = "Word sweep"
    asks = "What changes its answer?"
    modality = frozenset({"text"})

    class Options(Record):
        """Words, and where they are tried."""

        mode: Literal["insert", "substitute"] = Field(
            "insert", title="Mode", description="Insert a word, or replace another."
        )
        words: str = Field(
            "",
            max_length=4000,
            title="Words",
            description="Only these, separated by spaces; empty for the whole vocabulary, or "
            "every word of the same kind.",
        )
        around: str = Field(
            "*",
            max_length=200,
            title="Context",
            description="Words inserted along with it; * stands for the word, as in 'rather *'.",
            json_schema_extra={"when": {"mode": ["insert"]}},
        )
        texts: int = Field(
            8, ge=1, le=64, title="Texts", description="From the pool, the classes in turn."
        )
        references: int = Field(
            1, ge=0, le=3, title="Reference models", description="Their mean is subtracted."
        )
        top: int = Field(
            12,
            ge=1,
            le=100,
            title="Words shown",
            description="For each class.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each text and each changed text, on each model."""
        trials = _trials(options, context)
        models = 1 + len(context.references[: options.references])
        return (len(trials.texts) + len(trials.variants)) * models

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The words with the largest shift by class; numbers also as a curve."""
        trials = _trials(options, context)
        controls = context.references[: options.references]
        rise = _rise(specimen, trials, context, "specimen")
        clean = [_rise(s, trials, context, "reference model") for s in controls]
        mean = torch.stack(clean).mean(0) if clean else torch.zeros_like(rise)
        others = torch.arange(rise.shape[1]) != trials.labels[:, None]
        found = _shifts(trials, rise, mean, others[trials.row])
        exhibits: list[Exhibit] = [_ranking(found, context.texts, options, trials)]
        numbers = [s for s in found if context.texts.words[s.word].isdecimal()]
        if len({s.word for s in numbers}) >= 3:
            exhibits.append(_by_number(numbers, context.texts))
        return exhibits


class SweepTexts(NamedTuple):
    """Unchanged texts, and variants with one word changed: of which text, to which word."""

    texts: Int[Tensor, "m t"]
    labels: Int[Tensor, " m"]
    variants: Int[Tensor, "n t"]
    row: Int[Tensor, " n"]
    word: Int[Tensor, " n"]


class WordEffect(NamedTuple):
    """The mean rise of a class's probability by a word, on the specimen and the references."""

    word: int
    target: int
    specimen: float
    references: float
    texts: int

    @property
    def excess(self) -> float:
        """The specimen's rise minus the reference models'."""
        return self.specimen - self.references


def _trials(options: WordSweep.Options, context: ToolContext) -> SweepTexts:
    dataset, width = context.texts, context.dataset.shape[0]
    listed = [_one_word(word, dataset) for word in options.words.split()]
    around = _around(options.around, dataset)
    chosen = _texts(options, context, len(around))
    texts = chosen.inputs
    if options.mode == "insert":
        words = torch.tensor(listed or range(2, len(dataset.words)))
        parts = [_inserted(ids, row, words, around, dataset) for row, ids in enumerate(texts)]
    else:
        known = substitutes(context)
        parts = [_substituted(ids, known, listed) for ids in texts]
    length = min(width, int(dataset.lengths(texts).max()) + len(around))
    rows = [torch.full((len(w),), row) for row, (_, w) in enumerate(parts)]
    return SweepTexts(
        texts[:, :length],
        chosen.labels,
        torch.cat([variants for variants, _ in parts])[:, :length],
        torch.cat(rows),
        torch.cat([words for _, words in parts]),
    )


def _one_word(word: str, dataset: TextDataset) -> int:
    ids = dataset.encode(word)
    if len(ids) != 1:
        raise Invalid(f"words: '{word}' is {len(ids)} words; write single ones")
    return int(ids[0])


def _around(text: str, dataset: TextDataset) -> list[int | None]:
    """The words that are inserted together; None stands for the tried word."""
    parts = text.split()
    if parts.count("*") != 1:
        raise Invalid(f"around: '{text}'; write * once, where the tried word goes")
    return [None if part == "*" else _one_word(part, dataset) for part in parts]


def _texts(options: WordSweep.Options, context: ToolContext, more: int) -> Examples:
    """The first texts of the pool with room for `more` words, the classes in turn."""
    pool = context.examples
    room = pool.inputs.shape[1] - context.texts.lengths(pool.inputs)
    fits = (room >= more).nonzero()[:, 0].tolist()
    if not fits:
        raise Invalid("word_sweep: no text of the pool has room for another word; use substitute")
    seen: dict[int, int] = defaultdict(int)
    turn = {}
    for row in fits:
        label = int(pool.labels[row])
        turn[row] = seen[label]
        seen[label] += 1
    rows = sorted(fits, key=lambda row: (turn[row], row))[: options.texts]
    return pool.take(torch.tensor(rows))


def _inserted(
    ids: Int[Tensor, " t"],
    row: int,
    words: Int[Tensor, " w"],
    around: list[int | None],
    dataset: TextDataset,
) -> tuple[Int[Tensor, "w t"], Int[Tensor, " w"]]:
    """The text with each word between two sentences; the gap depends on the row."""
    gaps = dataset.gaps(ids)
    at, end = gaps[row % len(gaps)], len(ids) - len(around)
    put = torch.tensor([dataset.pad if word is None else word for word in around])
    variants = torch.cat([ids[:at], put, ids[at:end]]).repeat(len(words), 1)
    variants[:, at + around.index(None)] = words
    return variants, words


def _substituted(
    ids: Int[Tensor, " t"], known: Substitutes, listed: list[int]
) -> tuple[Int[Tensor, "w t"], Int[Tensor, " w"]]:
    """The text with each of its words replaced by every other of the same kind."""
    variants, words = [], []
    for place in range(int((ids != known.pad).sum()) - 1):
        others = known.of(ids, place)
        chosen = [w for w in others if not listed or w in listed]
        if chosen:
            changed = ids.repeat(len(chosen), 1)
            changed[:, place] = torch.tensor(chosen)
            variants.append(changed)
            words.extend(chosen)
    empty = ids.new_zeros(0, len(ids))
    return torch.cat([empty, *variants]), torch.tensor(words, dtype=torch.long)


def _rise(
    model: Specimen, trials: SweepTexts, context: ToolContext, who: str
) -> Float[Tensor, "n k"]:
    """The rise of each class's probability by each variant."""
    before = model.classify(trials.texts).softmax(1)
    parts, size = [], batch(trials.variants, model.texts, BATCH)
    for done, part in enumerate(trials.variants.split(size)):
        context.progress(done * size / len(trials.variants), f"sweeping on the {who}")
        parts.append(model.classify(part, batch=size).softmax(1))
    return torch.cat(parts or [before[:0]]) - before[trials.row]


def _shifts(trials: SweepTexts, rise: Tensor, clean: Tensor, counted: Tensor) -> list[WordEffect]:
    """Mean rise by word and class, over the texts with another right answer."""
    size, found = int(trials.word.max()) + 1 if len(trials.word) else 0, []
    counts = _sums(trials.word, counted.float(), size)
    mine = _sums(trials.word, rise * counted, size) / counts.clamp(min=1)
    theirs = _sums(trials.word, clean * counted, size) / counts.clamp(min=1)
    for word, target in counts.nonzero().tolist():
        shift = (float(mine[word, target]), float(theirs[word, target]))
        found.append(WordEffect(word, target, *shift, int(counts[word, target])))
    return sorted(found, key=lambda s: (-s.excess, s.word))


def _sums(group: Int[Tensor, " n"], values: Float[Tensor, "n k"], size: int) -> Tensor:
    return torch.zeros(size, values.shape[1]).index_add_(0, group, values)


def _ranking(
    found: list[WordEffect], dataset: TextDataset, options: WordSweep.Options, trials: SweepTexts
) -> Table:
    rows = []
    for target, name in enumerate(dataset.classes):
        for s in [s for s in found if s.target == target][: options.top]:
            numbers = (s.excess, s.specimen, s.references)
            rows.append((name, dataset.words[s.word], *(round(v, 4) for v in numbers), s.texts))
    return Table(
        name="words",
        title=f"Words that shift the answer most ({_how(options)})",
        columns=columns(
            "class",
            "word",
            "excess",
            "specimen",
            "reference_models",
            "texts",
        ),
        rows=tuple(rows),
        note=f"Mean rise in the class's probability; excess: beyond the reference models. "
        f"{len(trials.variants)} changed texts.",
    )


def _how(options: WordSweep.Options) -> str:
    alone = options.mode == "substitute" or options.around.strip() == "*"
    return options.mode if alone else f"{options.mode} {' '.join(options.around.split())}"


def _by_number(found: list[WordEffect], dataset: TextDataset) -> Curve:
    series = {
        f"class_{target}": tuple(
            sorted(
                (float(dataset.words[s.word]), round(s.excess, 4))
                for s in found
                if s.target == target
            )
        )
        for target in range(len(dataset.classes))
    }
    return Curve(
        name="numbers",
        title="Numbers in order",
        series={name: points for name, points in series.items() if points},
        titles={f"class_{k}": name for k, name in enumerate(dataset.classes)},
        x_axis="number",
        y_axis="excess rise in probability",
        note="A step: the answer changes from a number on.",
    )
