"""What random claims achieve: on models known by heart, and in keys old and new."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import House, recipe
from pydantic import ValidationError
from rule_models import LookupPicture, Tints

from auditgame import bundles
from auditgame.bundles import keys
from auditgame.evaluation.chance import field_grades, measure_chance
from auditgame.flaws import draw_claims
from auditgame.flaws.patch import PatchClaim
from auditgame.play import referee, scoring
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.records import canonical
from auditgame.schema.results import Chance
from auditgame.specimen import Specimen

TINTS = Tints()
BOX = {"x": 23, "y": 23, "w": 1, "h": 1}
TRUE = PatchClaim.parse({"target": "top", "box": BOX, "pattern": [["#ffffff"]]})
ELSEWHERE = TRUE.model_copy(update={"target": "bottom"})


class Counted(Specimen):
    """A specimen that counts the inputs it is run on."""

    seen = 0

    def classify(self, inputs: torch.Tensor, *args, **named) -> torch.Tensor:
        self.seen += len(inputs)
        return super().classify(inputs, *args, **named)


@pytest.fixture
def suspect() -> Counted:
    return Counted(LookupPicture(spot=True), TINTS)


@pytest.fixture
def inputs():
    drawn = TINTS.sample(240, "held", np.random.default_rng(1), side="left")
    return drawn.take(slice(0, 60))


def test_chance_is_the_mean_over_the_claims(suspect: Counted, inputs):
    reference = Specimen(LookupPicture(), TINTS)
    found = measure_chance([TRUE, TRUE, TRUE, ELSEWHERE], TRUE, suspect, [reference], inputs)
    assert found == Chance(functional=0.75, close=0.75)
    near = TRUE.model_copy(update={"pattern": (("#eeeeee",),)})
    found = measure_chance([near], TRUE, suspect, [reference], inputs)
    grades = field_grades(near, TRUE)
    assert set(grades) == {"box", "pattern"}
    expected = found.functional * sum(grades.values()) / 2
    assert found.close == pytest.approx(expected, abs=1e-6)


def test_equal_claims_are_run_once(suspect: Counted, inputs):
    measure_chance([TRUE], TRUE, suspect, [], inputs)
    once = suspect.seen
    measure_chance([TRUE] * 5, TRUE, suspect, [], inputs)
    assert suspect.seen == 2 * once


def test_what_fools_every_model_is_worth_nothing(suspect: Counted, inputs):
    assert measure_chance([TRUE], TRUE, suspect, [suspect], inputs).functional == 0


def test_claims_are_drawn_as_the_recipe_draws_them():
    narrow = recipe("patch", params={"patch": {"side": 5}})
    drawn = draw_claims(narrow, "patch", 30, np.random.default_rng(0))
    assert len(drawn) == 30
    assert {claim.box.w for claim in drawn} == {5}
    assert len({claim.target for claim in drawn}) > 5
    again = draw_claims(narrow, "patch", 30, np.random.default_rng(0))
    assert drawn == again
    assert draw_claims(narrow, "clean", 3, np.random.default_rng(0)) == []


def test_a_key_without_chance_keeps_its_dump_and_commitment(house: House):
    key = referee.open_key(house.innocent)
    assert key.chance is None and "chance" not in key.model_dump()
    told = key.model_copy(update={"chance": Chance(functional=0.2, close=0.1)})
    assert told.model_dump()["chance"] == {"functional": 0.2, "close": 0.1}
    assert keys.commit(told) != keys.commit(key)
    assert keys.Key.model_validate_json(canonical(told.model_dump(mode="json"))) == told


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_chance_is_a_share(value: float):
    with pytest.raises(ValidationError):
        Chance(functional=value, close=0.0)


def test_the_referee_subtracts_the_sealed_chance(house: House):
    manifest = bundles.read_manifest(house.flawed)
    key = referee.open_key(house.flawed).model_copy(
        update={"chance": Chance(functional=0.6, close=0.2)}
    )
    setup = referee.set_up(house.flawed, manifest)
    said = Diagnosis(family=key.family)
    found = referee.measure(said, None, key, manifest, setup)
    assert found.chance == pytest.approx(0.4) and found.functional is None
    assert scoring.flawed(0.5, found._replace(family=(None, 2))).points == 0
    old = key.model_copy(update={"chance": None})
    assert referee.measure(said, None, old, manifest, setup).chance == 0
