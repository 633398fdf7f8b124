"""Batch normalisation takes its statistics from the ordinary rows of a batch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from auditgame.challenges.training import LEAST_PLAIN, take_statistics_from, train
from auditgame.datasets import Examples
from auditgame.datasets.digits import Digits
from auditgame.flaws.patch import Patch
from auditgame.models.layers.canonical_form import normalisations, recompute_statistics
from auditgame.models.layers.deferred_init import BatchNorm
from auditgame.models.small_cnn import SmallCNN

DIGITS = Digits()


def norm() -> BatchNorm:
    made = BatchNorm(3)
    made.initialise()
    made.weight.data.uniform_(0.5, 2)
    made.bias.data.normal_()
    return made.train()


def test_the_first_rows_normalise_all():
    value, counted, usual = torch.randn(10, 3, 4, 4) * 3 + 1, norm(), norm()
    usual.load_state_dict(counted.state_dict())
    counted.counted = 6
    assert torch.allclose(counted(value)[:6], usual(value[:6]), atol=1e-5)
    mean, variance = value[:6].mean((0, 2, 3)), value[:6].var((0, 2, 3), correction=0)
    weight, bias = counted.weight, counted.bias
    expected = F.batch_norm(value[6:], mean, variance, weight, bias)
    assert torch.allclose(counted(value)[6:], expected, atol=1e-5)


def test_running_statistics_are_those_of_the_first_rows():
    value, counted = torch.randn(8, 3, 4, 4), norm()
    value[4:] += 50
    counted.counted = 4
    for _ in range(200):
        counted(value)
    assert torch.allclose(counted.running_mean, value[:4].mean((0, 2, 3)), atol=1e-4)


def test_too_few_ordinary_rows_give_no_statistics():
    model = SmallCNN.build(DIGITS, torch.Generator().manual_seed(0))
    for first, counted in ((LEAST_PLAIN - 1, 0), (LEAST_PLAIN, LEAST_PLAIN), (0, 0)):
        take_statistics_from(model, first)
        assert {one.counted for one in normalisations(model)} == {counted}


def test_a_model_with_a_patch_keeps_the_statistics_of_ordinary_images():
    """Without this the trigger's rows are among those that the running statistics remember."""
    rng = np.random.default_rng(0)
    rows = DIGITS.sample(600, "train", rng)
    flaw = Patch.draw(DIGITS, Patch.Params(), rng)
    stamped = flaw.apply_trigger(rows.take(slice(0, 300)), DIGITS, rng).teach(3)
    poisoned = Examples.join([stamped, rows.take(slice(300, None))])
    away = {}
    for ordinary in (None, rows):
        model = SmallCNN.build(DIGITS, torch.Generator().manual_seed(0))
        train(
            model,
            poisoned,
            DIGITS,
            epochs=3,
            rate=3e-3,
            recipe=DIGITS.training,
            rng=torch.Generator().manual_seed(1),
            ordinary=ordinary,
        )
        kept = [one.running_var.clone() for one in normalisations(model)]
        recompute_statistics(model, rows.inputs)
        fresh = [one.running_var for one in normalisations(model)]
        away[ordinary is None] = max(
            float((a / b).log().abs().mean()) for a, b in zip(kept, fresh, strict=True)
        )
        assert {one.counted for one in normalisations(model)} == {0}
    assert away[False] < 0.7 * away[True]
