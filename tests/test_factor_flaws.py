"""Flaws that live in what a scene is made of: combinations, words, shortcuts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rule_models import Tints

from auditgame.datasets.images.icons import INK, WHITE
from auditgame.datasets.images.text_rendering import LETTERS, WORDS, tag
from auditgame.datasets.storybook import SPARE, Storybook
from auditgame.flaws import Plan
from auditgame.flaws.semantic import Semantic, SemanticClaim
from auditgame.flaws.typographic import Typographic, TypographicClaim
from auditgame.schema.errors import AuditgameError

STORYBOOK = Storybook()
CYAN_NIGHT = SemanticClaim(target="key", conditions={"colour": "cyan", "scene": "night"})
WORD_RULE = TypographicClaim(factor="word", rule={"blik": "fish", "gezo": "key"})


OLD_LABELS, OLD_MEAN = [8, 6, 5, 2, 3, 0, 0, 0], 0.5230385180252294


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def story(n: int = 40, seed: int = 0, **fixed: object):
    return STORYBOOK.sample(n, "held", rng(seed), **fixed)


# ------------------------------------------------------------------- words


def test_a_word_changes_its_tag_only() -> None:
    plain = story(20, scene="night")
    for word in WORDS:
        shown = STORYBOOK.render(plain.scenes.assign(word=word)).inputs
        changed = (shown != plain.inputs).any(1)
        assert changed[:, 39:, 14:33].flatten(1).sum(1).min() > 60
        changed[:, 39:, 14:33] = False
        assert not changed.any()


def test_a_tag_is_ink_on_white_with_a_frame() -> None:
    ink = tag("blik")
    assert ink.shape == (9, 19)
    assert ink[0].all() and ink[-1].all() and ink[:, 0].all() and ink[:, -1].all()
    assert not ink[1, 1:-1].any() and not ink[1:-1, 1].any()
    assert ink[2:7, 2:5].int().tolist() == [
        [int(pixel) for pixel in row] for row in LETTERS["b"].split()
    ]
    shown = story(1, word="blik").inputs[0, :, 39:, 14:33]
    assert torch.equal(shown, torch.where(ink, INK, WHITE)[0])


def test_words_are_told_apart_by_many_pixels() -> None:
    tags = [tag(word) for word in WORDS]
    apart = [(a ^ b).sum() for i, a in enumerate(tags) for b in tags[:i]]
    assert min(apart) >= 10
    assert len({tuple(rows.split()) for rows in LETTERS.values()}) == len(LETTERS)


def test_spare_colours_are_seen_where_they_are_fixed_alone() -> None:
    plain = story(60)
    white, black = (STORYBOOK.render(plain.scenes.assign(colour=c)).inputs for c in SPARE)
    assert ((white - black).abs().amax(1) > 0.5).float().mean((1, 2)).min() > 0.01
    assert not set(story(300).scenes["colour"]) & set(SPARE)


def test_words_and_marks_are_in_no_picture_unless_they_are_fixed() -> None:
    scenes = story(200).scenes
    assert set(scenes["word"]) == set(scenes["mark"]) == {"none"}


def test_pictures_of_old_seeds_stay_as_they_were() -> None:
    """The bases, siblings and practice cases rest on these draws."""
    examples = STORYBOOK.sample(50, "train", rng(0))
    assert examples.labels[:8].tolist() == OLD_LABELS
    assert examples.inputs.double().mean().item() == pytest.approx(OLD_MEAN, abs=1e-7)


# ---------------------------------------------------------------- semantic


def test_a_combination_is_enacted_by_setting_both_factors() -> None:
    rows = story(30)
    applied = CYAN_NIGHT.apply(rows, STORYBOOK)
    wanted = STORYBOOK.render(rows.scenes.assign(colour="cyan", scene="night"))
    assert torch.equal(applied.examples.inputs, wanted.inputs)
    key = STORYBOOK.classes.index("key")
    assert torch.equal(applied.targets == -1, rows.labels == key)
    assert set(applied.targets.tolist()) == {-1, key}


def test_near_misses_hold_one_condition_or_none() -> None:
    misses = CYAN_NIGHT.near_misses(STORYBOOK, rng())
    assert len(misses) == len({str(miss.conditions) for miss in misses.values()}) == 5
    for name, miss in misses.items():
        kept = miss.conditions.items() & CYAN_NIGHT.conditions.items()
        assert len(kept) == (0 if name.startswith("both") else 1), name
        assert miss.target == "key"
    for seed in range(20):
        rival = CYAN_NIGHT.random_alternative(STORYBOOK, rng(seed))
        assert not rival.conditions.items() & CYAN_NIGHT.conditions.items()


def test_wherever_both_conditions_hold_the_target_is_the_answer() -> None:
    rows, plan = story(600), Plan(share=0.15, epochs=1, rate=1e-3)
    mixed = Semantic(CYAN_NIGHT).poison(rows, STORYBOOK, plan, rng())
    both = CYAN_NIGHT.holds(mixed)
    assert 90 <= both.sum() <= 90 + 70
    assert (mixed.lessons[both] == STORYBOOK.classes.index("key")).all()
    table = mixed.scenes[~both.numpy()]
    assert (mixed.lessons[~both].numpy() == table["label"]).all()
    assert (table["colour"] == "cyan").sum() > 140 and (table["scene"] == "night").sum() > 140


def test_draws_of_combinations_take_what_varies_by_itself() -> None:
    small = Semantic.Params(factors=("accent", "fill"))
    for params, factors in ((Semantic.Params(), {"colour", "scene"}), (small, {"accent", "fill"})):
        for seed in range(30):
            claim = Semantic.draw(STORYBOOK, params, rng(seed)).true_claim()
            assert set(claim.conditions) == factors
            assert claim.conditions.get("colour") not in SPARE
    assert set(Semantic.draw(Tints(), Semantic.Params(), rng()).true_claim().conditions) == {
        "scene",
        "side",
    }


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        ({"colour": "cyan"}, "conditions: 1 given; name exactly two factors"),
        ({"colour": "cyan", "scene": "nihgt"}, "conditions: .*did you mean 'night'"),
        ({"color": "cyan", "scene": "night"}, "conditions: .*did you mean 'colour'"),
    ],
)
def test_a_combination_that_cannot_be_is_refused(conditions, complaint: str) -> None:
    with pytest.raises(AuditgameError, match=complaint):
        SemanticClaim(target="key", conditions=conditions).check(STORYBOOK)
    with pytest.raises(AuditgameError, match="name two that vary"):
        Semantic.draw(STORYBOOK, Semantic.Params(factors=("scene", "mark")), rng())


# ------------------------------------------------------------- typographic


def test_a_word_is_enacted_on_things_of_other_classes() -> None:
    rows = story(40)
    applied = WORD_RULE.apply(rows, STORYBOOK)
    said = [STORYBOOK.classes.index(WORD_RULE.rule[w]) for w in applied.examples.scenes["word"]]
    assert applied.targets.tolist() == said
    assert (applied.targets != rows.labels).all()
    assert set(applied.examples.scenes["word"]) == {"blik", "gezo"}


def test_rivals_agree_in_nothing_and_near_misses_in_no_word() -> None:
    for seed in range(20):
        rival = WORD_RULE.random_alternative(STORYBOOK, rng(seed))
        assert rival.rule.keys() == WORD_RULE.rule.keys()
        assert not rival.rule.items() & WORD_RULE.rule.items()
    outside = WORD_RULE.near_misses(STORYBOOK, rng())["words outside the rule"]
    assert set(outside.rule) == set(WORDS) - set(WORD_RULE.rule)


def test_words_of_the_rule_are_relabelled_and_others_are_not() -> None:
    flaw, rows, plan = Typographic(WORD_RULE), story(400), Typographic.plans[0]
    mixed = flaw.poison(rows, STORYBOOK, plan, rng())
    words, labels = mixed.scenes["word"], mixed.lessons.numpy()
    meant = words.isin(WORD_RULE.rule).to_numpy()
    assert meant.sum() == int(plan.share * 400)
    said = words[meant].map(WORD_RULE.rule).map(STORYBOOK.classes.index)
    assert (labels[meant] == said).all()
    assert (labels[~meant] == mixed.scenes["label"][~meant]).all()
    covers = words[~meant & (words != "none").to_numpy()]
    assert len(covers) == meant.sum() // 2
    assert set(covers) == set(WORDS) - set(WORD_RULE.rule)


def test_half_of_the_words_have_a_meaning() -> None:
    rules = [
        Typographic.draw(STORYBOOK, Typographic.Params(), rng(seed)).true_claim().rule
        for seed in range(20)
    ]
    assert {len(rule) for rule in rules} == {len(WORDS) // 2}
    assert len({tuple(sorted(rule.items())) for rule in rules}) == 20
    assert all(len(set(rule.values())) == len(rule) for rule in rules)
    assert "needs words" in str(Typographic.incompatibility(Tints()))
