"""Conformance rules for a data set."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import get_args

import torch

from auditgame.datasets import Dataset, Examples, HasFactors, Split, TextDataset, Training
from auditgame.plugins.conformance.fixtures import generator, same_examples, undisturbed
from auditgame.schema.errors import AuditgameError

SPLITS: tuple[Split, ...] = get_args(Split)
ROWS = 24


def require_data(kind: type[Dataset]) -> None:
    """Raise the data set's own AuditgameError where its files have not been fetched."""
    kind().sample(1, "pool", generator("ready"))


def _rows(kind: type[Dataset], n: int = ROWS, **fixed: object) -> Examples:
    return kind().sample(n, "held", generator("rows"), **fixed)


def is_documented(kind: type[Dataset]) -> Iterator[str]:
    """It has a docstring, a licence, at least two classes, and a `Training`."""
    if not inspect.getdoc(kind):
        yield "no docstring; say what it contains and where it comes from"
    if not kind.title.strip():
        yield "title: is empty"
    if not kind.licence.strip():
        yield "licence: is empty; name it"
    if len(set(kind.classes)) != len(kind.classes) or len(kind.classes) < 2:
        yield "classes: give at least two, each once"
    if not isinstance(kind.training, Training):
        yield "training: is not a Training"


def is_deterministic(kind: type[Dataset]) -> Iterator[str]:
    """`sample` depends on its generator alone, in every split, and gives as many rows as asked."""
    for split in SPLITS:
        one, other = (kind().sample(ROWS, split, generator("rows")) for _ in range(2))
        if not same_examples(one, other):
            yield f"sample: two equal generators give different rows of split '{split}'"
        if len(one) != ROWS:
            yield f"sample: gives {len(one)} rows of split '{split}', asked for {ROWS}"
    yield from undisturbed(_rows, kind)


def has_shape(kind: type[Dataset]) -> Iterator[str]:
    """Inputs have the declared shape and type; images have values in [0, 1]."""
    inputs = _rows(kind).inputs
    if kind.modality == "text":
        if inputs.dtype != torch.long or inputs.dim() != 2 or inputs.shape[1] > kind.shape[0]:
            yield (
                f"inputs: {inputs.dtype} {tuple(inputs.shape)}; must be int64, at most "
                f"{kind.shape[0]} tokens wide"
            )
        return
    if tuple(inputs.shape[1:]) != kind.shape or inputs.dtype != torch.float32:
        yield f"inputs: {inputs.dtype} {tuple(inputs.shape[1:])}; must be float32 {kind.shape}"
    if not inputs.isfinite().all() or inputs.min() < 0 or inputs.max() > 1:
        yield "inputs: values must be in [0, 1]"


def labels_in_range(kind: type[Dataset]) -> Iterator[str]:
    """Labels are indices of the classes, and every class occurs."""
    labels = _rows(kind, 40 * len(kind.classes)).labels
    if labels.dtype != torch.long:
        yield f"labels: {labels.dtype}; must be int64"
    if set(labels.tolist()) != set(range(len(kind.classes))):
        yield f"labels: {sorted(set(labels.tolist()))}; must be all of 0 to {len(kind.classes) - 1}"


def can_redraw(kind: type[Dataset]) -> Iterator[str]:
    """With factors: scenes have them as columns, `render` redraws the rows from their scenes, and
    `sample` keeps a factor that is fixed.
    """
    if not kind.factors:
        return
    if not issubclass(kind, HasFactors):
        yield "factors: derive from HasFactors and write render, or leave them out"
        return
    rows = _rows(kind)
    if rows.scenes is None or not set(kind.factors) <= set(rows.scenes):
        yield f"scenes: must have the columns {', '.join(kind.factors)}"
        return
    if not same_examples(rows, kind().render(rows.scenes)):
        yield "render: does not redraw what was sampled"
    for name, levels in kind.factors.items():
        fixed = _rows(kind, 6, **{name: levels[-1]})
        if fixed.scenes is None or set(fixed.scenes[name]) != {levels[-1]}:
            yield f"sample: does not keep {name}='{levels[-1]}'"


def encodes_text(kind: type[Dataset]) -> Iterator[str]:
    """Texts: `encode` inverts `decode`, unknown words are refused, each class has an answer word.

    A data set whose `refuses_unknown` is False reads an unknown word as <unk>.
    """
    if not issubclass(kind, TextDataset):
        return
    dataset = kind()
    for ids in _rows(kind, 6).inputs:
        if not torch.equal(dataset.encode(dataset.decode(ids)), ids[ids != 0]):
            yield f"encode: does not invert decode for '{dataset.decode(ids)[:60]}'"
    if _unknown(dataset) != (None if getattr(kind, "refuses_unknown", True) else [1]):
        yield "encode: must refuse an unknown word, or read it as <unk> if refuses_unknown is False"
    answers = dataset.answers()
    if len(set(answers)) != len(kind.classes) or not all(0 < a < len(kind.words) for a in answers):
        yield "answers: give the id of one word for each class"


def _unknown(dataset: TextDataset) -> list[int] | None:
    """The ids of a word that is not in the vocabulary; None where it is refused."""
    try:
        return dataset.encode("qqzzqqzz").tolist()
    except AuditgameError:
        return None


RULES = (is_documented, is_deterministic, has_shape, labels_in_range, can_redraw, encodes_text)
