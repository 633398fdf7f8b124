"""The conformance rules: every plug-in keeps them, and each rule finds what breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from auditgame.plugins import scaffold
from auditgame.plugins.conformance import RuleResult, examine, load_file, rules
from auditgame.plugins.conformance.dataset import require_data
from auditgame.plugins.conformance.fixtures import Counted, specimen
from auditgame.registry import Kind, load, names
from auditgame.schema.errors import AuditgameError

KINDS: tuple[Kind, ...] = get_args(Kind)
PLUGINS = [(kind, name) for kind in KINDS for name in names(kind) if kind != "auditor"]
AUDITORS = [(name, part) for name in names("auditor") for part in load("auditor", name).modality]


def faults(found: list[RuleResult]) -> list[RuleResult]:
    return [finding for finding in found if finding.fault]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("kind", "name"), PLUGINS, ids=lambda part: part)
def test_plugin_keeps_its_contract(kind: Kind, name: str) -> None:
    plugin = load(kind, name)
    assert plugin.name == name
    if kind == "dataset":
        try:
            require_data(plugin)
        except AuditgameError as error:
            pytest.skip(str(error))
    found = examine(kind, plugin)
    assert len(found) == len(rules(kind)) and not faults(found)


@pytest.mark.parametrize(("name", "modality"), sorted(AUDITORS))
def test_auditor_keeps_its_contract(name: str, modality: str) -> None:
    """One modality at a time: the detective takes longer than any other plug-in."""
    plugin = load("auditor", name)
    assert plugin.name == name
    one = type(name, (plugin,), {"modality": frozenset({modality})})
    found = examine("auditor", one)
    assert len(found) == len(rules("auditor")) and not faults(found)


@pytest.mark.parametrize("kind", KINDS)
def test_scaffold_passes_its_own_check(kind: Kind, tmp_path: Path) -> None:
    path = scaffold.write(kind, f"my_own_{kind}", tmp_path)
    found_kind, plugin = load_file(path)
    assert found_kind == kind and plugin.name == f"my_own_{kind}"
    assert not faults(examine(kind, plugin))


@pytest.mark.parametrize("name", ["tool", "grid", "none", "record", "list"])
def test_scaffold_avoids_names_that_mean_something_else(name: str, tmp_path: Path) -> None:
    _, plugin = load_file(scaffold.write("tool", name, tmp_path))
    assert plugin.name == name


@pytest.mark.parametrize("name", ["Frame", "1st", "class", "a b", "../evil", "", "predict"])
def test_scaffold_refuses_bad_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(AuditgameError):
        scaffold.write("tool", name, tmp_path)
    assert not list(tmp_path.iterdir())


def broken(kind: Kind, tmp_path: Path, old: str, new: str) -> str:
    """The faults of the scaffold's example with one thing changed."""
    path = scaffold.write(kind, "wrong", tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return "; ".join(f.fault or "" for f in examine(*load_file(path)))


def test_a_tool_that_underbills_is_caught(tmp_path: Path) -> None:
    said = broken("tool", tmp_path, "return len(context.examples)", "return 1")
    assert "cost: says 1; run sends 20" in said


def test_a_tool_that_draws_from_the_global_generator_is_caught(tmp_path: Path) -> None:
    said = broken("tool", tmp_path, "spread = means", "torch.rand(1)\n        spread = means")
    assert "moves the global generator of torch" in said


@pytest.mark.parametrize(
    ("act", "trace"),
    [
        ("specimen._model.train()", "leaves the model in training"),
        ("specimen._model.register_forward_hook(print)", "leaves hooks on the model"),
        ("specimen._model.requires_grad_()", "leaves gradients on the model"),
    ],
)
def test_a_tool_that_leaves_a_trace_is_caught(act: str, trace: str, tmp_path: Path) -> None:
    said = broken(
        "tool", tmp_path, "        spread = means", f"        {act}\n        spread = means"
    )
    assert trace in said


def test_a_tool_without_its_paragraphs_is_caught(tmp_path: Path) -> None:
    assert "How it misleads:" in broken("tool", tmp_path, "How it misleads:", "It is right:")


def test_a_tool_under_no_known_question_is_caught(tmp_path: Path) -> None:
    assert "asks: 'What else?' is not one of" in broken(
        "tool", tmp_path, "What is inside?", "What else?"
    )


def test_a_tool_with_an_undescribed_option_is_caught(tmp_path: Path) -> None:
    said = broken("tool", tmp_path, ' description="How many units to show.",', "")
    assert "option 'count': has no description" in said


def test_a_tool_whose_exhibit_has_no_name_is_caught(tmp_path: Path) -> None:
    said = broken("tool", tmp_path, 'name="class_means",', "")
    assert "exhibit 'Mean activation at conv4': has no name" in said


def test_a_flaw_that_always_draws_the_same_is_caught(tmp_path: Path) -> None:
    old = "str(rng.choice(params.colours)), str(rng.choice(dataset.classes))"
    assert "draw only 1 different flaws" in broken(
        "flaw", tmp_path, old, "COLOURS[0], dataset.classes[0]"
    )


def test_a_flaw_that_writes_into_its_rows_is_caught(tmp_path: Path) -> None:
    old = "framed = (torch.tensor"
    assert "in place; return new rows" in broken("flaw", tmp_path, old, f"images[:] = 0\n    {old}")


def test_a_flaw_without_source_is_caught(tmp_path: Path) -> None:
    assert "no 'Source:'" in broken("flaw", tmp_path, "Source: after", "After")


def test_a_trigger_that_relabels_is_caught(tmp_path: Path) -> None:
    old = "    @classmethod\n    def draw"
    new = (
        "    def apply_trigger(self, rows, dataset, rng):\n"
        "        return self.claim.apply(rows, dataset).examples.relabel(rows.labels * 0)\n\n"
    )
    assert "apply_trigger: changes labels" in broken("flaw", tmp_path, old, new + old)


def test_a_model_that_ignores_edits_is_caught(tmp_path: Path) -> None:
    old = 'value = tap("conv2", F.relu(self.conv2(value)))'
    new = 'value = F.relu(self.conv2(value))\n        tap("conv2", value)'
    assert "site conv2: an edited value does not change the output" in broken(
        "model", tmp_path, old, new
    )


def test_a_model_that_miscounts_its_units_is_caught(tmp_path: Path) -> None:
    old = 'Site(name="conv1", kind="channel", units=FIRST)'
    said = broken("model", tmp_path, old, old.replace("FIRST", "FIRST + 1"))
    assert "site conv1: 17 channels declared" in said


def test_a_dataset_that_cannot_redraw_is_caught(tmp_path: Path) -> None:
    old = 'np.random.default_rng(scene["seed"])'
    said = broken("dataset", tmp_path, old, "np.random.default_rng()")
    assert "render: does not redraw what was sampled" in said


def test_an_auditor_that_answers_with_a_number_is_caught(tmp_path: Path) -> None:
    old = "counts = self._wrong_by_class(session)"
    assert "not a Diagnosis" in broken("auditor", tmp_path, old, f"return 0.5\n        {old}")


def test_a_file_without_a_plugin_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("VALUE = 1\n")
    with pytest.raises(AuditgameError, match="found 0"):
        load_file(path)


def test_a_file_whose_name_is_not_the_plugins_is_refused(tmp_path: Path) -> None:
    path = scaffold.write("tool", "mine", tmp_path).rename(tmp_path / "yours.py")
    with pytest.raises(AuditgameError, match="must agree"):
        load_file(path)


def test_backward_passes_are_counted_once_each() -> None:
    model: Counted = specimen("image")
    inputs = torch.rand(3, *model.dataset.shape)
    reading = model.run(inputs, keep=["conv2"], grad=True)
    assert model.queries == 3
    torch.autograd.grad(reading.classes.sum(), reading.inputs)
    assert model.queries == 6
    layer = model.run(inputs, keep=["conv2"], grad=True)
    torch.autograd.grad(layer.kept["conv2"].sum(), layer.inputs)
    assert model.queries == 12
    model.randomised(1, torch.Generator().manual_seed(0)).predict(inputs)
    assert model.queries == 15
