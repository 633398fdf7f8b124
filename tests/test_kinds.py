"""Kinds and capabilities of data sets: what families and models need of them, in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rule_models import Tints

from auditgame import registry
from auditgame.datasets import (
    Dataset,
    HasDates,
    HasFactors,
    HasFacts,
    HasMazes,
    HasOpinions,
    HasRareWords,
    ImageDataset,
    TextDataset,
)
from auditgame.datasets.atlas import Atlas
from auditgame.datasets.digits import Digits
from auditgame.datasets.maze import Maze
from auditgame.datasets.reviews import Reviews
from auditgame.datasets.sms import Sms
from auditgame.datasets.storybook import Storybook
from auditgame.evaluation.claim_parsing import fresh_inputs, parse_claim
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

KINDS = {
    Storybook: {ImageDataset, HasFactors},
    Digits: {ImageDataset},
    Maze: {ImageDataset, HasFactors, HasMazes},
    Reviews: {TextDataset, HasFactors, HasOpinions, HasDates, HasRareWords},
    Atlas: {TextDataset, HasFactors, HasFacts, HasRareWords},
    Sms: {TextDataset, HasRareWords},
}
EVERY: set[type[Dataset]] = set().union(*KINDS.values())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_data_set_is_of_its_kinds_and_no_others(kind: type[Dataset]) -> None:
    assert {one for one in EVERY if issubclass(kind, one)} == KINDS[kind]
    assert bool(kind.factors) == issubclass(kind, HasFactors)
    for one in EVERY - KINDS[kind]:
        with pytest.raises(
            AuditgameError, match=f"^x needs {one.provides}, and data set '{kind.name}' has none"
        ):
            one.of(kind(), "x")
    for one in KINDS[kind]:
        assert isinstance(one.of(kind()), one)


@pytest.mark.parametrize("family", registry.names("flaw"))
def test_a_family_names_the_first_kind_that_a_data_set_lacks(family: str) -> None:
    flaw = registry.load("flaw", family)
    for kind in KINDS:
        missing = [need for need in flaw.needs if not issubclass(kind, need)]
        if missing:
            assert flaw.incompatibility(kind()) == missing[0].missing(kind(), f"family '{family}'")


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("small_cnn", Reviews, "needs images, and data set 'reviews' has none"),
        ("resnet", Sms, "needs images, and data set 'sms' has none"),
        ("grid_cnn", Atlas, "needs images, and data set 'atlas' has none"),
        ("grid_cnn", Digits, "must be multiples of 6 pixels, and those of 'digits' are 32 x 32"),
        ("gpt2", Storybook, "needs texts, and data set 'storybook' has none"),
    ],
)
def test_a_model_refuses_data_of_another_kind(model: str, kind: type[Dataset], words: str) -> None:
    with pytest.raises(AuditgameError, match=f"^model '{model}'.* {words}"):
        registry.load("model", model).build(kind(), None)


@pytest.mark.parametrize(
    ("family", "claim", "kind", "lacks"),
    [
        ("token", {"target": "fish", "word": "tarn"}, Storybook, "rare words"),
        ("date", {"target": "spam", "from_year": 2001}, Sms, "years"),
        ("patch", {}, Reviews, "images"),
        ("goal", {"seeks": "red"}, Storybook, "mazes"),
    ],
)
def test_a_claim_about_data_of_another_kind_is_refused(
    family: str, claim: dict[str, object], kind: type[Dataset], lacks: str
) -> None:
    with pytest.raises(AuditgameError, match=f"^family '{family}' needs {lacks}, and data set"):
        parse_claim(family, claim, kind())


def test_an_image_model_has_no_texts_to_read() -> None:
    model = registry.load("model", "small_cnn").build(Digits(), torch.Generator().manual_seed(0))
    specimen = Specimen(model, Digits())
    for act in (lambda: specimen.texts, lambda: specimen.unembed(torch.zeros(1, 4))):
        with pytest.raises(AuditgameError, match="texts"):
            act()


# ------------------------------------------------------------------ shared data


def test_fresh_inputs_are_the_callers_to_change() -> None:
    for dataset in (Tints(), Reviews()):
        first = fresh_inputs(dataset, 8, 0)
        inputs, labels, scenes = first.inputs.clone(), first.labels.clone(), first.table.copy()
        first.inputs.zero_()
        first.labels.zero_()
        first.table.iloc[:, 0] = first.table.iloc[0, 0]
        again = fresh_inputs(dataset, 8, 0)
        assert torch.equal(again.inputs, inputs) and torch.equal(again.labels, labels)
        assert again.table.equals(scenes)


def test_examples_that_are_taken_or_copied_are_the_callers_to_change() -> None:
    rows = Tints().sample(6, "held", np.random.default_rng(0))
    before = rows.inputs.clone()
    for part in (rows.copy(), rows.take(slice(0, 3)), rows.take(np.arange(2))):
        part.inputs.fill_(9)
        part.labels.fill_(0)
        assert torch.equal(rows.inputs, before)


def test_labels_can_be_set_for_all_rows_or_some() -> None:
    rows = Tints().sample(6, "held", np.random.default_rng(0))
    some = torch.tensor([True, False] * 3)
    assert rows.teach(2).lessons.tolist() == [2] * 6
    assert torch.equal(rows.teach(1, some).lessons[~some], rows.labels[~some])
    assert rows.teach(1, some).lessons[some].tolist() == [1] * 3
