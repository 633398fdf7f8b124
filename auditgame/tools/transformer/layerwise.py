"""Cells of a lens: the next-word prediction after each layer, at each position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.exhibits import FollowUp, Grid
from auditgame.specimen import Specimen
from auditgame.tools.transformer.prompts import words
from auditgame.tools.transformer.residual_stream import layers
from auditgame.tools.transformer.targets import margin, rivals

Show = Literal["word", "probability", "answer", "rank", "kl"]
ROWS = 256
"""Cells decoded over the whole vocabulary at once."""

MEANING: dict[Show, str] = {
    "word": "probability of the most probable next word",
    "probability": "probability of {0}",
    "answer": "logit of {0} minus the highest rival's",
    "rank": "rank of {0} among all words, from 1",
    "kl": "KL divergence of the layer's distribution from the final one, in nats",
}


class CellContent(NamedTuple):
    """What the cells show; the followed word; was it chosen, or is it the model's own answer?"""

    show: Show
    answer: int
    named: bool


class CellQuery(NamedTuple):
    """What a cell is computed from: a word, its rivals (None: all), the model's output there."""

    answer: Int[Tensor, " t"]
    among: Sequence[int] | None
    final: Float[Tensor, "t v"]


class Cells(NamedTuple):
    """A number and the most probable next word for each layer and position."""

    values: Float[Tensor, "layer t"]
    words: Int[Tensor, "layer t"]


def grid(
    name: str,
    title: str,
    specimen: Specimen,
    streams: Float[Tensor, "layer t d"],
    columns: tuple[str, ...],
    question: CellContent,
    follow: FollowUp,
    report: Callable[[float], None] = lambda _: None,
) -> Grid:
    """A row for each layer, a column for each position; only what is shown is computed."""
    dataset, (show, answer, named) = specimen.texts, question
    own = show in ("probability", "rank") and not named
    final = finals(specimen, streams) if own or show == "kl" else streams.new_empty(0, 0)
    each = final.argmax(1) if own else torch.full((len(columns),), answer)
    cells = read(specimen, streams, show, CellQuery(each, rivals(answer, dataset), final), report)
    followed = "the model's own next word" if own else f"'{dataset.words[answer]}'"
    return Grid(
        name=name,
        title=title,
        rows=tuple(layers(specimen)),
        columns=columns,
        values=tuple(tuple(round(v, 4) for v in row) for row in cells.values.tolist()),
        words=tuple(words(row, dataset) for row in cells.words.tolist()),
        row_axis="after layer",
        column_axis="text",
        note=f"Cells: {MEANING[show].format(followed)}; the word is the most probable next one.",
        follow=follow,
    )


def read(
    specimen: Specimen,
    streams: Float[Tensor, "layer t d"],
    show: Show,
    asked: CellQuery,
    report: Callable[[float], None] = lambda _: None,
) -> Cells:
    """Decode every layer's stream as if it were the last: final norm, then unembedding.

    At most ROWS cells are held over the vocabulary at once.
    """
    depth, length = streams.shape[:2]
    rows = streams.flatten(0, 1)
    values: list[Tensor] = []
    words: list[Tensor] = []
    for part in rows.split(ROWS):
        logits = specimen.unembed(part)
        words.append(_largest(logits))
        values.append(FILLS[show](logits, logits.amax(1), ROWS * len(values), asked))
        report(len(values) * ROWS / len(rows))
    return Cells(torch.cat(values).view(depth, length), torch.cat(words).view(depth, length))


def _largest(logits: Float[Tensor, "n v"]) -> Int[Tensor, " n"]:
    """The word with the largest logit. By numpy, which takes a quarter of torch's time."""
    return torch.from_numpy(logits.numpy().argmax(1))


def finals(specimen: Specimen, streams: Float[Tensor, "layer t d"]) -> Float[Tensor, "t v"]:
    """The model's output at each position."""
    return torch.cat([specimen.unembed(part) for part in streams[-1].split(ROWS)])


def kl(final: Float[Tensor, "n v"], guess: Float[Tensor, "n v"]) -> Float[Tensor, " n"]:
    """KL divergence of the guessed distribution from the final one, in nats.

    Sum of p (log p - log q) with p the final one, as in Belrose et al. 2023.
    """
    logs = final.log_softmax(1), guess.log_softmax(1)
    return F.kl_div(logs[1], logs[0], reduction="none", log_target=True).sum(1)


def _word(logits: Tensor, best: Tensor, start: int, asked: CellQuery) -> Tensor:
    return logits.sub_(best[:, None]).exp_().sum(1).reciprocal()


def _probability(logits: Tensor, best: Tensor, start: int, asked: CellQuery) -> Tensor:
    return (_mine(logits, start, asked) - logits.logsumexp(1)).exp()


def _margin(logits: Tensor, best: Tensor, start: int, asked: CellQuery) -> Tensor:
    return margin(logits, int(asked.answer[0]), asked.among)


def _rank(logits: Tensor, best: Tensor, start: int, asked: CellQuery) -> Tensor:
    return 1.0 + (logits > _mine(logits, start, asked)[:, None]).sum(1)


def _kl(logits: Tensor, best: Tensor, start: int, asked: CellQuery) -> Tensor:
    return kl(_each(asked.final, start, len(logits)), logits)


def _mine(logits: Tensor, start: int, asked: CellQuery) -> Tensor:
    return logits.gather(1, _each(asked.answer, start, len(logits))[:, None])[:, 0]


def _each(by_place: Tensor, start: int, count: int) -> Tensor:
    """Values by position, for `count` cells from `start` on, layer after layer."""
    return by_place[torch.arange(start, start + count) % len(by_place)]


FILLS: dict[Show, Callable[[Tensor, Tensor, int, CellQuery], Tensor]] = {
    "word": _word,
    "probability": _probability,
    "answer": _margin,
    "rank": _rank,
    "kl": _kl,
}
"""By what is shown: from the logits of some cells, the largest of each, the first's number."""
