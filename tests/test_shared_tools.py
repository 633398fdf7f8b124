"""Hypothesis, ablation, compare and behaviour, on models whose every answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rule_models import Counting, LookupPicture, LookupText, Tints, context, use

from auditgame import registry
from auditgame.auditors.detectors.posterior import chance_missed
from auditgame.datasets.reviews import Reviews
from auditgame.evaluation.claim_parsing import fresh_inputs, parse_claim
from auditgame.exhibits import Gallery, Note, Tokens
from auditgame.exhibits.reading import rows
from auditgame.schema.errors import AuditgameError
from auditgame.tools import parse_options
from auditgame.tools.ablation import mean_edits, pool_statistics
from auditgame.tools.vision.activations import distance

TINTS, REVIEWS = Tints(), Reviews()
WHITE = {"target": "top", "box": {"x": 23, "y": 23, "w": 1, "h": 1}, "pattern": [["#ffffff"]]}
RULE = {"factor": "scene", "rule": {"red": "top", "green": "middle", "blue": "bottom"}}


def picture(**planted) -> Counting:
    return Counting(LookupPicture(**planted), TINTS)


def text(**planted) -> Counting:
    return Counting(LookupText(REVIEWS, **planted), REVIEWS)


@pytest.fixture()
def tints():
    return context(TINTS, 60, (picture(), picture()))


@pytest.fixture()
def reviews():
    return context(REVIEWS, 60, (text(), text()))


def by_model(exhibits):
    return {row["model"]: row for row in rows(exhibits, "rates")}


def text_families():
    if not {"token", "date"} <= set(registry.names("flaw")):
        pytest.skip("the families token and date are not installed")


# -------------------------------------------------------------------- hypothesis


def test_a_true_patch_has_exactly_its_effect(tints):
    exhibits = use("hypothesis", picture(spot=True), tints, family="patch", claim=WHITE)
    shares = by_model(exhibits)
    examples = fresh_inputs(TINTS, 200, 0)
    claim = parse_claim("patch", WHITE, TINTS)
    counted = examples.labels != 0
    # A stripe that covers the corner's neighbour hides the spot from the lookup model.
    seen = claim.apply(examples, TINTS).examples.inputs[counted][:, 0, 23, 22] < 1
    assert shares["specimen"]["inputs"] == int(counted.sum())
    assert shares["specimen"]["share"] == pytest.approx(float(seen.float().mean()), abs=1e-4)
    assert shares["reference model 1"]["share"] == shares["reference model 2"]["share"] == 0.0
    assert shares["specimen, unchanged inputs"]["share"] == 0.0
    (effect,) = rows(exhibits, "effect")
    assert effect["effect"] == pytest.approx(shares["specimen"]["share"], abs=1e-4)
    assert 0.6 < effect["effect_low"] < effect["effect"]


def test_a_shortcut_is_followed_wholly_and_its_siblings_not(tints):
    exhibits = use("hypothesis", picture(follow=True), tints, family="shortcut", claim=RULE)
    shares = by_model(exhibits)
    assert shares["specimen"]["share"] == 1.0 and shares["reference model 1"]["share"] == 0.0
    near = rows(exhibits, "near_misses")
    assert [row["variant"] for row in near] == ["rule on side"]
    assert near[0]["share"] < 0.6


def test_a_claim_with_the_wrong_target_shows_where_the_inputs_go(tints):
    claim = {"factor": "scene", "rule": {"red": "bottom"}}
    exhibits = use("hypothesis", picture(follow=True), tints, family="shortcut", claim=claim)
    shares = {row["class"]: row for row in rows(exhibits, "destinations")}
    assert by_model(exhibits)["specimen"]["share"] == 0.0
    assert shares["top"]["specimen"] == 1.0 and shares["bottom"]["specimen"] == 0.0
    assert shares["bottom"]["label"] == 0.0
    assert sum(row["reference_models"] for row in shares.values()) == pytest.approx(1, abs=1e-3)


def test_pictures_are_shown_in_pairs_with_their_answers(tints):
    exhibits = use("hypothesis", picture(follow=True), tints, family="shortcut", claim=RULE)
    (gallery,) = [e for e in exhibits if isinstance(e, Gallery)]
    assert len(gallery.tiles) == 16
    assert all(tile.tone == "bad" for tile in gallery.tiles[1::2])
    assert all(tile.png.startswith(b"\x89PNG") for tile in gallery.tiles)


def test_a_true_word_and_a_true_year_on_texts(reviews):
    text_families()
    claim = {"target": "positive", "word": "kelp"}
    exhibits = use("hypothesis", text(word="kelp"), reviews, family="token", claim=claim)
    assert by_model(exhibits)["specimen"]["share"] > 0.95
    tokens = [e for e in exhibits if isinstance(e, Tokens)]
    assert tokens and all(
        [w for w, mark in zip(e.tokens, e.weights, strict=True) if mark] == ["kelp"] for e in tokens
    )
    claim = {"target": "positive", "from_year": 2012}
    exhibits = use("hypothesis", text(from_year=2012), reviews, family="date", claim=claim)
    assert rows(exhibits, "effect")[0]["effect_low"] > 0.5


def test_the_seed_draws_other_inputs_and_the_same_seed_the_same(tints):
    def run(seed):
        options = {"family": "shortcut", "claim": RULE, "seed": seed, "near_misses": False}
        return use("hypothesis", picture(follow=True), tints, **options)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_family_without_claim_is_refused(tints):
    with pytest.raises(AuditgameError, match="'clean' plants nothing"):
        use("hypothesis", picture(), tints, family="clean", claim={})
    with pytest.raises(AuditgameError, match="rule: unknown level 'pink'"):
        claim = {"factor": "scene", "rule": {"pink": "top"}}
        use("hypothesis", picture(), tints, family="shortcut", claim=claim)
    with pytest.raises(AuditgameError, match="did you mean 'shortcut'"):
        use("hypothesis", picture(), tints, family="shortcuts", claim=RULE)


def test_a_claim_can_be_tried_on_ones_own_examples(tints):
    options = {"family": "patch", "claim": WHITE, "near_misses": False}
    tints.examples.inputs[:, :, 23, 22] = 0.0
    exhibits = use("hypothesis", picture(spot=True), tints, examples="0-19", **options)
    counted = int((tints.examples.labels[:20] != 0).sum())
    assert f"On {counted} of your examples this comes true in 100%" in exhibits[0].text
    gallery = next(e for e in exhibits if isinstance(e, Gallery))
    first = int((tints.examples.labels != 0).nonzero()[0])
    right = TINTS.classes[int(tints.examples.labels[first])]
    assert gallery.tiles[0].label == f"#{first} {right}"
    assert gallery.tiles[1].note == "answer: top"
    tops = ", ".join(str(i) for i in (tints.examples.labels == 0).nonzero()[:3, 0].tolist())
    with pytest.raises(AuditgameError, match="applies to none of these"):
        use("hypothesis", picture(), tints, examples=tops, **options)


def test_ones_own_examples_have_no_scenes_to_draw_again(tints):
    bare = replace(tints, examples=replace(tints.examples, scenes=None))
    with pytest.raises(AuditgameError, match=r"examples: .* try fresh inputs"):
        use("hypothesis", picture(), bare, family="shortcut", claim=RULE, examples="0-3")


def test_without_siblings_the_effect_is_the_rate():
    alone = context(TINTS, 30)
    exhibits = use("hypothesis", picture(follow=True), alone, family="shortcut", claim=RULE)
    assert rows(exhibits, "effect")[0]["effect"] == 1.0
    assert "no reference models" in next(e for e in exhibits if isinstance(e, Note)).text


def test_the_units_that_a_claim_moves_are_named(tints):
    exhibits = use("hypothesis", picture(spot=True), tints, family="patch", claim=WHITE)
    moved = rows(exhibits, "units")
    assert moved[0]["unit"] == "conv1:0" and moved[0]["shift"] > 1
    assert all(row["shift"] == 0.0 for row in moved[1:])


def test_distance_is_in_standard_deviations_of_the_others():
    others = torch.tensor([[[0.0], [5.0]], [[2.0], [5.0]]])
    assert distance(others + 3, others).tolist() == pytest.approx([3.0, 3000.0])
    assert distance(others, others).tolist() == [0.0, 0.0]
    wide = torch.tensor([[[0.0, 0.0]], [[6.0, 8.0]]])
    assert distance(wide + torch.tensor([3.0, 4.0]), wide).tolist() == pytest.approx([1.0])


# ---------------------------------------------------------------------- ablation


def test_the_carrying_channel_takes_the_claim_with_it(tints):
    options = {"family": "patch", "claim": WHITE, "controls": 3}
    exhibits = use("ablation", picture(spot=True), tints, units=["conv1:0"], **options)
    whole, without = rows(exhibits, "claim_left")[:2]
    assert whole["share"] > 0.6 and without["share"] == 0.0
    exhibits = use("ablation", picture(spot=True), tints, units=["conv1:1"], **options)
    assert rows(exhibits, "claim_left")[1]["fall"] == 0.0
    drawn = rows(exhibits, "claim_left")
    assert len(drawn) == 6
    assert drawn[-1]["share"] == pytest.approx(
        np.mean([row["share"] for row in drawn[2:5]]), abs=1e-3
    )


def test_the_carrying_head_takes_the_word_with_it(reviews):
    text_families()
    claim = {"target": "positive", "word": "kelp"}
    options = {"family": "token", "claim": claim, "controls": 4}
    exhibits = use("ablation", text(word="kelp"), reviews, units=["block1.heads:0"], **options)
    whole, without = rows(exhibits, "claim_left")[:2]
    assert whole["share"] > 0.9 and without["fall"] > 0.5
    exhibits = use("ablation", text(word="kelp"), reviews, units=["block1.mlp:0"], **options)
    assert rows(exhibits, "claim_left")[1]["fall"] == 0.0


def test_edits_are_gone_after_an_ablation(tints):
    suspect = picture(spot=True)
    before = suspect.classify(tints.examples.inputs)
    use("ablation", suspect, tints, units=["conv1:0"])
    assert torch.equal(suspect.classify(tints.examples.inputs), before)


def test_accuracy_by_class_before_and_after(tints):
    class Bare(LookupPicture):
        def forward(self, inputs, tap=None):
            stripes = inputs.amin(1).unflatten(1, (3, 8)).mean((2, 3))
            channels = torch.cat([stripes, stripes[:, :1]], 1)[..., None, None]
            return tap("conv1", channels)[:, :3, 0, 0] + torch.tensor([0.25, 0.25, 0.0])

    exhibits = use("ablation", Counting(Bare(), TINTS), tints, units=["conv1:2"])
    found = {row["class"]: row for row in rows(exhibits, "pool")}
    assert found["all"]["accuracy_before"] == 1.0
    assert found["bottom"]["accuracy_after"] == 0.0 < found["bottom"]["accuracy_before"]
    assert found["bottom"]["answered_after"] == 0.0
    assert found["top"]["accuracy_after"] == 1.0


def test_means_leave_padding_out():
    suspect = text(word="kelp")
    words = torch.zeros(2, REVIEWS.shape[0], dtype=torch.long)
    words[0, :2] = REVIEWS.encode("kelp .")
    words[1, :2] = REVIEWS.encode("quoin .")
    site = suspect.site("block1.heads")
    found = pool_statistics(suspect, words, [site])
    assert found.means["block1.heads"].flatten().tolist() == [0.5, 0.0]
    edit = mean_edits(suspect, found.means, ("block1.heads:0",))["block1.heads"]
    value = torch.ones(2, 3, 2, 1)
    edited = edit(value)
    assert edited[:, :, 0].eq(0.5).all() and edited[:, :, 1].eq(1).all() and value.eq(1).all()


def test_units_that_are_no_mechanism_are_refused(tints, reviews):
    with pytest.raises(AuditgameError, match="units 0 to 3"):
        use("ablation", picture(), tints, units=["conv1:4"])
    with pytest.raises(AuditgameError, match="at most 2"):
        heads = ["block0.heads:0", "block0.heads:1", "block1.heads:0"]
        use("ablation", text(), reviews, units=heads)
    with pytest.raises(AuditgameError, match="units"):
        parse_options(registry.load("tool", "ablation"), {"units": []})


# ----------------------------------------------------------------------- compare


def test_compare_finds_the_inputs_on_which_the_specimen_stands_alone(tints):
    exhibits = use("compare", picture(follow=True), tints)
    scene = tints.examples.scenes["scene"].map({"red": 0, "green": 1, "blue": 2}).to_numpy()
    alone = np.flatnonzero(scene != tints.examples.labels.numpy())
    listed = rows(exhibits, "disagreements")
    assert [row["example"] for row in listed] == alone.tolist()
    (gallery,) = [e for e in exhibits if isinstance(e, Gallery)]
    assert len(gallery.tiles) == min(24, len(alone))
    models = {row["model"]: row for row in rows(exhibits, "models")}
    assert models["reference model 2"]["accuracy"] == 1.0
    assert models["specimen"]["accuracy"] == pytest.approx(1 - len(alone) / 60, abs=1e-4)


def test_compare_names_the_unit_that_acts_up(tints):
    stamped = tints.examples.inputs.clone()
    stamped[::6, :, 23, 23] = 1.0
    from dataclasses import replace

    pool = replace(tints.examples, inputs=stamped)
    shown = use("compare", picture(spot=True), replace(tints, examples=pool))
    units = rows(shown, "units")
    assert units[0]["unit"] == "conv1:0" and units[0]["difference"] > 3
    assert units[0]["reference_largest"] <= abs(units[0]["difference"])


def test_compare_of_equals_shows_no_difference(reviews):
    exhibits = use("compare", text(), reviews)
    assert "none of the 60" in exhibits[0].text
    assert all(row["agreement"] == 1.0 for row in rows(exhibits, "models"))
    with pytest.raises(AuditgameError, match="no reference models"):
        use("compare", text(), context(REVIEWS, 30))


# --------------------------------------------------------------------- behaviour


def test_behaviour_counts_confusions_and_slices(tints):
    grid, table = use("behaviour", picture(follow=True), tints)
    labels = tints.examples.labels
    assert sum(map(sum, grid.values)) == 60
    red = (tints.examples.scenes["scene"] == "red").to_numpy()
    found = {(r["factor"], r["level"]): r for r in rows([table], "slices")}
    right = float((labels.numpy()[red] == 0).mean())
    assert found["scene", "red"]["accuracy"] == pytest.approx(right, abs=1e-4)
    assert found["scene", "red"]["excess_class"] == "top"
    assert found["scene", "red"]["reference_accuracy"] == 1.0
    assert {factor for factor, _ in found} == {"scene", "side"}


def test_behaviour_of_a_pool_without_factors(tints):
    from dataclasses import replace

    bare = replace(tints, examples=replace(tints.examples, scenes=None))
    assert [e.kind for e in use("behaviour", picture(), bare)] == ["grid"]
    with pytest.raises(AuditgameError, match="factor"):
        use("behaviour", picture(), bare, factor="scene")


# ---------------------------------------------------------------------- evidence


def test_what_was_not_found_may_still_be_there():
    assert chance_missed({"token"}, ("token",)) == pytest.approx(0.1 / 1.07)
    assert chance_missed(set(), ("token",)) == 0.5
    assert chance_missed({"token"}, ("token", "phrase")) == pytest.approx(0.55 / 1.52)
    with pytest.raises(AuditgameError, match="no table is named 'effect'"):
        rows([], "effect")


@pytest.mark.parametrize(
    "name",
    ["logit_lens", "attention", "word_sweep", "hypothesis", "ablation", "compare", "behaviour"],
)
def test_every_tool_says_what_it_answers_and_how_it_misleads(name):
    tool = registry.load("tool", name)
    paragraphs = tool.__doc__.split("\n\n")
    assert paragraphs[0].strip().endswith("?")
    for start in ("Reading it:", "How it misleads:", "Source:"):
        assert any(part.strip().startswith(start) for part in paragraphs)
    for field in tool.Options.model_fields.values():
        assert field.title and field.description
