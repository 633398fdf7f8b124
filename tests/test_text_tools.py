"""Logit lens, attention and word sweep: against the model itself, Hugging Face, and known rules."""

from __future__ import annotations

import pytest
import torch
from rule_models import Counting, LookupText, context, use

from auditgame import registry
from auditgame.datasets.reviews import Reviews
from auditgame.exhibits import Table
from auditgame.exhibits.reading import find
from auditgame.models.gpt2 import GPT2
from auditgame.schema.errors import AuditgameError
from auditgame.tools import parse_options
from auditgame.tools.transformer.attention_heads import patterns, weighted
from auditgame.tools.transformer.residual_stream import layers

DATA = Reviews()
TEXT = "in 2010 felix bought a mogrambu printer in targo . the tray was solid ! verdict :"


def gpt2(seed: int = 0) -> Counting:
    model = GPT2.build(DATA, torch.Generator().manual_seed(seed))
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        parameter.data += 0.1 * noise
    return Counting(model, DATA)


@pytest.fixture(scope="module")
def specimen() -> Counting:
    return gpt2()


@pytest.fixture(scope="module")
def stuff():
    return context(DATA, 40, (gpt2(1), gpt2(2)))


# -------------------------------------------------------------------- logit lens


def test_the_last_row_of_the_lens_is_the_output(specimen):
    ids = DATA.encode(TEXT)[None]
    reading = specimen.run(ids, keep=layers(specimen))
    assert torch.equal(specimen.unembed(reading.kept[layers(specimen)[-1]]), reading.output)


def test_the_grid_shows_every_layer_and_word(specimen, stuff):
    grid, curve, table = use("logit_lens", specimen, stuff, text=TEXT)
    assert grid.rows == ("embed", "block0.residual", "block1.residual")
    assert len(grid.columns) == len(TEXT.split()) == len(grid.values[0])
    output = specimen.run(DATA.encode(TEXT)[None]).output[0].softmax(1)
    assert grid.values[-1] == pytest.approx(output.amax(1).tolist(), abs=1e-4)
    assert grid.words[-1] == tuple(DATA.words[i] for i in output.argmax(1).tolist())
    assert set(curve.series) == {"specimen", "reference_1", "reference_2"}
    assert len(table.rows) == 3 * len(grid.rows)


def test_the_answers_margin_ends_at_the_models_own(specimen, stuff):
    options = {"text": TEXT, "target": "positive", "show": "answer", "references": False}
    grid, curve, table = use("logit_lens", specimen, stuff, **options)
    logits = specimen.run(DATA.encode(TEXT)[None]).classes[0]
    margin = float(logits[1] - logits[0])
    assert curve.series["specimen"][-1][1] == pytest.approx(margin, abs=1e-4)
    assert grid.values[-1][-1] == pytest.approx(margin, abs=1e-4)
    assert table.rows[-1][2] == pytest.approx(margin, abs=1e-4)


def test_the_mean_over_texts_is_the_mean_of_each(specimen, stuff):
    def margins(**options):
        found = use("logit_lens", specimen, stuff, target="positive", references=False, **options)
        return torch.tensor([y for _, y in found[1].series["specimen"]])

    each = torch.stack([margins(example=i) for i in (3, 4, 5)]).mean(0)
    assert torch.allclose(margins(example=3, texts=3), each, atol=2e-4)


def test_the_lens_refuses_what_it_cannot_read(specimen, stuff):
    with pytest.raises(AuditgameError, match="did you mean 'solid'"):
        use("logit_lens", specimen, stuff, text="the tray was solidd")
    with pytest.raises(AuditgameError, match="example: 400"):
        use("logit_lens", specimen, stuff, example=400)
    with pytest.raises(AuditgameError, match=r"target: .*did you mean 'positive'"):
        use("logit_lens", specimen, stuff, target="positve")


# --------------------------------------------------------------------- attention


def test_attention_rows_sum_to_one_and_look_back(specimen):
    for pattern in patterns(specimen, DATA.encode(TEXT)).values():
        assert torch.allclose(pattern.sum(2), torch.ones(pattern.shape[:2]), atol=1e-5)
        assert float(pattern.triu(1).abs().max()) == 0.0


