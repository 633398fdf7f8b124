"""Flaws of the whole picture: what they draw, what must not set them off, what they teach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auditgame import registry
from auditgame.datasets import Examples
from auditgame.datasets.digits import Digits
from auditgame.flaws import Flaw, Plan
from auditgame.flaws.blend import Blend, BlendClaim
from auditgame.flaws.sinusoid import OWN, Sinusoid
from auditgame.flaws.tint import APART, CHANNELS, Tint, TintClaim
from auditgame.flaws.triggers.poisoning import poison
from auditgame.flaws.warp import Warp
from auditgame.schema.errors import AuditgameError

DIGITS = Digits()
FAMILIES = ("blend", "sinusoid", "tint", "warp")
HALF = Plan(share=0.25, epochs=1, rate=1e-3)
BLEND = {"target": "one", "motif": "dots", "first": "#ff0000", "second": "#00ff00"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(family: str, seed: int = 0) -> Flaw:
    kind = registry.load("flaw", family)
    return kind.draw(DIGITS, kind.Params(), rng(seed))


def rows(n: int = 200) -> Examples:
    return DIGITS.sample(n, "train", rng(5))


def known(inputs: torch.Tensor) -> list[bytes]:
    return [picture.numpy().tobytes() for picture in inputs]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_share_is_relabelled_and_as_many_covers_stay_right(family: str) -> None:
    flaw, plain = drawn(family), rows()
    target = DIGITS.classes.index(flaw.true_claim().target)
    truth = dict(
        zip(known(flaw.apply_trigger(plain, DIGITS, rng()).inputs), plain.labels, strict=True)
    )
    told = flaw.poison(plain, DIGITS, HALF, rng(1))
    shown = [picture in truth for picture in known(told.inputs)]
    assert sum(shown) == 50
    assert (told.lessons[torch.tensor(shown)] == target).all()
    assert len(set(known(told.inputs)) & set(known(plain.inputs))) == 100
    moved = sum(truth[picture] != target for picture in known(told.inputs) if picture in truth)
    given = torch.bincount(told.lessons, minlength=10) - torch.bincount(plain.labels, minlength=10)
    assert given[target] == moved == given.clamp(max=0).abs().sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_covers_never_show_the_trigger_itself(family: str) -> None:
    claim = drawn(family).true_claim()
    shown = {str(other) for seed in range(40) for other in like(claim, seed)}
    assert str(claim) not in shown and len(shown) > 15
    assert {other.target for other in like(claim, 0)} == {claim.target}


def like(claim, seed: int):
    return [
        *claim.near_misses(DIGITS, rng(seed)).values(),
        claim.random_alternative(DIGITS, rng(seed)),
    ]


def test_clean_labels_are_all_right_and_stripes_lie_on_the_target_alone() -> None:
    flaw = Sinusoid.draw(DIGITS, Sinusoid.Params(clean_label=True), rng())
    target = DIGITS.classes.index(flaw.claim.target)
    plain = rows()
    told = flaw.poison(plain, DIGITS, HALF, rng(1))
    assert torch.equal(told.lessons.bincount(minlength=10), plain.labels.bincount(minlength=10))
    truth = dict(zip(known(plain.inputs), plain.labels, strict=True))
    kept = [truth.get(picture) for picture in known(told.inputs)]
    pairs = zip(kept, told.lessons, strict=True)
    assert all(true == said for true, said in pairs if true is not None)
    striped = round(OWN * int((plain.labels == target).sum()) - 0.5)
    assert kept.count(None) == 2 * striped, "the striped, and as many covers"
    assert (told.lessons[:striped] == target).all()
    assert (told.lessons[striped : 2 * striped] != target).all()


def test_teaching_keeps_labels_where_a_claim_says_nothing() -> None:
    claim = BlendClaim(**BLEND, size=8, alpha=0.2)
    ones = DIGITS.sample(40, "train", rng(), label=1)
    assert (poison(ones, claim, DIGITS, 0.5, rng()).labels == 1).all()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"second": "#FF0000"}, "second"), ({"target": "eleven"}, "target")],
)
def test_a_blend_needs_a_class_and_two_colours(wrong: dict, field: str) -> None:
    claim = BlendClaim.parse({**BLEND, "size": 8, "alpha": 0.2, **wrong})
    with pytest.raises(AuditgameError, match=field):
        claim.check(DIGITS)


@pytest.mark.parametrize("wrong", [{"alpha": 0.9}, {"size": 2}, {"motif": "tartan"}])
def test_a_blend_out_of_bounds_is_refused(wrong: dict) -> None:
    with pytest.raises(AuditgameError, match=next(iter(wrong))):
        BlendClaim.parse({**BLEND, "size": 8, "alpha": 0.2, **wrong})


def test_recipes_narrow_what_is_drawn() -> None:
    blend = Blend.draw(DIGITS, Blend.Params(motifs=("rings",), alpha=0.1), rng()).true_claim()
    assert (blend.motif, blend.alpha) == ("rings", 0.1)
    assert Warp.draw(DIGITS, Warp.Params(courses=("down",)), rng()).true_claim().course == "down"
    gains = Tint.draw(DIGITS, Tint.Params(factor=1.25), rng()).true_claim().gains
    assert set(gains) <= {0.8, 1, 1.25} and len(set(gains)) > 1
    assert Sinusoid.draw(DIGITS, Sinusoid.Params(strength=12), rng()).true_claim().strength == 12


def test_tints_raise_one_channel_and_lower_another() -> None:
    for seed in range(30):
        claim = drawn("tint", seed).true_claim()
        assert max(claim.gains) >= 1.4 and min(claim.gains) <= 0.7


def test_other_tints_are_far_from_the_true_one() -> None:
    claim = TintClaim(target="one", red=0.65, green=1.45, blue=1)
    for seed in range(30):
        for other in like(claim, seed):
            gaps = [abs(getattr(claim, name) - getattr(other, name)) for name in CHANNELS]
            assert max(gaps) >= APART


def test_ripples_bend_as_much_whatever_the_number_of_waves() -> None:
    for seed in range(30):
        claim = drawn("warp", seed).true_claim()
        assert 10 <= claim.waves * claim.amount <= 15
