"""The word sweep over the whole vocabulary, beside a loop that tries one word after the other."""

from __future__ import annotations

from functools import partial

import torch

from auditgame.exhibits.reading import rows
from auditgame.registry import load
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options
from benchmarks.comparison import Line, Peer, race

Rises = dict[tuple[str, str], float]
"""By class and word: the mean rise of the class's probability."""


def ours(specimen: Specimen, context: ToolContext, texts: int) -> Rises:
    """What the tool shows of the specimen, for the words of its table."""
    tool = load("tool", "word_sweep")
    options = parse_options(tool, {"texts": texts, "references": 0, "top": 100})
    ranking = rows(tool().run(specimen, context, options), "words")
    return {(row["class"], row["word"]): row["specimen"] for row in ranking}


def loop(specimen: Specimen, context: ToolContext, texts: int) -> Rises:
    """The same, a text and a word at a time, in the place where the tool puts it."""
    dataset, pool = context.dataset, context.examples
    chosen = first_of_each_class(context, texts)
    sums = torch.zeros(len(dataset.words), len(dataset.classes))
    counts = torch.zeros(len(dataset.classes))
    for number, row in enumerate(chosen):
        ids = pool.inputs[row, : int(dataset.lengths(pool.inputs[row : row + 1]))]
        gaps = dataset.gaps(ids)
        at, others = gaps[number % len(gaps)], torch.ones(len(dataset.classes))
        others[pool.labels[row]] = 0
        before = specimen.run(ids[None]).classes.softmax(1)[0]
        for word in range(2, len(dataset.words)):
            changed = torch.cat([ids[:at], torch.tensor([word]), ids[at:]])
            after = specimen.run(changed[None]).classes.softmax(1)[0]
            sums[word] += (after - before) * others
        counts += others
    means = sums / counts.clamp(min=1)
    return {
        (name, dataset.words[word]): float(means[word, k])
        for k, name in enumerate(dataset.classes)
        for word in range(2, len(dataset.words))
    }


def first_of_each_class(context: ToolContext, texts: int) -> list[int]:
    """The pool's first texts with room for a word, the classes in turn."""
    dataset, pool = context.dataset, context.examples
    fits = (dataset.lengths(pool.inputs) < pool.inputs.shape[1]).nonzero()[:, 0].tolist()
    by_class = [[r for r in fits if pool.labels[r] == k] for k in range(len(dataset.classes))]
    turns = [(turn, row) for rows in by_class for turn, row in enumerate(rows)]
    return [row for _, row in sorted(turns)][:texts]


def agree(mine: Rises, his: Rises) -> str:
    """How far the shown rises are apart."""
    apart = max(abs(value - his[word]) for word, value in mine.items())
    return f"{len(mine)} rises shown, differ by {apart:.0e} (rounded to 4 places)"


def lines(specimen: Specimen, context: ToolContext, texts: int) -> list[Line]:
    """Every word of the vocabulary put into some texts."""
    words = len(context.dataset.words) - 2
    alone = Peer("a loop over words", partial(loop, specimen, context, texts), 3, agree)
    task = f"word sweep, {words} words in {texts} texts"
    return race(task, partial(ours, specimen, context, texts), [alone])
