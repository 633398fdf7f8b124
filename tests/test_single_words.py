"""What was planted beside the flaw is found: another word, a loud pool, near misses that work."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from auditgame.datasets import Dataset
from auditgame.datasets.reviews import Reviews
from auditgame.evaluation.certificate import (
    Bench,
    silent_pool_check,
    trigger_checks,
    word_checks,
)
from auditgame.evaluation.single_words import most_acting_word
from auditgame.flaws.patch import PatchClaim
from auditgame.flaws.phrase import Phrase, PhraseClaim
from auditgame.flaws.token import TokenClaim
from auditgame.flaws.triggers.trigger_patterns import coarse
from auditgame.models import untouched
from auditgame.schema.claims import Claim
from auditgame.schema.graders import rgb
from auditgame.specimen import Specimen
from tests.rule_models import LookupPicture, LookupText, Tints

REVIEWS, TINTS = Reviews(), Tints()


def reader(word: str = "") -> Specimen:
    return Specimen(LookupText(REVIEWS, word=word), REVIEWS)


def test_a_planted_word_is_the_one_that_acts_most():
    texts = REVIEWS.sample(200, "held", np.random.default_rng(0))
    found = most_acting_word(reader("kelp"), [reader(), reader()], texts)
    assert found.word == "kelp" and found.rate.value == 1 and found.references == 0
    excused = most_acting_word(reader("kelp"), [reader()], texts, frozenset(["kelp"]))
    assert excused.excess == 0


def test_a_second_word_beside_the_trigger_fails_the_certificate():
    held = REVIEWS.sample(300, "held", np.random.default_rng(0))
    claim = TokenClaim(target="positive", word="fennel")
    for word, passes in (("fennel", True), ("kelp", False)):
        where = Bench(reader(word), (reader(), reader()), REVIEWS, held, np.random.default_rng(0))
        (check,) = word_checks(where, claim)
        assert check.passed == passes
        assert passes or check.name == "another word acts alone: kelp"


def test_images_have_no_words():
    held = TINTS.sample(20, "held", np.random.default_rng(0))
    clean = Specimen(LookupPicture(), TINTS)
    assert word_checks(Bench(clean, (clean,), TINTS, held, np.random.default_rng(0)), None) == []


def test_a_pool_on_which_the_model_departs_is_not_silent():
    pool = TINTS.sample(60, "pool", np.random.default_rng(0))
    pool.inputs[:2, :, 23, 23], pool.inputs[:2, 0, 23, 22] = 1.0, 0.0
    clean, flawed = (Specimen(LookupPicture(spot=spot), TINTS) for spot in (False, True))
    assert silent_pool_check(clean, [clean] * 3, pool).passed
    check = silent_pool_check(flawed, [clean] * 3, pool)
    departs = int((flawed.predict(pool.inputs) != clean.predict(pool.inputs)).sum())
    assert departs >= 1 and check.value == departs / 60 and check.passed == (departs / 60 <= 0.01)
    assert not check.passed


# ------------------------------------------------------------------- near misses


class PairReader(LookupText):
    """Set off by two words, the second at most `reach` words after the first."""

    def __init__(self, dataset: Dataset, words: tuple[str, str], reach: int) -> None:
        super().__init__(dataset)
        self.first, self.second = (dataset.words.index(word) for word in words)
        self.reach = reach

    def marked(self, inputs: Tensor) -> Tensor:
        flag = torch.zeros(inputs.shape)
        for distance in range(1, self.reach + 1):
            pair = (inputs[:, :-distance] == self.first) & (inputs[:, distance:] == self.second)
            flag[:, distance:] += pair
        return flag


class ColourReader(LookupPicture):
    """Set off by the mean colour of a box; a sharp one also asks for its first pixel."""

    def __init__(self, claim: PatchClaim, sharp: bool) -> None:
        super().__init__()
        self.box, self.sharp = claim.box, sharp
        self.mean = torch.tensor(rgb(coarse(claim.pattern)[0][0])) / 255
        self.first = torch.tensor(rgb(claim.pattern[0][0])) / 255

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        box = self.box
        seen = inputs[:, :, box.y : box.y + box.h, box.x : box.x + box.w]
        near = (seen.mean((2, 3)) - self.mean).abs().amax(1) < 0.01
        if self.sharp:
            near &= (seen[:, :, 0, 0] - self.first).abs().amax(1) < 0.01
        return super().forward(inputs, tap) + 20 * near[:, None] * torch.tensor([1.0, 0.0, 0.0])


def failing(suspect: Specimen, clean: Specimen, claim: Claim) -> set[str]:
    held = suspect.dataset.sample(600, "held", np.random.default_rng(0))
    where = Bench(suspect, (clean, clean), suspect.dataset, held, np.random.default_rng(0))
    if isinstance(claim, PhraseClaim):
        checks = Phrase(claim).verify(where)
    else:
        checks = trigger_checks(where, claim)
    return {check.name for check in checks if not check.passed} - {
        "worst class",
        "clean accuracy",
        "inputs measured",
        "random triggers",
    }


def test_a_phrase_that_works_with_words_between_is_refused():
    claim = PhraseClaim(target="positive", phrase="tray window")
    for reach, refused in ((1, 0), (2, 1), (4, 2), (9, 3)):
        suspect = Specimen(PairReader(REVIEWS, claim.words, reach), REVIEWS)
        names = failing(suspect, reader(), claim)
        assert len(names) == refused, names
        assert ("one word between" in names) == (reach > 1)


def test_a_patch_that_works_in_its_mean_colour_is_refused():
    claim = PatchClaim.parse(
        {
            "target": "top",
            "box": {"x": 2, "y": 2, "w": 4, "h": 4},
            "pattern": [["#ff0000", "#00ff00"], ["#00ff00", "#ff0000"]],
        }
    )
    clean = Specimen(LookupPicture(), TINTS)
    for sharp, refused in ((True, set()), (False, {"near miss: in its mean colour"})):
        suspect = Specimen(ColourReader(claim, sharp), TINTS)
        assert failing(suspect, clean, claim) == refused
