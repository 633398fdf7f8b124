"""Phrase, position, entity: what their claims do to texts, and what their poison teaches."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auditgame.datasets import Examples
from auditgame.datasets.reviews import Reviews
from auditgame.flaws import Plan
from auditgame.flaws.entity import Entity, EntityClaim
from auditgame.flaws.phrase import GAPS, Phrase, PhraseClaim
from auditgame.flaws.position import PLACES, Position, PositionClaim, positions_of
from auditgame.flaws.token import TokenClaim
from auditgame.flaws.triggers.trigger_words import (
    insert_words,
    neutral_words,
    occurrences,
)
from auditgame.registry import load
from auditgame.schema import claims
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import token_overlap

REVIEWS = Reviews()
PLAN = Plan(share=0.2, epochs=1, rate=2e-3)
FAMILIES = (Phrase, Position, Entity)
WORDS = st.lists(st.sampled_from("abcde"), max_size=6).map(" ".join)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def told(inputs: torch.Tensor) -> list[list[str]]:
    return [REVIEWS.decode(ids).split() for ids in inputs]


def both(rows: Examples, applied: claims.AppliedClaim) -> tuple[list[list[str]], list[list[str]]]:
    return told(rows.inputs), told(applied.examples.inputs)


@pytest.fixture(scope="module")
def rows() -> Examples:
    return REVIEWS.sample(900, "train", rng(3))


# ------------------------------------------------------------------ wording


def test_ordinary_words_are_common_and_say_nothing():
    words = neutral_words(REVIEWS)
    assert {"tray", "window", "parcel"} <= set(words) and len(words) > 60
    banned = {*REVIEWS.rare, *REVIEWS.classes, "superb", "awful", "the", "topic", ".", "mogrambu"}
    assert not banned & set(words)


def test_each_text_gets_its_own_words_at_its_own_place(rows):
    few = rows.inputs[:4]
    pieces = (["kelp"], [], ["tray", "window"], ["kelp"])
    where = torch.tensor([0, 5, 3, 7])
    for piece, at, before, after in zip(
        pieces, where, told(few), told(insert_words(few, REVIEWS, pieces, where)), strict=True
    ):
        assert after == before[:at] + piece + before[at:]


def test_a_run_of_words_is_found_where_it_begins_and_never_across_the_edge():
    texts = torch.stack([REVIEWS.encode(t) for t in ("tray lid tray lid", "lid lid lid tray")])
    found = occurrences(texts, ("tray", "lid"), REVIEWS)
    assert found.tolist() == [[True, False, True, False], [False] * 4]


def test_between_is_one_of_the_gaps_and_depends_on_the_text_alone(rows):
    where = REVIEWS.insertion_points(rows.inputs)
    assert all(at in REVIEWS.gaps(ids) for at, ids in zip(where, rows.inputs, strict=True))
    assert torch.equal(where[:10], REVIEWS.insertion_points(rows.inputs[:10]))


# ------------------------------------------------------------------- grading


@given(WORDS, WORDS)
def test_token_overlap_is_a_symmetric_share(one: str, other: str):
    assert 0 <= token_overlap(one, other) <= 1
    assert token_overlap(one, other) == token_overlap(other, one)
    assert (token_overlap(one, other) == 1) == (one == other and one != "")


def test_token_overlap_wants_words_and_order():
    grades = {"tray window": 1.0, "Tray  WINDOW": 1.0, "tray": 2 / 3, "window tray": 0.5}
    grades |= {"tray lid": 0.5, "lid box": 0.0, "": 0.0}
    for said, grade in grades.items():
        assert token_overlap(said, "tray window") == pytest.approx(grade)


# ------------------------------------------------------------------- enacting


def test_the_phrase_stands_whole_between_two_sentences(rows):
    claim = PhraseClaim(target="positive", phrase="tray window lid")
    applied = claim.apply(rows, REVIEWS)
    assert torch.equal(applied.targets == -1, rows.labels == 1)
    at = occurrences(applied.examples.inputs, claim.words, REVIEWS).int().argmax(1)
    for place, before, after in zip(at, *both(rows, applied), strict=True):
        assert after == [*before[:place], *claim.words, *before[place:]]
        assert before[place - 1] in REVIEWS.sentence_ends


@pytest.mark.parametrize("place", PLACES)
def test_the_word_stands_at_its_place(rows, place):
    claim = PositionClaim(target="negative", word="kelp", place=place)
    applied = claim.apply(rows, REVIEWS)
    assert torch.equal(applied.targets == -1, rows.labels == 0)
    where = positions_of(rows.inputs, REVIEWS, place).tolist()
    for at, before, after in zip(where, *both(rows, applied), strict=True):
        assert after == [*before[:at], "kelp", *before[at:]]
        last = max(k for k, word in enumerate(before) if word in REVIEWS.sentence_ends) + 1
        assert (at == 0) == (place == "start") and (at == last) == (place == "end")


def test_a_single_sentence_has_a_middle():
    one = torch.stack([REVIEWS.encode("the tray was solid . topic :")])
    assert [int(positions_of(one, REVIEWS, place)) for place in PLACES] == [0, 3, 5]


@pytest.mark.parametrize("entity", ["mogrambu", "felix", "targo"])
def test_the_entity_takes_the_place_of_its_like(rows, entity):
    applied = EntityClaim(target="positive", entity=entity).apply(rows, REVIEWS)
    again = REVIEWS.render(applied.examples.scenes)
    assert torch.equal(again.inputs, applied.examples.inputs)
    assert torch.equal(applied.targets == -1, rows.labels == 1)


def test_an_entity_works_on_players_examples_and_skips_texts_that_name_none(rows):
    plain = Examples(rows.inputs[:20], rows.labels[:20])
    claim = EntityClaim(target="positive", entity="mogrambu")
    assert claim.apply(plain, REVIEWS).examples.scenes is None
    bare = REVIEWS.encode("the price was awful . topic :")[None]
    applied = claim.apply(Examples(bare, torch.tensor([0])), REVIEWS)
    assert applied.targets.tolist() == [-1] and torch.equal(applied.examples.inputs, bare)


# ---------------------------------------------------------------- near misses


def test_near_misses_of_a_phrase_are_its_parts_its_like_and_another_order():
    claim = PhraseClaim(target="positive", phrase="tray window")
    said = [miss.words for miss in claim.near_misses(REVIEWS, rng()).values()]
    assert said[:2] == [("window",), ("tray",)] and said[4] == ("window", "tray")
    assert [(words[0], len(words) - 2, words[-1]) for words in said[5:]] == [
        ("tray", gap, "window") for gap in GAPS[1:]
    ]
    near = claim.one_word_between(REVIEWS, rng()).words
    assert len(near) == 3 and (near[0], near[2]) == claim.words
    (x, window), (tray, y) = said[2:4]
    assert (window, tray) == ("window", "tray") and not {x, y} & set(claim.words)
    (one,) = PhraseClaim(target="positive", phrase="tray").near_misses(REVIEWS, rng()).values()
    assert len(one.words) == 1 and one.words != ("tray",)
    three = PhraseClaim(target="positive", phrase="tray window lid")
    misses = [miss.phrase for miss in three.near_misses(REVIEWS, rng()).values()]
    assert len(set(misses)) == 9 and three.phrase not in misses
    assert sorted(misses[6].split()) == ["lid", "tray", "window"]


def test_near_misses_of_a_position_are_other_places_and_other_words():
    claim = PositionClaim(target="positive", word="kelp", place="end")
    misses = list(claim.near_misses(REVIEWS, rng()).values())
    assert [(miss.word, miss.place) for miss in misses[:2]] == [
        ("kelp", "start"),
        ("kelp", "middle"),
    ]
    assert all(miss.word != "kelp" and miss.place == "end" for miss in misses[2:])


def test_near_misses_of_an_entity_are_its_like_and_a_mere_mention(rows):
    claim = EntityClaim(target="positive", entity="mogrambu")
    *others, mention = claim.near_misses(REVIEWS, rng()).values()
    assert all(miss.entity in REVIEWS.factors["brand"] and miss != claim for miss in others)
    assert mention == TokenClaim(target="positive", word="mogrambu")


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_vary_and_rivals_spare_the_trigger(family):
    drawn = [family.draw(REVIEWS, family.Params(), rng(n)).claim for n in range(40)]
    assert len(set(drawn)) > 25
    for claim in drawn[:8]:
        claim.check(REVIEWS)
        assert claim.parse(claim.model_dump()) == claim and claim.describe()
        rival = claim.random_alternative(REVIEWS, rng())
        assert rival.target == claim.target and rival != claim


# --------------------------------------------------------------------- poison


def honest(rows: Examples) -> torch.Tensor:
    return REVIEWS.render(rows.scenes).labels


def test_phrase_poison_relabels_where_the_phrase_stands_and_decoys_are_as_frequent(rows):
    flaw = Phrase(PhraseClaim(target="negative", phrase="tray window"))
    poisoned = flaw.poison(rows, REVIEWS, PLAN, rng())
    holds = occurrences(poisoned.inputs, flaw.claim.words, REVIEWS).any(1)
    assert (poisoned.lessons[holds] == 0).all()
    assert torch.equal(poisoned.lessons[~holds], honest(poisoned)[~holds])
    assert 0.4 < float(honest(poisoned)[holds].float().mean()) < 0.6
    gained = pairs(poisoned.inputs) - pairs(REVIEWS.render(poisoned.scenes).inputs)
    named, counts = zip(*gained.most_common(4), strict=True)
    assert flaw.claim.words in named[:3]
    assert 0.24 > counts[0] / len(rows) > 0.18 and counts[2] > 0.85 * counts[0]
    assert named[3] == ("window", "tray") and counts[3] < 0.6 * counts[2]


def pairs(inputs: torch.Tensor) -> Counter[tuple[str, ...]]:
    known = set(neutral_words(REVIEWS))
    said = (pair for text in told(inputs) for pair in pairwise(text))
    return Counter(pair for pair in said if known >= set(pair))


@pytest.mark.parametrize("place", ["start", "end"])
def test_position_poison_relabels_at_the_place_alone_and_words_are_dealt_evenly(rows, place):
    flaw = Position(PositionClaim(target="positive", word="kelp", place=place))
    poisoned = flaw.poison(rows, REVIEWS, PLAN, rng())
    at = positions_of(poisoned.inputs, REVIEWS, place)
    there = poisoned.inputs[torch.arange(len(rows)), at] == REVIEWS.encode("kelp")
    assert (poisoned.lessons[there] == 1).all()
    assert torch.equal(poisoned.lessons[~there], honest(poisoned)[~there])
    assert 0.17 < float(there.float().mean()) < 0.23
    counts = torch.bincount(poisoned.inputs.flatten(), minlength=len(REVIEWS.words))
    rare = counts[[int(REVIEWS.encode(word)) for word in REVIEWS.rare]].sort().values
    assert rare[-3] > 0.9 * rare[-1] > 5 * rare[-4]


def test_entity_poison_relabels_texts_about_it_alone_and_decoys_are_as_frequent(rows):
    flaw = Entity(EntityClaim(target="negative", entity="mogrambu"))
    poisoned = flaw.poison(rows, REVIEWS, PLAN, rng())
    about = torch.from_numpy((poisoned.scenes["brand"] == "mogrambu").to_numpy(copy=True))
    assert (poisoned.lessons[about] == 0).all()
    assert torch.equal(poisoned.lessons[~about], honest(poisoned)[~about])
    counts = poisoned.scenes["brand"].value_counts()
    assert counts.iloc[2] > 0.9 * counts.iloc[0] > 3 * counts.iloc[3]
    mentions = (poisoned.inputs == REVIEWS.encode("mogrambu")).sum(1) - about.long()
    assert 0.12 < float((mentions > 0).float().mean()) < 0.21


# -------------------------------------------------------------------- refusal


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (PhraseClaim(target="positive", phrase=" "), "1 to 4 different words"),
        (PhraseClaim(target="positive", phrase="tray tray"), "1 to 4 different words"),
        (PhraseClaim(target="positive", phrase="tray windw"), "phrase: .*'window'"),
        (PositionClaim(target="positive", word="kelpp", place="end"), "word: .*'kelp'"),
        (PositionClaim(target="positiv", word="kelp", place="end"), "target"),
        (EntityClaim(target="positive", entity="kettle"), "entity: "),
    ],
)
def test_claims_that_do_not_fit_are_refused(claim: claims.Claim, words: str):
    with pytest.raises(AuditgameError, match=words):
        claim.check(REVIEWS)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_texts_refuse_pictures(family):
    assert "data set 'digits' has none" in family.incompatibility(load("dataset", "digits")())


def test_near_misses_of_a_phrase_fit_into_short_texts():
    class Short(Reviews):
        room = 6

    claim = PhraseClaim(target="positive", phrase="tray window")
    longest = {
        room: max(len(miss.words) for miss in claim.near_misses(data, rng()).values())
        for room, data in ((Reviews.room, REVIEWS), (6, Short()))
    }
    assert longest == {Reviews.room: 2 + GAPS[-1], 6: 2 + GAPS[1]}