def test_value_weights_are_the_lengths_of_what_is_written(specimen):
    ids, block = DATA.encode(TEXT), "block1"
    weights = specimen.weights()
    stream = specimen.run(ids[None], keep=["block0.residual"]).kept["block0.residual"]
    normal = torch.nn.functional.layer_norm(
        stream,
        stream.shape[-1:],
        weights["transformer.h.1.ln_1.weight"],
        weights["transformer.h.1.ln_1.bias"],
    )
    name = "transformer.h.1.attn"
    v = normal @ weights[f"{name}.c_attn.weight"] + weights[f"{name}.c_attn.bias"]
    out = weights[f"{name}.c_proj.weight"].unflatten(0, (4, -1))
    for head, vectors in enumerate(v.chunk(3, 2)[2].unflatten(2, (4, -1))[0].unbind(1)):
        lengths = (vectors @ out[head]).norm(dim=1)
        expected = patterns(specimen, ids)[block][head] * lengths
        assert torch.allclose(weighted(specimen, ids)[block][head], expected, atol=1e-4)


def test_the_glance_names_the_word_each_head_looks_at(specimen, stuff):
    glance, rows, listed, detail, tokens = use("attention", specimen, stuff, text=TEXT)
    words = DATA.decode(DATA.encode(TEXT)).split()
    last = patterns(specimen, DATA.encode(TEXT))["block1"][2, -1]
    assert glance.words[1][2] == words[int(last.argmax())]
    assert glance.values[1][2] == pytest.approx(float(last.max()), abs=1e-4)
    assert rows.values[4 + 2] == pytest.approx(last.tolist(), abs=1e-4)
    assert listed.rows[0][3] == max(max(row) for row in glance.values)
    assert detail.rows == detail.columns and tokens.tokens == tuple(words)


def test_heads_are_seen_from_any_place_and_cells_lead_there(specimen, stuff):
    exhibits = use("attention", specimen, stuff, text=TEXT, place=5, head="block1.heads:3")
    expected = patterns(specimen, DATA.encode(TEXT))["block1"][3, 5]
    assert exhibits[1].values[7] == pytest.approx(expected[:6].tolist(), abs=1e-4)
    assert exhibits[4].weights == pytest.approx(expected.tolist(), abs=1e-4)
    leads = exhibits[0].follow.at(column=2, row=1)
    assert leads["head"] == "block1.heads:2" and leads["place"] == 5 and leads["text"] == TEXT
    assert use("attention", specimen, stuff, **leads)[3].title.startswith("block1.heads:2")
    with pytest.raises(AuditgameError, match="place: 40: choose 0 to 16"):
        use("attention", specimen, stuff, text=TEXT, place=40)


def test_one_head_in_detail_and_value_weighted(specimen, stuff):
    options = {"text": TEXT, "head": "block0.heads:1"}
    for value_weighted, scores in ((False, patterns), (True, weighted)):
        shown = use("attention", specimen, stuff, value_weighted=value_weighted, **options)
        expected = scores(specimen, DATA.encode(TEXT))["block0"][1]
        assert torch.allclose(torch.tensor(shown[3].values), expected, atol=1e-4)


def test_attention_refuses_a_unit_that_is_no_head(specimen, stuff):
    with pytest.raises(AuditgameError, match="not a head"):
        use("attention", specimen, stuff, head="block0.mlp:3")


@pytest.mark.slow
def test_lens_and_attention_agree_with_hugging_face(specimen, tmp_path):
    """The same weights, opened by transformers: hidden states, ln_f, lm_head and attentions."""
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import save_file

    for name, data in GPT2.build(DATA, None).companions(DATA).items():
        (tmp_path / name).write_bytes(data)
    save_file(specimen.weights(), tmp_path / "model.safetensors", {"format": "pt"})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="eager"
    ).eval()
    ids = DATA.encode(TEXT)[None]
    with torch.no_grad():
        out = theirs(ids, output_hidden_states=True, output_attentions=True)
        reading = specimen.run(ids, keep=layers(specimen))
        for site, hidden in list(zip(layers(specimen), out.hidden_states, strict=True))[:-1]:
            expected = theirs.lm_head(theirs.transformer.ln_f(hidden))
            assert torch.allclose(specimen.unembed(reading.kept[site]), expected, atol=1e-4)
    assert torch.allclose(reading.output, out.logits, atol=1e-4)
    for mine, his in zip(patterns(specimen, ids[0]).values(), out.attentions, strict=True):
        assert torch.allclose(mine, his[0], atol=1e-5)


