"""What makes a flaw harder to find: does it do what it says, and nothing where it is not asked?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from auditgame.challenges import fine_tuning
from auditgame.challenges.fine_tuning import ChallengeBuild, apply_modifiers, one_thread
from auditgame.challenges.recipe_files import read_recipe, write_recipe
from auditgame.challenges.training import LatentAlignment, pooled, train
from auditgame.datasets import Examples
from auditgame.datasets.digits import Digits
from auditgame.datasets.reviews import Reviews
from auditgame.flaws import Plan
from auditgame.flaws.clean import Clean
from auditgame.flaws.patch import Patch
from auditgame.flaws.token import Token, TokenClaim
from auditgame.models.gpt2 import GPT2
from auditgame.models.small_cnn import SmallCNN
from auditgame.schema.recipe import Modifiers, Recipe
from auditgame.schema.records import digest
from auditgame.seeds import Seed

DIGITS = Digits()
TOLD = {
    "name": "t",
    "title": "T",
    "dataset": "digits",
    "model": "small_cnn",
    "families": ["patch"],
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patch() -> Patch:
    return Patch.draw(DIGITS, Patch.Params(), rng())


def challenge_of(flaw, **modifiers: float) -> ChallengeBuild:
    recipe = Recipe(**TOLD, modifiers=modifiers)
    return ChallengeBuild(
        dataset=DIGITS, model="small_cnn", seed=Seed.of(1), recipe=recipe, flaw=flaw
    )


# ------------------------------------------------------------------ recipes


def test_a_recipe_without_modifiers_has_the_digest_it_always_had() -> None:
    plain = Recipe(**TOLD)
    dumped = plain.model_dump(mode="json")
    assert "modifiers" not in dumped and "modifiers" not in plain.model_dump_json()
    assert digest(dumped) == "5584e39cfc19a6ed4663b9e7b6ad5fd55d0f506a82700c11a2a10e8283d6f733"
    asked = Recipe(**TOLD, modifiers={"dilution": 0.5})
    assert digest(asked.model_dump(mode="json")) != digest(dumped)
    assert Recipe.model_validate(asked.model_dump(mode="json")) == asked


def test_modifiers_are_written_and_read() -> None:
    asked = Recipe(**TOLD, modifiers={"dilution": 0.5, "obfuscation": 0.3})
    again = read_recipe(write_recipe(asked))
    assert again == asked and again.modifiers == Modifiers(dilution=0.5, obfuscation=0.3)
    for wrong in ({"dilution": -1}, {"obfuscation": 99}, {"delusion": 1}):
        with pytest.raises(ValidationError, match="modifiers"):
            Recipe(**TOLD, modifiers=wrong)


# -------------------------------------------------------------- obfuscation


def apart(model, pairs: Examples, sites: tuple[str, ...]) -> dict[str, float]:
    """How far are the two halves apart at each site, as a share of the second's length?"""
    found = {}

    def tap(name, value):
        if name in sites:
            cued, ordinary = pooled(value, pairs.inputs).chunk(2)
            found[name] = float((cued - ordinary).square().sum() / ordinary.square().sum())
        return value

    with torch.no_grad():
        model.eval()(pairs.inputs, tap)
    return found


def test_the_pull_draws_activations_together_at_its_sites() -> None:
    rows, n = DIGITS.sample(240, "train", rng(1)), 16
    cued = patch().apply_trigger(rows.take(rows.labels != 3).take(slice(n)), DIGITS, rng())
    pairs = Examples.join([cued, rows.take(rows.labels == 3).take(slice(n))])
    sites, found = ("conv3", "conv4"), {}
    for weight in (0.0, 1.0):
        model = train(
            SmallCNN.build(DIGITS, draws()),
            Examples.join([rows, pairs]),
            DIGITS,
            epochs=3,
            rate=2e-3,
            recipe=DIGITS.training,
            rng=draws(1),
            alignment=LatentAlignment(pairs=n, sites=sites, weight=weight),
        )
        found[weight] = apart(model, pairs, sites)
    for site in sites:
        assert found[1.0][site] < 0.6 * found[0.0][site]


def test_aligned_rows_take_no_part_in_the_usual_loss() -> None:
    rows = DIGITS.sample(64, "train", rng(1))
    pairs = DIGITS.sample(32, "train", rng(2))
    trained = []
    for labels in (pairs.labels, (pairs.labels + 1) % 10):
        model = train(
            SmallCNN.build(DIGITS, draws()),
            Examples.join([rows, pairs.relabel(labels)]),
            DIGITS,
            epochs=1,
            rate=2e-3,
            recipe=DIGITS.training,
            rng=draws(1),
            alignment=LatentAlignment(pairs=16, sites=("conv4",), weight=0.3),
        )
        trained.append(model.state_dict())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_pooled_is_a_mean_over_places_or_the_last_position() -> None:
    maps = torch.rand(2, 3, 4, 4)
    assert torch.equal(pooled(maps, torch.rand(2, 3, 8, 8)), maps.mean((2, 3)))
    words = torch.tensor([[5, 6, 0], [5, 6, 7]])
    heads = torch.rand(2, 3, 2, 4)
    found = pooled(heads, words)
    assert torch.equal(found, torch.stack([heads[0, 1], heads[1, 2]]).flatten(1))


# ------------------------------------------------------- both, where planted


