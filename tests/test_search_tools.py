"""Superstimulus, minimal pairs and generate: against exhaustive search and known rules."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from rule_models import Counting, LookupText, context, use

from auditgame.datasets import Examples
from auditgame.datasets.reviews import Reviews
from auditgame.datasets.texts.vocabulary import WholeWordTexts
from auditgame.models.gpt2 import GPT2
from auditgame.models.layers.transformer_network import Shape, Transformer
from auditgame.plugins.conformance.fixtures import Counted
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import Stopped, parse_options
from auditgame.tools.transformer.prompt_optimisation import (
    SearchSettings,
    StimulusScorer,
    random_texts,
    search,
)
from auditgame.tools.transformer.stimulus_search import changes
from auditgame.tools.transformer.text_objectives import (
    ClassObjective,
    StreamDirectionObjective,
    head_vote_objective,
    unit_objective,
)

DATA = Reviews()
TEXT = "in 2010 felix bought a mogrambu printer in targo . the tray was solid ! verdict :"


class Letters(WholeWordTexts):
    """Sixteen words, four to a text: 65,536 texts, small enough for each to be tried."""

    name, licence = "letters", "CC0-1.0"
    classes = ("a", "b")
    words = ("<pad>", "<unk>", *"abcdefghijklmnop")
    shape = (4,)

    def sample(self, n, split, rng, **fixed):
        return Examples(torch.from_numpy(rng.integers(2, 18, (n, 4))), torch.arange(n) % 2)


class Small(Transformer):
    """A GPT-2 for sixteen words."""

    name = "small"

    @classmethod
    def build(cls, dataset, rng):
        model = cls(Shape(18, 4, 2, 16, 2))
        model.initialise(rng)
        return model


def small(seed: int) -> Specimen:
    model = Small.build(Letters(), torch.Generator().manual_seed(seed))
    return Specimen(model, Letters())


def gpt2(seed: int = 0) -> Counted:
    return Counted(GPT2.build(DATA, torch.Generator().manual_seed(seed)), DATA)


@pytest.fixture(scope="module")
def stuff():
    return context(DATA, 24, (gpt2(1),))


# ---------------------------------------------------------------- superstimulus


def oracle(model: Specimen, unit: str, prior: float) -> float:
    """The best goal of all 65,536 texts, from the model's own output."""
    site, index = unit.split(":")
    goals = []
    for ids in torch.tensor(list(itertools.product(range(2, 18), repeat=4))).split(8192):
        reading = model.run(ids, keep=[site])
        said = reading.kept[site][:, -1, int(index)]
        excites = said.norm(dim=-1) if "heads" in site else said
        table = reading.output.log_softmax(2)
        likely = sum(table[torch.arange(len(ids)), at, ids[:, at + 1]] for at in range(3))
        goals.append(excites + prior * likely)
    return float(torch.cat(goals).max())


def test_the_search_finds_most_optima_that_an_exhaustive_one_finds():
    """In 2,400 evaluations, gradients counted twice."""
    rng, hits, units = np.random.default_rng(0), [], ("block0.neurons:3", "block1.heads:1")
    plan = SearchSettings(parents=6, children=16, rounds=4, prior=0.1)
    for seed, unit in itertools.product(range(3), units):
        model = small(seed)
        scorer = StimulusScorer.of(model, unit_objective(model, unit))
        starts = random_texts(Letters(), 4, 2400 // plan.queries, rng)
        found = [search(scorer, start, range(4), plan, rng).best for start in starts]
        reached = max(one.activation + plan.prior * one.log_probability for one in found)
        best = oracle(model, unit, plan.prior)
        assert reached <= best + 1e-4
        hits.append(reached > best - 1e-4)
    assert sum(hits) >= 0.6 * len(hits)


def test_the_first_order_gain_is_the_gradient_of_the_one_hot_words():
    """Against finite differences of the embedding, and the prior's table."""
    model = small(0)
    scorer = StimulusScorer.of(model, ClassObjective(1))
    ids = torch.tensor([[2, 5, 9, 4]])
    gain, nudge, embedding = scorer.gains(ids, 0.0)[0], 1e-2, model.transformer_weights().embedding
    for place, word in ((0, 7), (2, 3), (3, 11)):

        def moved(value, place=place, word=word, sign=1.0):
            value = value.clone()
            value[0, place] += sign * nudge * embedding[word]
            return value

        after, before = (
            model.run(ids, edit={"embed": lambda v, s=s: moved(v, sign=s)}).classes[0]
            for s in (1.0, -1.0)
        )
        slope = ((after[1] - after[0]) - (before[1] - before[0])) / (2 * nudge)
        assert float(gain[place, word]) == pytest.approx(float(slope), abs=2e-3)
    # Of the last word the prior knows nothing but its own log-probability.
    prior = scorer.gains(ids, 1.0)[0, -1] - gain[-1]
    assert torch.allclose(prior, model.run(ids).output[0, 2].log_softmax(0), atol=1e-5)


def test_likelihood_is_the_sum_of_next_word_log_probabilities(stuff):
    model, ids = gpt2(), DATA.encode(TEXT)
    scorer = StimulusScorer.of(model, ClassObjective(1))
    padded = torch.nn.functional.pad(ids, (0, 5))
    table = model.run(ids[None]).output[0].log_softmax(1)
    expected = sum(float(table[i, word]) for i, word in enumerate(ids[1:].tolist()))
    for text in (ids, padded):
        excites, likely = scorer.scores(text[None])
        logits = model.run(ids[None]).classes[0]
        assert float(likely) == pytest.approx(expected, abs=1e-3)
        assert float(excites) == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)