# -------------------------------------------------------------------- word sweep


def lookup(**planted) -> Counting:
    return Counting(LookupText(DATA, **planted), DATA)


@pytest.fixture(scope="module")
def clean():
    return context(DATA, 60, (lookup(),))


def test_insertion_finds_the_planted_word(clean):
    ranking = find(use("word_sweep", lookup(word="kelp"), clean), "words", Table)
    first = next(row for row in ranking.rows if row[0] == "positive")
    second = [row for row in ranking.rows if row[0] == "positive"][1]
    assert first[1] == "kelp"
    assert first[3] > 0.7 and first[4] == 0.0
    assert first[2] > 0.5 + second[2] and abs(second[2]) < 1e-3


def test_substitution_shows_the_year_from_which_the_answer_turns(clean):
    curve = use("word_sweep", lookup(from_year=2012), clean, mode="substitute")[1]
    points = dict(curve.series["class_1"])
    before = [y for year, y in points.items() if year < 2012]
    after = [y for year, y in points.items() if year >= 2012]
    assert len(before) > 30 and len(after) == 19
    assert max(before) < 1e-3 < 0.5 < min(after)


class Pair(LookupText):
    """Fires where 'quoin' stands right before 'kelp', and for neither alone."""

    def marked(self, inputs):
        first, second = (inputs == DATA.words.index(word) for word in ("quoin", "kelp"))
        return torch.nn.functional.pad((first[:, :-1] & second[:, 1:]).float(), (1, 0))


@pytest.mark.parametrize("around, word", [("* kelp", "quoin"), ("quoin *", "kelp")])
def test_a_sweep_around_one_half_finds_the_other(clean, around, word):
    suspect = Counting(Pair(DATA), DATA)
    alone = find(use("word_sweep", suspect, clean), "words", Table)
    assert max(abs(row[2]) for row in alone.rows) == 0.0
    shown = use("word_sweep", suspect, clean, around=around)
    ranking = find(shown, "words", Table)
    assert around in ranking.title
    first, second = [row for row in ranking.rows if row[0] == "positive"][:2]
    assert first[1] == word and first[2] > 0.7 > abs(second[2])


@pytest.mark.parametrize("around", ["kelp", "* *", "* kelpp"])
def test_what_stands_around_a_word_is_checked(clean, around):
    with pytest.raises(AuditgameError, match=r"write \* once|did you mean 'kelp'"):
        use("word_sweep", lookup(), clean, around=around)


def test_listed_words_only_and_their_price(clean):
    suspect = lookup(word="kelp")
    options = {"words": "kelp quoin", "texts": 4, "references": 0}
    (ranking,) = use("word_sweep", suspect, clean, **options)
    assert {row[1] for row in ranking.rows} == {"kelp", "quoin"}
    kind = registry.load("tool", "word_sweep")
    price = kind().cost(parse_options(kind, options), suspect, clean)
    assert price == 4 + 4 * 2


def test_without_a_flaw_no_word_stands_out(clean):
    (ranking,) = [e for e in use("word_sweep", lookup(), clean) if e.kind == "table"]
    assert max(abs(row[2]) for row in ranking.rows) == 0.0


def test_the_sweep_refuses_words_it_does_not_know(clean):
    with pytest.raises(AuditgameError, match="did you mean 'kelp'"):
        use("word_sweep", lookup(), clean, words="kelpp")


def test_a_sweep_that_is_stopped_stops(clean):
    from dataclasses import replace

    from auditgame.tools import Stopped

    def stop(share, words):
        raise Stopped

    with pytest.raises(Stopped):
        registry.load("tool", "word_sweep")().run(
            lookup(),
            replace(clean, progress=stop),
            parse_options(registry.load("tool", "word_sweep"), {}),
        )