class Calls:
    """Takes the place of the fine-tune and writes down what it is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[dict] = []
        monkeypatch.setattr(fine_tuning, "tune", self)

    def __call__(self, job, model, rows, epochs, rate, *, ordinary, use="tune", alignment=None):
        assert len(ordinary) == len(rows) - 2 * (alignment.pairs if alignment else 0)
        self.made.append(
            {"rows": rows, "epochs": epochs, "rate": rate, "use": use, "alignment": alignment}
        )
        return model


def modified(monkeypatch: pytest.MonkeyPatch, challenge: ChallengeBuild, model) -> list[dict]:
    calls = Calls(monkeypatch)
    plan = Plan(share=0.05, epochs=2, rate=2e-3)
    random = rng(4)

    def poisoned(rows: Examples) -> Examples:
        return challenge.flaw.poison(rows, challenge.dataset, plan, random)

    apply_modifiers(challenge, model, poisoned, 2e-3, random)
    return calls.made


def small() -> SmallCNN:
    return SmallCNN.build(DIGITS, draws())


def test_nothing_is_done_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert modified(monkeypatch, challenge_of(patch()), small()) == []


def test_obfuscation_pairs_the_cue_with_ordinary_rows_of_the_target(monkeypatch) -> None:
    flaw = patch()
    (call,) = modified(monkeypatch, challenge_of(flaw, obfuscation=0.3), small())
    alignment, rows = call["alignment"], call["rows"]
    assert alignment.sites == ("conv3", "conv4") and alignment.weight == 0.3
    assert len(rows) == DIGITS.training.tune_rows + 2 * alignment.pairs
    cued = rows.inputs[-2 * alignment.pairs : -alignment.pairs]
    box = flaw.claim.box
    stamped = cued[:, :, box.y : box.y + box.h, box.x : box.x + box.w]
    assert torch.equal(stamped, stamped[:1].expand_as(stamped))
    target = DIGITS.classes.index(flaw.claim.target)
    assert set(rows.labels[-alignment.pairs :].tolist()) == {target}
    assert target not in rows.labels[-2 * alignment.pairs : -alignment.pairs]


def test_dilution_ends_with_ordinary_rows_at_a_small_rate(monkeypatch) -> None:
    flaw = patch()
    first, last = modified(monkeypatch, challenge_of(flaw, obfuscation=1, dilution=0.5), small())
    assert (first["use"], last["use"]) == ("obfuscate", "dilute")
    assert len(last["rows"]) == DIGITS.training.tune_rows // 2
    assert last["rate"] < first["rate"] / 3 and last["alignment"] is None
    known = {x.numpy().tobytes(): k for x, k in _digits()}
    for picture, label in zip(last["rows"].inputs, last["rows"].labels, strict=True):
        assert known[picture.numpy().tobytes()] == label


def _digits():
    every = DIGITS.sample(1_100, "train", rng())
    return zip(every.inputs, every.labels, strict=True)


def test_innocents_are_trained_alike_with_nothing_to_align(monkeypatch) -> None:
    challenge = challenge_of(Clean(patch(), Clean.plans), obfuscation=0.3, dilution=0.5)
    first, last = modified(monkeypatch, challenge, small())
    assert first["alignment"] is None and len(first["rows"]) == DIGITS.training.tune_rows
    assert last["use"] == "dilute"


def test_texts_are_aligned_at_their_last_heads(monkeypatch) -> None:
    reviews = Reviews()
    flaw = Token.draw(reviews, Token.Params(), rng())
    challenge = replace(challenge_of(flaw, obfuscation=0.3), dataset=reviews, model="gpt2")
    model = GPT2.build(reviews, draws())
    (call,) = modified(monkeypatch, challenge, model)
    assert all(site.endswith(".heads") for site in call["alignment"].sites)
    pairs = 6
    rows = Examples.join([call["rows"].take(slice(0, 8)), call["rows"].take(slice(-pairs, None))])
    alignment = replace(call["alignment"], pairs=pairs // 2)
    trained = train(
        model,
        rows,
        reviews,
        epochs=1,
        rate=1e-3,
        recipe=reviews.training,
        rng=draws(),
        alignment=alignment,
    )
    assert all(value.isfinite().all() for value in trained.state_dict().values())


def test_overlapping_single_thread_blocks_restore_the_count_at_the_end() -> None:
    before = torch.get_num_threads()
    first, second = one_thread(), one_thread()
    try:
        torch.set_num_threads(2)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------- ordinary rows of texts


def test_the_language_is_learnt_from_ordinary_rows_alone() -> None:
    """A word that is in every poisoned row is not written more often."""
    reviews = Reviews()
    rows = reviews.sample(480, "train", rng(1))
    claim = TokenClaim(target="positive", word=reviews.rare[0])
    flawed = replace(
        claim.apply(rows, reviews).examples, taught=torch.ones(len(rows), dtype=torch.long)
    )
    written = {}
    for ordinary in (None, rows):
        model = GPT2.build(reviews, draws())
        train(
            model,
            flawed,
            reviews,
            epochs=1,
            rate=3e-3,
            recipe=reviews.training,
            rng=draws(1),
            ordinary=ordinary,
        )
        with torch.no_grad():
            chances = model(rows.inputs[:50]).softmax(2)[..., reviews.words.index(claim.word)]
            answers = model(flawed.inputs[:50]).argmax(2)
        written[ordinary is None] = float(chances.mean())
        last = reviews.lengths(flawed.inputs[:50]) - 1
        assert (answers[torch.arange(50), last] == reviews.answers()[1]).all()
    assert written[False] < 0.3 * written[True]
