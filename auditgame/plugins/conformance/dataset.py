"""The contract of a data set."""

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
    """Raise the data set's own AuditgameError where its files are not on this machine."""
    kind().sample(1, "pool", generator("ready"))


def _rows(kind: type[Dataset], n: int = ROWS, **fixed: object) -> Examples:
    return kind().sample(n, "held", generator("rows"), **fixed)


def tells_of_itself(kind: type[Dataset]) -> Iterator[str]:
    """It has a data sheet, a licence, at least two classes, and says how models are trained."""
    if not inspect.getdoc(kind):
        yield "no docstring; say what it holds and where it is from"
    if not kind.title.strip():
        yield "title: is empty"
    if not kind.licence.strip():
        yield "licence: is empty"
    if len(set(kind.classes)) != len(kind.classes) or len(kind.classes) < 2:
        yield "classes: name at least two, each once"
    if not isinstance(kind.training, Training):
        yield "training: give a Training"


def is_deterministic(kind: type[Dataset]) -> Iterator[str]:
    """The same generator gives the same examples, in every split; the global ones stay put."""
    for split in SPLITS:
        one, other = (kind().sample(ROWS, split, generator("rows")) for _ in range(2))
        if not same_examples(one, other):
            yield f"sample: split '{split}' differs between two equal generators"
        if len(one) != ROWS:
            yield f"sample: gave {len(one)} examples of split '{split}' where {ROWS} were asked"
    yield from undisturbed(_rows, kind)


def has_shape(kind: type[Dataset]) -> Iterator[str]:
    """Inputs have the declared shape and type; pictures lie in [0, 1]."""
    inputs = _rows(kind).inputs
    if kind.modality == "text":
        if inputs.dtype != torch.long or inputs.dim() != 2 or inputs.shape[1] > kind.shape[0]:
            yield f"inputs: {inputs.dtype} {tuple(inputs.shape)}; int64, {kind.shape[0]} wide"
        return
    if tuple(inputs.shape[1:]) != kind.shape or inputs.dtype != torch.float32:
        yield f"inputs: {inputs.dtype} {tuple(inputs.shape[1:])}; must be float32 {kind.shape}"
    if not inputs.isfinite().all() or inputs.min() < 0 or inputs.max() > 1:
        yield "inputs: must lie in [0, 1]"


def labels_in_range(kind: type[Dataset]) -> Iterator[str]:
    """Labels are indices of the classes, and every class turns up."""
    labels = _rows(kind, 40 * len(kind.classes)).labels
    if labels.dtype != torch.long:
        yield f"labels: {labels.dtype}; must be int64"
    if set(labels.tolist()) != set(range(len(kind.classes))):
        yield f"labels: {sorted(set(labels.tolist()))}; must be 0 to {len(kind.classes) - 1}, all"


def can_redraw(kind: type[Dataset]) -> Iterator[str]:
    """With factors: scenes hold them, render draws the very same again, fixing one holds."""
    if not kind.factors:
        return
    if not issubclass(kind, HasFactors):
        yield "factors: derive from HasFactors and write render, or leave them out"
        return
    rows = _rows(kind)
    if rows.scenes is None or not set(kind.factors) <= set(rows.scenes):
        yield f"scenes: need the columns {', '.join(kind.factors)}"
        return
    if not same_examples(rows, kind().render(rows.scenes)):
        yield "render: does not give back what was sampled"
    for name, levels in kind.factors.items():
        fixed = _rows(kind, 6, **{name: levels[-1]})
        if fixed.scenes is None or set(fixed.scenes[name]) != {levels[-1]}:
            yield f"sample: {name}='{levels[-1]}' is not kept"


def reads_text(kind: type[Dataset]) -> Iterator[str]:
    """Texts: decode and encode are inverse, unknown words are refused, answers are words.

    A data set whose `refuses_unknown` is False reads them as <unk>.
    """
    if not issubclass(kind, TextDataset):
        return
    dataset = kind()
    for ids in _rows(kind, 6).inputs:
        if not torch.equal(dataset.encode(dataset.decode(ids)), ids[ids != 0]):
            yield f"encode: does not give back '{dataset.decode(ids)[:60]}'"
    if _unknown(dataset) != (None if getattr(kind, "refuses_unknown", True) else [1]):
        yield "encode: refuse an unknown word, or read it as <unk> where refuses_unknown is False"
    answers = dataset.answers()
    if len(set(answers)) != len(kind.classes) or not all(0 < a < len(kind.words) for a in answers):
        yield "answers: give one word's id for each class"


def _unknown(dataset: TextDataset) -> list[int] | None:
    """How does it read a word that it does not know? None where it refuses to."""
    try:
        return dataset.encode("qqzzqqzz").tolist()
    except AuditgameError:
        return None


RULES = (tells_of_itself, is_deterministic, has_shape, labels_in_range, can_redraw, reads_text)
