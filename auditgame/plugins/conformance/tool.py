"""Conformance rules for a tool."""

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
from auditgame.registry import load, usable
from auditgame.schema.records import Modality, ToolQuestion, canonical
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext, parse_options

STARTS = ("Reading it:", "How it misleads:", "Source:")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
EXHIBITS: TypeAdapter[list[Exhibit]] = TypeAdapter(list[Exhibit])


class Setting(NamedTuple):
    """A model, its context, and the cheapest options that a tool accepts."""

    model: Counted
    context: ToolContext
    options: dict[str, Any]


@functools.lru_cache(maxsize=4)
def _settings(kind: type[Tool]) -> tuple[Setting, ...]:
    """One for each modality of the tool: the default model, on the first data set that fits."""
    return tuple(_found(kind))


def _found(kind: type[Tool]) -> Iterator[Setting]:
    for modality in sorted(kind.modality):
        models = (specimen(modality, 0, data) for data in datasets() if data.modality == modality)
        model = next((model for model in models if kind.fits(model) is None), None)
        if model:
            yield Setting(model, context(model.dataset), cheapest(kind, model))


def cheapest(kind: type[Tool], model: Counted) -> dict[str, Any]:
    """The smallest number above 0 (0 often means: choose for me), and an example for each option
    without default.
    """
    chosen: dict[str, Any] = {}
    schema = kind.Options.model_json_schema().get("properties", {})
    for name, field in kind.Options.model_fields.items():
        option = schema[name]
        if option.get("type") == "integer" and option.get("minimum", 0) > 0:
            chosen[name] = option["minimum"]
        elif field.is_required():
            chosen[name] = _example(option, model)
    return chosen


def _example(option: dict[str, Any], model: Counted) -> Any:
    """A value for an option without default, by its widget."""
    family, claim = _claim(model.dataset)
    site = next(iter(allowed_sites(model)), "")
    unit = f"{site}:0"
    examples = {
        "unit": [unit] if option.get("type") == "array" else unit,
        "site": site,
        "class": model.dataset.classes[0],
        "example": "0",
        "text": "it works .",
        "family": family,
        "claim": claim,
        "factor": next(iter(model.dataset.factors), ""),
    }
    return examples.get(option.get("widget", ""), option.get("minimum"))


def _claim(dataset: Dataset) -> tuple[str, dict[str, Any]]:
    """A family that fits the data set, and a claim of it."""
    for name in usable("flaw"):
        flaw = load("flaw", name)
        if flaw.Claim is not None and flaw.incompatibility(dataset) is None:
            claim = flaw.draw(dataset, flaw.Params(), generator("claim")).true_claim()
            return name, claim.model_dump(mode="json") if claim else {}
    return "", {}


class Observed(NamedTuple):
    """Two runs of a tool in one setting.

    price: what `cost` says. asked: queries sent by `cost`. own: queries sent to the model under
    audit; sent: these and those to reference models. moved and traces: faults.
    """

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


def _queries(models: tuple[Specimen, ...]) -> int:
    return sum(model.queries for model in models if isinstance(model, Counted))


def _observe(kind: type[Tool], setting: Setting) -> Observed:
    model, given = setting.model, setting.context
    options, again = parse_options(kind, setting.options), []
    models = (model, *given.references)
    price = kind().cost(options, model, given)
    asked = _queries(models)
    weights, inputs = weights_digest(model), given.examples.inputs.clone()
    shown = kind().run(model, given, options)
    own, sent = model.queries - asked, _queries(models) - asked
    traces = ["changes the model's weights"] if weights_digest(model) != weights else []
    traces += [] if torch.equal(given.examples.inputs, inputs) else ["changes the examples"]
    traces += _side_effects(model._model)
    # Measured at the second run: a library imported at the first may draw a number itself.
    moved = list(undisturbed(lambda: again.append(kind().run(model, given, options))))
    return Observed(setting, price, asked, own, sent, shown, again[0], moved, traces)


