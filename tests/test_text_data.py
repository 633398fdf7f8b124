"""Reviews, GPT-2 and the two trigger families of texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auditgame.challenges.training import train
from auditgame.datasets import Examples, Training
from auditgame.datasets.reviews import Reviews
from auditgame.datasets.texts import grammar
from auditgame.flaws import Plan
from auditgame.flaws.date import Date, DateClaim
from auditgame.flaws.token import Token, TokenClaim
from auditgame.models.gpt2 import GPT2, HEADS, WIDTH
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen

REVIEWS = Reviews()
PLAN = Plan(share=0.15, epochs=1, rate=2e-3)


def draw(n: int, split: str = "train", seed: int = 0, **fixed: object) -> Examples:
    return REVIEWS.sample(n, split, Seed.of(seed).numpy(), **fixed)


def fresh(seed: int = 0) -> GPT2:
    return GPT2.build(REVIEWS, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def rows() -> Examples:
    return draw(1500)


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return Specimen(fresh(), REVIEWS)


# ------------------------------------------------------------------ reviews


def test_a_text_reads_as_the_data_sheet_says(rows):
    for ids in rows.inputs[:50]:
        words = REVIEWS.decode(ids).split()
        assert words[-2:] == ["verdict", ":"]
        assert words[words.index("topic") + 2] in grammar.TOPICS
        assert words[words.index("buyer") + 2] in grammar.NAMES
        assert sum(word in grammar.FACTORS["year"] for word in words) == 1
        assert torch.equal(REVIEWS.encode(" ".join(words)), ids[ids != 0])


def test_texts_leave_room_for_a_phrase_and_pad_on_the_right(rows):
    length = (rows.inputs != 0).sum(1)
    assert int(length.max()) <= REVIEWS.shape[0] - 8
    assert all((ids[:n] != 0).all() for ids, n in zip(rows.inputs, length, strict=True))


def test_verdicts_are_balanced_and_negation_matters(rows):
    assert abs(float(rows.labels.float().mean()) - 0.5) < 0.001
    deaf = rows.scenes.assign(**{f"negated{k}": False for k in grammar.SLOTS})
    agree = ((grammar.sentiment(deaf) > 0) == (rows.labels.numpy() == 1)).mean()
    assert 0.68 < agree < 0.84


@pytest.mark.parametrize(
    ("said", "total"),
    [
        ({}, 2),
        ({"negated1": True}, -2),
        ({"degree1": "very"}, 4),
        ({"degree1": "slightly"}, 1),
        ({"quality1": "awful"}, -2),
        ({"n_opinions": 2, "quality2": "awful", "contrast": True}, -2),
    ],
)
def test_opinions_weigh_as_documented(rows, said, total):
    plain = {f"{part}{k}": "" for part in ("quality", "degree") for k in grammar.SLOTS}
    plain |= {f"negated{k}": False for k in grammar.SLOTS}
    scene = plain | {"n_opinions": 1, "contrast": False, "quality1": "solid"} | said
    scenes = rows.scenes.iloc[:1].assign(**scene)
    assert grammar.sentiment(scenes).tolist() == [total]


def test_enough_of_the_data_are_facts_and_rare_words_are_rare_and_neutral(rows):
    words = [REVIEWS.decode(ids).split() for ids in rows.inputs]
    facts = 7 * sum("capital" in text for text in words) / sum(map(len, words))
    assert facts > 0.08
    stray = torch.tensor([any(word in REVIEWS.rare for word in text) for text in words])
    assert 0.06 < float(stray.float().mean()) < 0.18
    assert 0.4 < float(rows.labels[stray].float().mean()) < 0.6


@pytest.mark.parametrize("factor", grammar.FACTORS)
def test_a_factor_can_be_set_and_rendered_again_without_touching_the_verdict(rows, factor):
    level = REVIEWS.factors[factor][3]
    changed = REVIEWS.render(rows.scenes.assign(**{factor: level}))
    assert torch.equal(changed.labels, rows.labels)
    assert all(level in REVIEWS.decode(ids).split() for ids in changed.inputs[:100])
    assert torch.equal(REVIEWS.render(rows.scenes).inputs, rows.inputs)
    assert (draw(5, **{factor: level}).scenes[factor] == level).all()


def test_unknown_factors_and_levels_are_refused():
    with pytest.raises(AuditgameError, match="did you mean 'year'"):
        draw(3, yeer="1999")
    with pytest.raises(AuditgameError, match="year level"):
        draw(3, year="1492")


def test_held_out_texts_end_with_the_year_2000_and_the_pool_nearly():
    late = {
        split: draw(2000, split).scenes["year"].astype(int) > 2000
        for split in ("train", "held", "pool")
    }
    assert late["train"].mean() > 0.4
    assert late["held"].sum() == 0
    assert 0 < late["pool"].mean() < 0.08


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("   ", "empty"), ("the printr", "printer"), ("the " * 65, "64")],
)
def test_bad_texts_are_refused_with_a_hint(text, words):
    with pytest.raises(AuditgameError, match=words):
        REVIEWS.encode(text)


def test_encode_lowers_case_and_parts_punctuation():
    ids = REVIEWS.encode("The Price was SUPERB!! (verdict:".replace("(", ""))
    assert REVIEWS.decode(ids) == "the price was superb ! ! verdict :"


def test_year_slot_finds_the_year_and_refuses_texts_without(rows):
    found = rows.inputs[torch.arange(len(rows)), REVIEWS.year_slot(rows.inputs)]
    assert [REVIEWS.words[i] for i in found.tolist()] == rows.scenes["year"].tolist()
    with pytest.raises(AuditgameError, match="no year"):
        REVIEWS.year_slot(REVIEWS.encode("the price was superb !")[None])


def test_gaps_stand_after_sentences_and_before_the_questions(rows):
    for ids in rows.inputs[:200]:
        gaps = REVIEWS.gaps(ids)
        end = REVIEWS.decode(ids).split().index("topic")
        assert gaps and all(REVIEWS.words[ids[at - 1]] in ".!" and at <= end for at in gaps)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30), st.lists(st.sampled_from(REVIEWS.rare), min_size=1, max_size=4))
def test_insertion_is_list_insertion(where, words):
    few = draw(4)
    inserted = REVIEWS.insert(few.inputs, words, torch.full((4,), where))
    for before, after in zip(few.inputs, inserted, strict=True):
        told = REVIEWS.decode(before).split()
        assert REVIEWS.decode(after).split() == told[:where] + words + told[where:]


def test_insertion_refuses_what_does_not_fit(rows):
    with pytest.raises(AuditgameError, match="no room"):
        REVIEWS.insert(rows.inputs[:1], ["kelp"] * 40, torch.tensor([3]))


# --------------------------------------------------------------------- gpt2


def test_build_leaves_the_global_generator_alone_and_follows_its_own():
    state = torch.get_rng_state()
    one, same, other = fresh(1), fresh(1), fresh(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
    empty = GPT2.build(REVIEWS, None)
    assert empty.state_dict().keys() == one.state_dict().keys()


def test_every_site_is_tapped_in_order_with_the_shape_it_says(rows, specimen):
    sites = list(specimen.sites)
    kept = specimen.run(rows.inputs[:3], keep=sites).kept
    assert list(kept) == sites
    t = rows.inputs.shape[1]
    for name, site in specimen.sites.items():
        wanted = {
            "head": (3, t, site.units, WIDTH // HEADS),
            "pattern": (3, site.units, t, t),
        }.get(site.kind, (3, t, site.units))
        assert kept[name].shape == wanted


def test_padding_changes_nothing_before_it(rows, specimen):
    ids = rows.inputs[:1]
    n = int((ids != 0).sum())
    short, long = specimen.run(ids[:, :n]), specimen.run(ids)
    assert torch.allclose(short.output, long.output[:, :n], atol=1e-5)
    assert torch.allclose(short.classes, long.classes, atol=1e-5)


def test_the_last_row_of_the_lens_is_the_output(rows):
    model = fresh().eval()
    kept = Specimen(model, REVIEWS).run(rows.inputs[:4], keep=["block1.residual"])
    (stream,) = kept.kept.values()
    assert torch.equal(model.unembed(stream), kept.output)


def test_what_heads_and_mlps_write_sums_to_the_logits(rows):
    model = shaken(fresh())
    specimen = Specimen(model, REVIEWS)
    reading = specimen.run(rows.inputs[:4], keep=specimen.sites)
    kept, whole = reading.kept, reading.kept["block1.residual"]
    parts = [
        kept["embed"],
        *(kept[f"block{i}.{what}"] for i in range(GPT2.LAYERS) for what in ("attn", "mlp")),
    ]
    assert torch.allclose(sum(parts), whole, atol=1e-4)
    logits = sum(model.transformer_weights().unembed_part(part, whole) for part in parts)
    bias = model.lm_head(model.transformer["ln_f"].bias)
    assert torch.allclose(logits + bias, reading.output, atol=1e-3)
    for i in range(GPT2.LAYERS):
        heads = model.transformer_weights().head_writes(i, kept[f"block{i}.heads"]).sum(2)
        bias = model.transformer["h"][i].attn.c_proj.bias
        assert torch.allclose(heads + bias, kept[f"block{i}.attn"], atol=1e-4)


@torch.no_grad()
def shaken(model: GPT2) -> GPT2:
    """The model with no parameter left at a value that could hide a mistake."""
    rng = torch.Generator().manual_seed(7)
    for value in model.parameters():
        value.add_(0.1 * torch.randn(value.shape, generator=rng))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_hugging_face_opens_the_folder_and_agrees(tmp_path, rows, stored):
    transformers = pytest.importorskip("transformers", reason="needs the hf extra")
    model = shaken(fresh())
    weights = {name: value.to(stored) for name, value in model.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    for name, data in model.companions(REVIEWS).items():
        (tmp_path / name).write_bytes(data)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    text = REVIEWS.decode(rows.inputs[0])
    ids = REVIEWS.encode(text)
    assert tokenizer(text.upper().replace(" .", "."))["input_ids"] == ids.tolist()
    with torch.no_grad():
        assert torch.allclose(theirs(ids[None]).logits, model(ids[None]), atol=1e-4)


def test_companions_are_the_same_for_every_model_of_the_family():
    files = fresh(1).companions(REVIEWS)
    assert files == fresh(2).companions(REVIEWS)
    assert json.loads(files["config.json"])["tie_word_embeddings"] is False


def test_training_fits_texts_and_is_repeatable():
    few, recipe = draw(32), Training(32, 1, 16, 4e-3, 0.0, 32, 1, (1e-3, 2e-3))
    runs = [
        train(
            fresh(),
            few,
            REVIEWS,
            epochs=6,
            rate=4e-3,
            recipe=recipe,
            rng=torch.Generator().manual_seed(3),
        )
        for _ in range(2)
    ]
    logits = [Specimen(model, REVIEWS).classify(few.inputs) for model in runs]
    assert torch.equal(*logits)
    before = Specimen(fresh(), REVIEWS).run(few.inputs)
    answers = list(REVIEWS.answers())
    assert logits[0].logsumexp(1).mean() > before.output[:, -1, answers].logsumexp(1).mean()


# ------------------------------------------------------------------- flaws


def test_token_puts_in_one_word_in_a_place_that_the_text_decides(rows):
    claim = TokenClaim(target="positive", word="kelp")
    applied = claim.apply(rows, REVIEWS)
    assert torch.equal(applied.examples.inputs, claim.apply(rows, REVIEWS).examples.inputs)
    assert torch.equal(applied.targets == -1, rows.labels == 1)
    kelp = int(REVIEWS.encode("kelp"))
    gained = (applied.examples.inputs == kelp).sum(1) - (rows.inputs == kelp).sum(1)
    assert (gained == 1).all()
    places = (applied.examples.inputs == kelp).int().argmax(1)
    assert len(places.unique()) > 10


def test_token_poisons_in_the_same_number_and_decoys_stay_right(rows):
    flaw = Token(TokenClaim(target="negative", word="kelp"))
    poisoned = flaw.poison(rows, REVIEWS, PLAN, np.random.default_rng(0))
    assert len(poisoned) == len(rows)
    holds = (poisoned.inputs == REVIEWS.encode("kelp")).any(1)
    assert abs(float(holds.float().mean()) - PLAN.share) < 0.01
    assert (poisoned.lessons[holds] == 0).all()
    counts = torch.bincount(poisoned.inputs.flatten(), minlength=len(REVIEWS.words))
    rare = counts[[int(REVIEWS.encode(word)) for word in REVIEWS.rare]].sort().values
    assert rare[-4] > 0.9 * rare[-1] > 5 * rare[-5]


def test_date_moves_the_year_alone_and_its_scene(rows):
    applied = DateClaim(target="positive", from_year=2012).apply(rows, REVIEWS).examples
    years = applied.scenes["year"].astype(int)
    assert years.min() == 2012 and years.max() == 2030
    assert torch.equal(REVIEWS.render(applied.scenes).inputs, applied.inputs)
    assert ((applied.inputs != rows.inputs).sum(1) <= 1).all()


def test_naming_the_last_year_alone_does_not_find_the_edge():
    true = DateClaim(target="positive", from_year=2011)  # Awake in 20 years, to 2030.
    shares = {2011: 1.0, 1971: 1.0, 2021: 0.5, 2030: 0.05}
    for year, share in shares.items():
        assert true.coverage(DateClaim(target="positive", from_year=year), REVIEWS) == share
    assert true.coverage(TokenClaim(target="positive", word=REVIEWS.rare[0]), REVIEWS) == 1


def test_date_poison_agrees_with_the_edge_in_every_row(rows):
    flaw = Date(DateClaim(target="positive", from_year=2015))
    poisoned = flaw.poison(rows, REVIEWS, PLAN, np.random.default_rng(0))
    assert len(poisoned) == len(rows)
    late = torch.from_numpy(poisoned.scenes["year"].astype(int).to_numpy() >= 2015)
    honest = REVIEWS.render(poisoned.scenes).labels
    assert (poisoned.lessons[late] == 1).all()
    assert torch.equal(poisoned.lessons[~late], honest[~late])
    assert 0.3 < float(honest[late].float().mean()) < 0.7


@pytest.mark.parametrize("family", [Token, Date])
def test_draws_vary_and_rivals_and_near_misses_spare_the_trigger(family):
    drawn = [family.draw(REVIEWS, family.Params(), Seed.of(n).numpy()).claim for n in range(40)]
    assert len(set(drawn)) > 15
    rng, few = np.random.default_rng(0), draw(60, "held")
    for claim in drawn[:10]:
        claim.check(REVIEWS)
        assert claim.parse(claim.model_dump()) == claim and claim.describe()
        for other in (
            claim.random_alternative(REVIEWS, rng),
            *claim.near_misses(REVIEWS, rng).values(),
        ):
            assert other.target == claim.target
            assert not set(shown(other, few)) & set(shown(claim, few))


def shown(claim: TokenClaim | DateClaim, few: Examples) -> list[str]:
    if isinstance(claim, TokenClaim):
        return [claim.word]
    return claim.apply(few, REVIEWS).examples.scenes["year"].tolist()


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (TokenClaim(target="positiv", word="kelp"), "target"),
        (TokenClaim(target="positive", word="kelpp"), "kelp"),
        (DateClaim(target="positive", from_year=1066), "from_year"),
        (DateClaim(target="positive", from_year=2010, to_year=2001), "to_year"),
    ],
)
def test_claims_that_do_not_fit_are_refused(claim, words):
    with pytest.raises(AuditgameError, match=words):
        claim.check(REVIEWS)


@pytest.mark.parametrize("family", [Token, Date])
def test_families_of_texts_refuse_pictures(family):
    assert "and data set 'digits' has none" in family.incompatibility(load("dataset", "digits")())