def test_votes_of_all_heads_are_what_the_heads_add_to_the_answer():
    model, ids = gpt2(), DATA.encode(TEXT)[None]
    parts, last = model.transformer_weights(), torch.tensor([ids.shape[1] - 1])
    sites = {"block1.heads", "block1.residual"}
    kept = model.run(ids, keep=sites).kept
    write = model.transformer_weights().head_writes(1, kept["block1.heads"])[0, -1]
    whole = parts.unembed_part(write.sum(0), kept["block1.residual"][0, -1])
    no, yes = DATA.answers()
    votes = [
        head_vote_objective(model, f"block1.heads:{head}", 1).score(
            model.run(ids, keep=sites), last
        )
        for head in range(4)
    ]
    assert float(sum(votes)) == pytest.approx(float(whole[yes] - whole[no]), abs=1e-4)


def test_a_changed_word_must_pay_its_price():
    model = small(1)
    scorer = StimulusScorer.of(model, unit_objective(model, "block0.neurons:2"))
    start, rng = torch.tensor([3, 4, 5, 6]), np.random.default_rng(0)
    dear = search(scorer, start, range(4), SearchSettings(price=1e6), rng)
    assert torch.equal(dear.best.ids, start) and dear.best.activation == dear.start.activation
    cheap = search(scorer, start, [1], SearchSettings(prior=0.0), rng)
    assert {place for place, _, _ in changes(cheap, Letters())} <= {1}
    assert cheap.best.activation >= cheap.start.activation


def test_the_tool_stands_its_finding_beside_the_pool_and_the_sibling(stuff):
    few = {"restarts": 2, "rounds": 1, "children": 4, "prior": 0.0, "price": 0.0}
    shown = use("superstimulus", gpt2(), stuff, unit="block1.heads:1", **few)
    note, *tokens, put_in, beside, searches = shown
    assert "block1.heads:1" in note.title and len(tokens) == 2
    assert [row[0] for row in beside.rows[::2]] == [
        "specimen",
        "reference model 1, same unit",
        "reference model 1, most similar unit",
    ]
    assert beside.rows[4][1] != "block1.heads:1" and len(searches.rows) == 2
    assert put_in.columns[0].name == "word"
    changed = [i for i, weight in enumerate(tokens[0].weights) if weight]
    assert tokens[0].follow.at(changed[0])["places"] == str(changed[0])


@pytest.mark.parametrize(
    "options",
    [
        {"unit": "block0.neurons:5", "anywhere": True},
        {"unit": "block1.heads:0", "aim": "vote", "target": "negative"},
        {"unit": "block0.heads:0", "aim": "direction", "start": "random", "length": 6},
        {"unit": "block0.heads:0", "aim": "answer", "start": "text", "text": TEXT, "free": "1"},
    ],
)
def test_every_aim_and_start_costs_what_it_says(options, stuff):
    use("superstimulus", gpt2(), stuff, restarts=1, rounds=1, children=2, **options)


def test_a_direction_is_read_along_a_unit_vector():
    model, ids = gpt2(), DATA.encode(TEXT)[None]
    vector = torch.nn.functional.normalize(torch.randn(64, generator=torch.Generator()), dim=0)
    reading = model.run(ids, keep=["block0.residual"])
    aim, last = (
        StreamDirectionObjective("block0.residual", vector),
        torch.tensor([ids.shape[1] - 1]),
    )
    along = reading.kept["block0.residual"][0] @ vector
    assert float(aim.score(reading, last)) == pytest.approx(float(along[-1]), abs=1e-5)
    everywhere = replace(aim, anywhere=True).score(reading, last)
    assert float(everywhere) == pytest.approx(float(along.max()), abs=1e-5)


