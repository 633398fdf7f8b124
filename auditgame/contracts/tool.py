"""The contract of a tool."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from auditgame.catalog import load, names
from auditgame.contracts.house import (
    Counted,
    generator,
    material,
    specimen,
    undisturbed,
    weights_digest,
)
from auditgame.datasets import Dataset
from auditgame.tools import Material, Tool, parse_options
from auditgame.trials import admissible
from auditgame.types import Exhibit, canonical

PARAGRAPHS = ("", "Reading it:", "How it misleads:", "Source:")
EXHIBITS: TypeAdapter[list[Exhibit]] = TypeAdapter(list[Exhibit])


class Setting(NamedTuple):
    """A model on the table, what lies beside it, and the cheapest options a tool allows."""

    model: Counted
    beside: Material
    options: dict[str, Any]


def _settings(kind: type[Tool]) -> Iterator[Setting]:
    """One setting for each modality of the tool."""
    for modality in sorted(kind.modality):
        model = specimen(modality)
        if kind.fits(model) is None:
            yield Setting(model, material(model.dataset), cheapest(kind, model))


def cheapest(kind: type[Tool], model: Counted) -> dict[str, Any]:
    """The least number where a bound allows it, an example of whatever has no default."""
    chosen: dict[str, Any] = {}
    schema = kind.Options.model_json_schema().get("properties", {})
    for name, field in kind.Options.model_fields.items():
        told = schema[name]
        if told.get("type") == "integer" and "minimum" in told:
            chosen[name] = max(told["minimum"], 1)
        elif field.is_required():
            chosen[name] = _example(told, model)
    return chosen


def _example(told: dict[str, Any], model: Counted) -> Any:
    """A value for a field that must be chosen, by the widget that asks for it."""
    family, claim = _claim(model.dataset)
    unit = f"{admissible(model)[0]}:0"
    examples = {
        "unit": [unit] if told.get("type") == "array" else unit,
        "site": admissible(model)[0],
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
        if flaw.Claim is not None and flaw.refuses(dataset) is None:
            claim = flaw.draw(dataset, flaw.Knobs(), generator("claim")).confess()
            return name, claim.model_dump(mode="json")
    return "", {}


def _used(kind: type[Tool], setting: Setting) -> list[Exhibit]:
    return kind().run(setting.model, setting.beside, parse_options(kind, setting.options))


def explains_itself(kind: type[Tool]) -> Iterator[str]:
    """The docstring has four paragraphs: question, Reading it:, How it misleads:, Source:."""
    parts = [part.strip() for part in (inspect.getdoc(kind) or "").split("\n\n")]
    if len(parts) != len(PARAGRAPHS):
        yield f"docstring: {len(parts)} paragraphs; write {len(PARAGRAPHS)}"
        return
    for part, start in zip(parts, PARAGRAPHS, strict=True):
        if not part.startswith(start):
            yield f"docstring: a paragraph must start '{start}'"
    if "?" not in parts[0]:
        yield "docstring: the first paragraph asks the question"


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
    """It fits the default model of a modality it names, and refuses the other."""
    if not list(_settings(kind)):
        yield "fits: refuses the default models of its own modalities"
    for modality in {"image", "text"} - kind.modality:
        if kind.fits(specimen(modality)) is None:
            yield f"fits: takes {modality} models, which it does not name"


def costs_what_it_sends(kind: type[Tool]) -> Iterator[str]:
    """Its cost is the number of examples it sends: once forward, once more backward."""
    for setting in _settings(kind):
        options = parse_options(kind, setting.options)
        models = (setting.model, *setting.beside.siblings)
        said = kind().cost(options, setting.model, setting.beside)
        if sum(model.probes for model in models):
            yield "cost: asking for the price sends examples"
        before = sum(model.probes for model in models)
        kind().run(setting.model, setting.beside, options)
        sent = sum(model.probes for model in models) - before
        if said != sent:
            modality = setting.model.modality
            yield f"cost: says {said}, sends {sent} ({modality}, {setting.options or 'defaults'})"


def shows_plain_data(kind: type[Tool]) -> Iterator[str]:
    """It shows at least one exhibit; all survive JSON and hold finite numbers."""
    for setting in _settings(kind):
        exhibits = _used(kind, setting)
        if not exhibits:
            yield "run: shows nothing"
        canonical(EXHIBITS.dump_python(exhibits, mode="json"))
        if EXHIBITS.validate_json(EXHIBITS.dump_json(exhibits)) != exhibits:
            yield "run: an exhibit changes on its way through JSON"


def is_deterministic(kind: type[Tool]) -> Iterator[str]:
    """The same question gets the same answer; the global generators stay put."""
    for setting in _settings(kind):
        answers: list[list[Exhibit]] = []
        yield from undisturbed(
            lambda setting=setting, answers=answers: answers.append(_used(kind, setting))
        )
        if _used(kind, setting) != answers[0]:
            yield "run: a second use shows something else"


def leaves_no_trace(kind: type[Tool]) -> Iterator[str]:
    """Weights, examples and gradients of the model are as they were."""
    for setting in _settings(kind):
        before = weights_digest(setting.model)
        inputs = setting.beside.examples.inputs.clone()
        _used(kind, setting)
        if weights_digest(setting.model) != before:
            yield "run: changes the model's weights"
        if not bool((setting.beside.examples.inputs == inputs).all()):
            yield "run: changes the examples"
        parameters = list(setting.model._model.parameters())
        if any(p.grad is not None or p.requires_grad for p in parameters):
            yield "run: leaves gradients on the model"


RULES = (
    explains_itself,
    describes_its_options,
    fits_something,
    costs_what_it_sends,
    shows_plain_data,
    is_deterministic,
    leaves_no_trace,
)
