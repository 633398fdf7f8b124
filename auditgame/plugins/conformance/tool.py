"""The contract of a tool."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import torch
from pydantic import TypeAdapter

from auditgame.datasets import Dataset
from auditgame.evaluation.mechanism import allowed_sites
from auditgame.exhibits import Curve, Exhibit, Table
from auditgame.plugins.conformance.fixtures import (
    Counted,
    context,
    datasets,
    generator,
    specimen,
    undisturbed,
    weights_digest,
)
from auditgame.registry import load, names
from auditgame.schema.records import Modality, ToolQuestion, canonical
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext, parse_options

STARTS = ("Reading it:", "How it misleads:", "Source:")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
EXHIBITS: TypeAdapter[list[Exhibit]] = TypeAdapter(list[Exhibit])


class Setting(NamedTuple):
    """A model on the table, what lies beside it, and the cheapest options a tool allows."""

    model: Counted
    beside: ToolContext
    options: dict[str, Any]


@functools.lru_cache(maxsize=4)
def _settings(kind: type[Tool]) -> tuple[Setting, ...]:
    """One setting for each modality of the tool: its default model, on the first data that fit."""
    return tuple(_found(kind))


def _found(kind: type[Tool]) -> Iterator[Setting]:
    for modality in sorted(kind.modality):
        models = (specimen(modality, 0, data) for data in datasets() if data.modality == modality)
        model = next((model for model in models if kind.fits(model) is None), None)
        if model:
            yield Setting(model, context(model.dataset), cheapest(kind, model))


def cheapest(kind: type[Tool], model: Counted) -> dict[str, Any]:
    """The least number where that is above 0 (which often means: choose for me), an example
    of whatever has no default.
    """
    chosen: dict[str, Any] = {}
    schema = kind.Options.model_json_schema().get("properties", {})
    for name, field in kind.Options.model_fields.items():
        told = schema[name]
        if told.get("type") == "integer" and told.get("minimum", 0) > 0:
            chosen[name] = told["minimum"]
        elif field.is_required():
            chosen[name] = _example(told, model)
    return chosen


def _example(told: dict[str, Any], model: Counted) -> Any:
    """A value for a field that must be chosen, by the widget that asks for it."""
    family, claim = _claim(model.dataset)
    site = next(iter(allowed_sites(model)), "")
    unit = f"{site}:0"
    examples = {
        "unit": [unit] if told.get("type") == "array" else unit,
        "site": site,
        "class": model.dataset.classes[0],
        "example": "0",
        "text": "it works .",
        "family": family,
        "claim": claim,
        "factor": next(iter(model.dataset.factors), ""),
    }
    return examples.get(told.get("widget", ""), told.get("minimum"))


def _claim(dataset: Dataset) -> tuple[str, dict[str, Any]]:
    """A family that fits the data set, and a claim of it."""
    for name in names("flaw"):
        flaw = load("flaw", name)
        if flaw.Claim is not None and flaw.incompatibility(dataset) is None:
            claim = flaw.draw(dataset, flaw.Params(), generator("claim")).true_claim()
            return name, claim.model_dump(mode="json")
    return "", {}


class Observed(NamedTuple):
    """What two uses of a tool in one setting showed, and what they left behind."""

    setting: Setting
    price: int
    asked: int
    own: int
    sent: int
    exhibits: list[Exhibit]
    again: list[Exhibit]
    moved: list[str]
    traces: list[str]


@functools.lru_cache(maxsize=4)
def _observed(kind: type[Tool]) -> tuple[Observed, ...]:
    return tuple(_observe(kind, setting) for setting in _settings(kind))


def _probes(models: tuple[Specimen, ...]) -> int:
    return sum(model.queries for model in models if isinstance(model, Counted))


def _observe(kind: type[Tool], setting: Setting) -> Observed:
    model, beside = setting.model, setting.beside
    options, again = parse_options(kind, setting.options), []
    models = (model, *beside.references)
    price = kind().cost(options, model, beside)
    asked = _probes(models)
    weights, inputs = weights_digest(model), beside.examples.inputs.clone()
    shown = kind().run(model, beside, options)
    own, sent = model.queries - asked, _probes(models) - asked
    traces = ["changes the model's weights"] if weights_digest(model) != weights else []
    traces += [] if torch.equal(beside.examples.inputs, inputs) else ["changes the examples"]
    traces += _marks(model._model)
    # Watched at the second use: a library imported at the first may draw a number itself.
    moved = list(undisturbed(lambda: again.append(kind().run(model, beside, options))))
    return Observed(setting, price, asked, own, sent, shown, again[0], moved, traces)


def _marks(module: torch.nn.Module) -> Iterator[str]:
    """What did a tool leave on a model?"""
    parts = list(module.modules())
    if any(p.grad is not None or p.requires_grad for p in module.parameters()):
        yield "leaves gradients on the model"
    if any(part.training for part in parts):
        yield "leaves the model in training"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(part, kind) for part in parts for kind in hooks):
        yield "leaves hooks on the model"


def explains_itself(kind: type[Tool]) -> Iterator[str]:
    """The docstring asks its question, then: Reading it:, How it misleads:, Source:."""
    parts = [part.strip() for part in (inspect.getdoc(kind) or "").split("\n\n")]
    at = [n for start in STARTS for n, part in enumerate(parts) if part.startswith(start)]
    if len(at) != len(STARTS) or at != sorted(at) or 0 in at:
        yield f"docstring: after the question, start paragraphs with {', '.join(STARTS)}"
    if "?" not in parts[0]:
        yield "docstring: the first paragraph asks the question"


def stands_under_a_question(kind: type[Tool]) -> Iterator[str]:
    """What it asks is one of the questions under which players look for tools."""
    if kind.asks not in get_args(ToolQuestion):
        yield f"asks: '{kind.asks}' is none of {', '.join(get_args(ToolQuestion))}"


def describes_its_options(kind: type[Tool]) -> Iterator[str]:
    """Each option has a description, and each default is valid."""
    for name, field in kind.Options.model_fields.items():
        if not field.description:
            yield f"option '{name}': has no description"
        if not field.title:
            yield f"option '{name}': has no title"
    for setting in _settings(kind):
        required = [n for n, f in kind.Options.model_fields.items() if f.is_required()]
        chosen = {name: setting.options[name] for name in required}
        defaults = parse_options(kind, chosen).model_dump(mode="json")
        parse_options(kind, defaults)


def fits_something(kind: type[Tool]) -> Iterator[str]:
    """It fits a default model of a modality it names on some data set, and refuses the other."""
    if not _settings(kind):
        yield "fits: refuses the default models of its own modalities, whatever the data set"
    for modality in set(get_args(Modality)) - kind.modality:
        if kind.fits(specimen(modality)) is None:
            yield f"fits: takes {modality} models, which it does not name"


def costs_what_it_sends(kind: type[Tool]) -> Iterator[str]:
    """Its cost is the number of examples it sends: once forward, once more backward.

    Examples sent through siblings count all, or not at all.
    """
    for seen in _observed(kind):
        if seen.asked:
            yield "cost: asking for the price sends examples"
        if seen.price not in (seen.sent, seen.own):
            chosen = seen.setting.options or "defaults"
            yield (
                f"cost: says {seen.price}; sends {seen.own}, with siblings {seen.sent} "
                f"({seen.setting.model.modality}, {chosen})"
            )


def shows_plain_data(kind: type[Tool]) -> Iterator[str]:
    """It shows at least one exhibit; all survive JSON and hold finite numbers."""
    for seen in _observed(kind):
        if not seen.exhibits:
            yield "run: shows nothing"
        canonical(EXHIBITS.dump_python(seen.exhibits, mode="json"))
        if EXHIBITS.validate_json(EXHIBITS.dump_json(seen.exhibits)) != seen.exhibits:
            yield "run: an exhibit changes on its way through JSON"


def names_what_it_shows(kind: type[Tool]) -> Iterator[str]:
    """Every exhibit has a name; names of columns and series are identifiers, each once."""
    for exhibit in (exhibit for seen in _observed(kind) for exhibit in seen.exhibits):
        if not exhibit.name:
            yield f"exhibit '{exhibit.title}': has no name"
        names = [c.name for c in exhibit.columns] if isinstance(exhibit, Table) else []
        names += exhibit.series if isinstance(exhibit, Curve) else []
        for name in names:
            if not IDENTIFIER.fullmatch(name) or names.count(name) > 1:
                yield f"exhibit '{exhibit.name}': '{name}' is no identifier that occurs once"


def is_deterministic(kind: type[Tool]) -> Iterator[str]:
    """The same question gets the same answer; the global generators stay put."""
    for seen in _observed(kind):
        yield from seen.moved
        if seen.again != seen.exhibits:
            yield "run: a second use shows something else"


def leaves_no_trace(kind: type[Tool]) -> Iterator[str]:
    """Weights, examples, gradients, hooks and mode of the model are as they were."""
    for seen in _observed(kind):
        yield from (f"run: {trace}" for trace in seen.traces)


RULES = (
    explains_itself,
    stands_under_a_question,
    describes_its_options,
    fits_something,
    costs_what_it_sends,
    shows_plain_data,
    names_what_it_shows,
    is_deterministic,
    leaves_no_trace,
)
