"""Linear probes of the residual stream by layer, with control tasks."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from auditgame.datasets import Examples
from auditgame.evaluation.claim_parsing import fresh_inputs
from auditgame.exhibits import Curve, Exhibit, Table, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext, by_name, model_title
from auditgame.tools.transformer.directions import at_answers, levels, named_set
from auditgame.tools.transformer.residual_stream import layers

FOLDS, DRAWS, FEW = 5, 3, 8
"""Folds; control tasks; with fewer levels than this, control labels are drawn for texts."""


class Probe(Tool):
    """Which properties of its text does the model represent, at which layer?

    A logistic regression is trained to predict, from the residual stream after each layer at
    the answer's position, whether a text belongs to a set: a class, a factor's level, or a range
    of numbers such as year>=2001. It is tested on held-out texts. A control task gives every
    level (or, where there are few, every text) a random label instead.

    Reading it: accuracy is balanced, so that .5 is chance. Selectivity, the accuracy minus the
    control's, is what counts: a probe that learns random labels as well memorises. A model
    needs few factors for its answer; where the specimen represents one more than the reference
    models do, it was trained to.

    How it misleads: what can be decoded is not always used; steering and restoration test that.
    With few texts of a set the accuracy is noisy: its standard error is about .5 over the root
    of the rarer set's size. Information may be at other positions than the answer's.

    Source: Alain and Bengio 2016, arXiv:1610.01644; control tasks and selectivity: Hewitt and
    Liang 2019, arXiv:1909.03368.
    """

    name = "probe"
    title = "Linear probe"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Record):
        """The set to predict, and the number of texts."""

        what: str = Field(
            "",
            max_length=200,
            title="Set",
            description="A class, factor=level or factor>=number, for example year>=1990; empty "
            "for the last class.",
        )
        n: int = Field(
            200, ge=40, le=2000, title="Texts", description="Fresh texts of the data set."
        )
        references: int = Field(
            1, ge=0, le=3, title="Reference models", description="Probed as well."
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the texts, folds and control labels.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Each text once on every model."""
        texts = len(fresh_inputs(context.dataset, options.n, options.seed))
        return texts * (1 + len(context.references[: options.references]))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Accuracy by layer, with the control task and the reference models."""
        examples = fresh_inputs(context.dataset, options.n, options.seed)
        task = _task(options, examples, context)
        models = by_name(specimen, context.references[: options.references])
        rows = [
            row
            for who, model in models.items()
            for row in _layers(who, model, examples, task, context, options)
        ]
        return [_curve(rows, task), _table(rows, task)]


class ProbeTask(NamedTuple):
    """The labels of the set, and those of the control tasks."""

    words: str
    truth: np.ndarray
    controls: list[np.ndarray]


class ProbeResult(NamedTuple):
    """Accuracy on one stream, for the set and for random labels."""

    who: str
    site: str
    accuracy: float
    control: float


def _task(options: Probe.Options, examples: Examples, context: ToolContext) -> ProbeTask:
    dataset = context.texts
    words = options.what.strip() or dataset.classes[-1]
    truth = np.zeros(len(examples), dtype=int)
    truth[named_set(words, examples, dataset, "what")] = 1
    fewest = min(truth.sum(), len(truth) - truth.sum())
    if fewest < FOLDS:
        raise Invalid(
            f"what: '{words}' splits the {len(truth)} texts into {truth.sum()} and "
            f"{len(truth) - truth.sum()}; at least {FOLDS} of each are needed, so ask for more"
        )
    named = [str(number) for number in range(len(examples))]
    if "=" in words:
        values = levels(words.split("=")[0].strip(" >"), examples, dataset, "what")
        named = values if len(set(values)) >= FEW else named
    rng = Seed.of(options.seed).child("control task").numpy()
    return ProbeTask(words, truth, [_control(named, truth, rng) for _ in range(DRAWS)])


def _control(named: list[str], truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random label for each name, 1 about as often as in the true task."""
    kinds, index = np.unique(named, return_inverse=True)
    order = rng.permutation(len(kinds))
    counts, total = np.bincount(index)[order].cumsum(), int(truth.sum())
    chosen = order[: int((counts < total).sum()) + 1]
    return np.isin(index, chosen).astype(int)


def _layers(
    who: str,
    model: Specimen,
    examples: Examples,
    task: ProbeTask,
    context: ToolContext,
    options: Probe.Options,
) -> list[ProbeResult]:
    sites = layers(model)
    found = at_answers(model, examples.inputs, sites, context)
    rows = []
    for done, site in enumerate(sites):
        context.progress(done / len(sites), f"probing the {model_title(who)}")
        values = found[site].numpy()
        control = np.mean([_accuracy(values, labels, options.seed) for labels in task.controls])
        rows.append(
            ProbeResult(who, site, _accuracy(values, task.truth, options.seed), float(control))
        )
    return rows


def _accuracy(values: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Balanced accuracy on held-out texts."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=200, class_weight="balanced")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = cross_val_predict(probe, values, labels, cv=folds)
    return float(balanced_accuracy_score(labels, predicted))


def _curve(rows: list[ProbeResult], task: ProbeTask) -> Curve:
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in ((row.who, row.accuracy), (f"{row.who}_control", row.control)):
            line = series.setdefault(name, [])
            line.append((float(len(line)), round(value, 4)))
    return Curve(
        name="accuracy_curve",
        title=f"Accuracy for '{task.words}' by layer",
        series={name: tuple(line) for name, line in series.items()},
        titles={name: model_title(name).replace("_", ", ") for name in series},
        x_axis="layer (0: embedding)",
        y_axis="balanced accuracy",
        note="At the answer's position; .5 is chance. Control: random labels.",
    )


def _table(rows: list[ProbeResult], task: ProbeTask) -> Table:
    return Table(
        name="probes",
        title="Probes by layer",
        columns=columns("model", "layer", "accuracy", "control", "selectivity"),
        rows=tuple(
            (
                model_title(r.who),
                r.site,
                *(round(v, 4) for v in (r.accuracy, r.control, r.accuracy - r.control)),
            )
            for r in rows
        ),
        note=f"'{task.words}' holds in {int(task.truth.sum())} of {len(task.truth)} texts. "
        "Balanced accuracy, 5-fold cross-validated.",
    )