def _side_effects(module: torch.nn.Module) -> Iterator[str]:
    """What a tool has left on a model."""
    parts = list(module.modules())
    if any(p.grad is not None or p.requires_grad for p in module.parameters()):
        yield "leaves gradients on the model"
    if any(part.training for part in parts):
        yield "leaves the model in training mode"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(part, kind) for part in parts for kind in hooks):
        yield "leaves hooks on the model"


def is_documented(kind: type[Tool]) -> Iterator[str]:
    """The docstring asks a question, then has `Reading it:`, `How it misleads:` and `Source:`."""
    parts = [part.strip() for part in (inspect.getdoc(kind) or "").split("\n\n")]
    at = [n for start in STARTS for n, part in enumerate(parts) if part.startswith(start)]
    if len(at) != len(STARTS) or at != sorted(at) or 0 in at:
        yield f"docstring: after the question, write paragraphs that start {', '.join(STARTS)}"
    if "?" not in parts[0]:
        yield "docstring: the first paragraph must ask the tool's question"


def has_a_question(kind: type[Tool]) -> Iterator[str]:
    """`asks` is one of the questions by which tools are grouped."""
    if kind.asks not in get_args(ToolQuestion):
        yield f"asks: '{kind.asks}' is not one of: {' '.join(get_args(ToolQuestion))}"


def options_are_documented(kind: type[Tool]) -> Iterator[str]:
    """Each option has a title and a description, and the defaults are valid."""
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
    """It fits a default model of each modality it names on some data set, and no other modality."""
    if not _settings(kind):
        yield "fits: refuses the default models of its own modalities on every data set"
    for modality in set(get_args(Modality)) - kind.modality:
        if kind.fits(specimen(modality)) is None:
            yield f"fits: accepts {modality} models, which `modality` does not name"


def cost_is_exact(kind: type[Tool]) -> Iterator[str]:
    """`cost` is the number of examples sent forward, plus those sent backward.

    Examples sent through reference models count all, or not at all.
    """
    for seen in _observed(kind):
        if seen.asked:
            yield "cost: sends examples; it must only count them"
        if seen.price not in (seen.sent, seen.own):
            chosen = seen.setting.options or "defaults"
            yield (
                f"cost: says {seen.price}; run sends {seen.own}, with reference models {seen.sent} "
                f"({seen.setting.model.modality}, {chosen})"
            )


def exhibits_are_plain_data(kind: type[Tool]) -> Iterator[str]:
    """`run` gives at least one exhibit; all survive JSON and hold finite numbers."""
    for seen in _observed(kind):
        if not seen.exhibits:
            yield "run: gives no exhibit"
        canonical(EXHIBITS.dump_python(seen.exhibits, mode="json"))
        if EXHIBITS.validate_json(EXHIBITS.dump_json(seen.exhibits)) != seen.exhibits:
            yield "run: an exhibit reads back from JSON as another"


def exhibits_have_names(kind: type[Tool]) -> Iterator[str]:
    """Every exhibit has a name; columns and series have different identifiers as names."""
    for exhibit in (exhibit for seen in _observed(kind) for exhibit in seen.exhibits):
        if not exhibit.name:
            yield f"exhibit '{exhibit.title}': has no name"
        names = [c.name for c in exhibit.columns] if isinstance(exhibit, Table) else []
        names += exhibit.series if isinstance(exhibit, Curve) else []
        for name in names:
            if not IDENTIFIER.fullmatch(name) or names.count(name) > 1:
                yield f"exhibit '{exhibit.name}': '{name}' is not an identifier, or occurs twice"


def is_deterministic(kind: type[Tool]) -> Iterator[str]:
    """Two equal runs give equal exhibits and move no global random generator."""
    for seen in _observed(kind):
        yield from seen.moved
        if seen.again != seen.exhibits:
            yield "run: a second run gives other exhibits"


def has_no_side_effects(kind: type[Tool]) -> Iterator[str]:
    """`run` leaves weights, gradients, hooks and mode of the model, and the examples, unchanged."""
    for seen in _observed(kind):
        yield from (f"run: {trace}" for trace in seen.traces)


RULES = (
    is_documented,
    has_a_question,
    options_are_documented,
    fits_something,
    cost_is_exact,
    exhibits_are_plain_data,
    exhibits_have_names,
    is_deterministic,
    has_no_side_effects,
)