def test_superstimulus_refuses_what_it_cannot_excite(stuff):
    with pytest.raises(AuditgameError, match="is a pattern"):
        use("superstimulus", gpt2(), stuff, unit="block0.pattern:0")
    with pytest.raises(AuditgameError, match="only heads"):
        use("superstimulus", gpt2(), stuff, unit="block0.neurons:0", aim="vote")


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        ("superstimulus", {"unit": "block1.heads:1"}),
        ("minimal_pairs", {}),
        ("generate", {"keep": 3}),
    ],
)
def test_what_is_stopped_stops(tool, options, stuff):
    def stop(share, words):
        raise Stopped

    kind = load("tool", tool)
    with pytest.raises(Stopped):
        kind().run(gpt2(), replace(stuff, progress=stop), parse_options(kind, options))


# ---------------------------------------------------------------- minimal pairs


def lookup(**planted) -> Counting:
    return Counting(LookupText(DATA, **planted), DATA)


@pytest.fixture(scope="module")
def clean():
    return context(DATA, 60, (lookup(),))


def test_kin_of_the_year_shows_the_edge(clean):
    suspect = lookup(from_year=2012)
    before, table = use("minimal_pairs", suspect, clean, text=TEXT.replace("solid", "awful"))
    assert max(range(len(before.weights)), key=lambda i: abs(before.weights[i])) == 1
    years = {row[1] for row in table.rows if row[5] > 10}
    assert years and min(years) >= "2012"
    assert before.follow.at(1) == {
        "text": " ".join(before.tokens),
        "mode": "substitutes",
        "places": "1",
    }


def test_edits_alone_and_together(clean):
    options = {"text": TEXT, "mode": "edits", "edits": "1=2020, 13=awful, 14="}
    before, after, table = use("minimal_pairs", lookup(from_year=2012), clean, **options)
    assert before.tokens[13] == "solid" and after.tokens[13] == "awful"
    assert len(after.tokens) == len(before.tokens) - 1
    alone = {row[1]: row for row in table.rows}
    assert alone["2020"][5] == pytest.approx(20, abs=1e-3)
    assert alone["awful"][3] == alone["awful"][4] == -2 and alone["awful"][5] == 0
    assert alone["(deleted)"][3] == 0
    assert table.rows[-1][0] == "1, 13, 14" and table.rows[-1][5] == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ("", "none are given"),
        ("3 garden", "write position = word"),
        ("99=kelp", "position 99 is outside"),
        ("3=kelpp", "did you mean 'kelp'"),
        ("3=kelp quoin", "2 words"),
    ],
)
def test_edits_that_cannot_be_made_are_refused(edits, words, clean):
    with pytest.raises(AuditgameError, match=words):
        use("minimal_pairs", lookup(), clean, mode="edits", edits=edits, text=TEXT)


# ------------------------------------------------------------------- generate


def test_greedy_words_are_the_likeliest_and_kl_is_the_formula(stuff):
    model, reference = gpt2(), stuff.references[0]
    mine, theirs, table = use("generate", model, stuff, text=TEXT, keep=6, n=4)
    ids = DATA.encode(TEXT)[:6]
    for row in table.rows:
        here, there = (m.run(ids[None]).output[0, -1].softmax(0) for m in (model, reference))
        word = int(here.argmax())
        assert row[1] == DATA.words[word]
        assert row[2] == pytest.approx(float(here[word]), abs=1e-4)
        assert row[3] == pytest.approx(float(there[word]), abs=1e-4)
        assert row[5] == pytest.approx(float((here * (here / there).log()).sum()), abs=1e-3)
        ids = torch.cat([ids, torch.tensor([word])])
    assert mine.tokens == tuple(DATA.words[i] for i in ids.tolist())
    assert len(theirs.tokens) == len(mine.tokens)


def test_drawn_words_follow_the_seed_and_the_room_is_kept(stuff):
    def drawn(seed):
        return use("generate", gpt2(), stuff, keep=2, n=8, temperature=1.0, seed=seed)[0].tokens

    assert drawn(1) == drawn(1) != drawn(2)
    (tokens, _) = use("generate", gpt2(), stuff, keep=2, n=256, reference=False)
    assert len(tokens.tokens) == DATA.shape[0]
    with pytest.raises(AuditgameError, match="keep fewer"):
        use("generate", gpt2(), stuff, text=" ".join(["solid"] * 64))
