"""Tools that look at mechanism: against slow replicas and the model itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from replicas import transformer_parts
from rule_models import context, use

from auditgame import registry
from auditgame.datasets.reviews import Reviews
from auditgame.exhibits import FollowUp
from auditgame.models.gpt2 import GPT2
from auditgame.plugins.conformance.fixtures import Counted, weights_digest
from auditgame.schema.errors import AuditgameError
from auditgame.tools import Stopped, parse_options
from auditgame.tools.transformer import activation_patching, head_composition, layer_translators
from auditgame.tools.transformer.attention_heads import (
    HEAD_PATTERNS,
    pattern_masks,
    pattern_scores,
    patterns,
    repeated,
)
from auditgame.tools.transformer.logit_attribution import Attribution
from auditgame.tools.transformer.residual_stream import ends, streams
from auditgame.tools.transformer.targets import FollowedWord, FollowedWordOptions, follow

DATA = Reviews()
TEXT = "in 2010 felix bought a mogrambu printer in targo . the tray was solid ! verdict :"
OTHER = "in 2010 felix bought a mogrambu printer in targo . the tray was ugly ! verdict :"
CHANGED = TEXT.split().index("solid")
TOOLS = ("direct_attribution", "head_scores", "patching", "circuits", "tuned_lens", "logit_lens")


def gpt2(seed: int = 0) -> Counted:
    model = GPT2.build(DATA, torch.Generator().manual_seed(seed))
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        parameter.data += 0.1 * noise
    return Counted(model, DATA)


@pytest.fixture(scope="module")
def specimen() -> Counted:
    return gpt2()


@pytest.fixture(scope="module")
def stuff():
    return context(DATA, 40, (gpt2(1), gpt2(2)))


def ids(text: str = TEXT) -> torch.Tensor:
    return DATA.encode(text)


def close(one, other, tolerance: float = 1e-4) -> bool:
    return torch.allclose(torch.as_tensor(one), torch.as_tensor(other), atol=tolerance)


# ----------------------------------------------------------------- every tool


def test_a_cell_leads_on_with_the_texts_of_its_row_and_column_joined():
    leads = FollowUp(tool="t", options={"n": 1}, rows=({"u": "a:"},), columns=({"u": "2"}, {}))
    assert leads.at(0) == {"n": 1, "u": "a:2"} and leads.at(1) == {"n": 1, "u": "a:"}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_is_stopped_stops_and_leaves_nothing(name, specimen, stuff):
    def stop(share, words):
        raise Stopped

    kind, before = registry.load("tool", name), weights_digest(specimen)
    logits = specimen.run(ids()[None]).output
    with pytest.raises(Stopped):
        kind().run(specimen, replace(stuff, progress=stop), parse_options(kind, {}))
    assert weights_digest(specimen) == before
    assert torch.equal(specimen.run(ids()[None]).output, logits)


@pytest.mark.parametrize("name", [*TOOLS, "attention"])
def test_every_cell_leads_to_a_tool_that_takes_its_options(name, specimen, stuff):
    grids = [e for e in use(name, specimen, stuff) if getattr(e, "follow", None)]
    assert grids
    for shown in grids:
        kind = registry.load("tool", shown.follow.tool)
        for row, column in ((0, 0), (len(shown.rows) - 1, len(shown.columns) - 1)):
            parse_options(kind, shown.follow.at(column, row))
            assert use(shown.follow.tool, specimen, stuff, **shown.follow.at(column, row))


# ----------------------------------------------------------- what is followed


def test_the_answer_is_the_models_own_or_the_one_that_is_named():
    logits = torch.arange(len(DATA.words), dtype=torch.float)
    negative, positive = DATA.answers()
    best = max(negative, positive)
    assert follow(FollowedWordOptions(), logits, DATA)[:2] == (best, negative + positive - best)
    top = len(DATA.words) - 1
    assert follow(FollowedWordOptions(), logits, DATA, verdict=False)[:2] == (top, top - 1)
    named = follow(FollowedWordOptions(target="kelp", rival="negative"), logits, DATA)
    assert named[:2] == (DATA.words.index("kelp"), negative)
    assert named.words == "'kelp' over 'negative'"
    with pytest.raises(AuditgameError, match="rival: 'kelp' is the answer itself"):
        follow(FollowedWordOptions(target="kelp", rival="kelp"), logits, DATA)
    with pytest.raises(AuditgameError, match="target: 'kelp quoin' is 2 words"):
        follow(FollowedWordOptions(target="kelp quoin"), logits, DATA)


# ----------------------------------------------------------------------- lens


def test_the_lens_fills_its_cells_with_what_is_asked(specimen, stuff):
    def cells(**options):
        return torch.tensor(use("logit_lens", specimen, stuff, text=TEXT, **options)[0].values)

    stream = streams(specimen, ids()[None])[:, 0]
    logs = specimen.unembed(stream).log_softmax(2)
    word = DATA.words.index("kelp")
    assert close(cells(show="probability", target="kelp"), logs[..., word].exp())
    rank = (logs > logs[..., word : word + 1]).sum(2) + 1
    assert torch.equal(cells(show="rank", target="kelp").long(), rank)
    assert torch.equal(cells(show="rank")[-1], torch.ones(len(ids())))
    final = specimen.unembed(stream[-1])
    expected = [
        [
            transformer_parts.divergence(final[at], specimen.unembed(row[at]))
            for at in range(len(final))
        ]
        for row in stream
    ]
    assert close(cells(show="kl"), torch.tensor(expected), 2e-4)
    assert cells(show="kl")[-1].abs().max() == 0.0


def test_the_lens_computes_no_more_than_it_shows(specimen, stuff, monkeypatch):
    read = []
    unembed = specimen.unembed

    def counting(residual):
        read.append(residual.shape[:-1].numel())
        return unembed(residual)

    monkeypatch.setattr(specimen, "unembed", counting)
    (grid, *_) = use("logit_lens", specimen, stuff, text=TEXT, last=3, references=False)
    assert grid.columns == ("14 !", "15 verdict", "16 :")
    assert sum(read) == 1 + 3 * 3 + 3, "the answer, three columns of three layers, the curve"


# --------------------------------------------------------- direct attribution


@pytest.mark.parametrize("place", [-1, 4])
def test_the_parts_sum_to_the_logit_difference(specimen, stuff, place):
    options = {"text": TEXT, "target": "kelp", "rival": "gnomon", "place": place}
    (_, _, table, _, neurons) = use("direct_attribution", specimen, stuff, **options)
    parts = {row[0]: row[1] for row in table.rows}
    said, own = parts.pop("sum of the parts"), parts.pop("logit difference")
    output = specimen.run(ids()[None]).output[0, place]
    expected = float(output[DATA.words.index("kelp")] - output[DATA.words.index("gnomon")])
    assert own == pytest.approx(expected, abs=1e-4)
    assert said == pytest.approx(expected, abs=1e-4)
    assert sum(parts.values()) == pytest.approx(expected, abs=2e-3), "rounded to four places"
    assert len(parts) == 1 + 2 * (4 + 1 + 1) + 1
    assert len(neurons.rows) == 12


def test_a_heads_share_is_that_of_what_it_writes(specimen):
    answer, rival = DATA.answers()
    at = torch.tensor([len(ids()) - 1])
    attribution = Attribution(specimen, FollowedWord(answer, rival, ""), ids()[None], at)
    weights, whole = specimen.weights(), attribution.final[0]
    scale = (whole.var(correction=0) + 1e-5).sqrt()
    gain, rows = weights["transformer.ln_f.weight"], weights["lm_head.weight"]
    for layer in range(2):
        for head in range(4):
            part = transformer_parts.written(specimen, ids(), layer, head)
            expected = (part - part.mean()) / scale * gain @ (rows[answer] - rows[rival])
            assert close(attribution.parts().heads[layer, head], expected)


def test_neurons_sum_to_what_their_mlp_adds_and_texts_average(specimen, stuff):
    pool, (answer, rival) = stuff.examples.inputs[:3], DATA.answers()
    at = DATA.lengths(pool) - 1
    together = Attribution(specimen, FollowedWord(answer, rival, ""), pool, at)
    for layer in range(2):
        found = together.neurons(layer)
        assert close(found.adds.sum() + found.rest, together.parts().mlps[layer])
        part = together.weights.layers[layer].writes
        bias = transformer_parts.weights_of(specimen, layer, "mlp.c_proj")[1]
        rest = (
            together.values[f"block{layer}.mlp"] - together.values[f"block{layer}.neurons"] @ part
        )
        assert close(rest, bias.expand_as(rest))
    alone = [
        Attribution(
            specimen, FollowedWord(answer, rival, ""), pool[n : n + 1], at[n : n + 1]
        ).parts()
        for n in range(3)
    ]
    assert close(together.parts().heads, torch.stack([one.heads for one in alone]).mean(0))
    assert close(together.parts().total, together.parts().measured)


def test_direct_attribution_refuses_what_is_not_there(specimen, stuff):
    with pytest.raises(AuditgameError, match="layer: the model has blocks 0 to 1"):
        use("direct_attribution", specimen, stuff, layer=2)
    with pytest.raises(AuditgameError, match="place: 17: choose 0 to 16, or -1"):
        use("direct_attribution", specimen, stuff, text=TEXT, place=17)


# ---------------------------------------------------------------- head scores


def test_the_aims_of_each_habit_on_a_text_that_repeats_itself():
    row = torch.tensor([[9, 5, 6, 7, 5, 6, 7, 0]])
    found = pattern_masks(row, DATA.present(row))
    pairs = {habit: {tuple(at) for at in aim[0].nonzero().tolist()} for habit, aim in found.items()}
    assert pairs["previous token"] == {(n, n - 1) for n in range(1, 7)}
    assert pairs["duplicate token"] == {(4, 1), (5, 2), (6, 3)}
    assert pairs["induction"] == {(4, 2), (5, 3), (6, 4)}


def test_scores_are_the_mean_attention_to_the_aims(specimen, monkeypatch):
    texts = repeated(3, 10, len(DATA.words), torch.Generator().manual_seed(0))
    assert torch.equal(texts[:, 1:11], texts[:, 11:]) and texts.shape == (3, 21)
    assert all(len(set(row.tolist())) == 11 and min(row) > 1 for row in texts)
    monkeypatch.setattr("auditgame.tools.transformer.attention_heads.PATTERN", 2 * 4 * 21**2)
    found = pattern_scores(specimen, texts)
    seen = [patterns(specimen, row) for row in texts]
    for layer in range(2):
        pattern = torch.stack([each[f"block{layer}"] for each in seen])
        back = {"previous token": (1, 1), "duplicate token": (11, 10), "induction": (11, 9)}
        for habit, (start, step) in back.items():
            mean = [pattern[:, :, at, at - step] for at in range(start, 21)]
            assert close(found[habit][layer], torch.stack(mean).mean((0, 1)), 1e-5)


def test_head_scores_show_every_head_beside_the_controls(specimen, stuff):
    random, pool, every, usual = use("head_scores", specimen, stuff, count=4, texts=5)
    assert (
        len(every.rows) == 8
        and tuple(column.title for column in every.columns[2:5]) == HEAD_PATTERNS
    )
    assert random.values[1][2] == every.rows[6][4] and pool.values[0][1] == every.rows[1][7]
    assert [row[0] for row in usual.rows[::3]] == [
        "specimen",
        "randomised weights",
        "reference model 1",
        "reference model 2",
    ]


# ------------------------------------------------------------------- patching


def test_patching_restores_what_the_replica_restores(specimen, stuff):
    found = use("patching", specimen, stuff, text=TEXT, other=OTHER, target="kelp", rival="gnomon")
    table, grids = found[0], found[1:4]
    pair = [DATA.words.index(word) for word in ("kelp", "gnomon")]
    clean, corrupt = (row[1] for row in table.rows)
    for grid, kind in zip(grids, ("residual", "attn", "mlp"), strict=True):
        assert grid.rows == tuple(f"block{n}.{kind}" for n in range(2))
        for row, site in enumerate(grid.rows):
            for place in (CHANGED - 1, CHANGED, len(ids()) - 1):
                logits = transformer_parts.restored(specimen, ids(OTHER), ids(), site, place)
                share = (float(logits[pair[0]] - logits[pair[1]]) - corrupt) / (clean - corrupt)
                assert grid.values[row][place] == pytest.approx(share, abs=2e-3)
    residual = torch.tensor(grids[0].values)
    assert residual[1, -1] == 1.0 and residual[1, :-1].abs().max() == 0.0
    assert residual[:, :CHANGED].abs().max() == 0.0


def test_heads_of_a_block_at_all_places_and_one_head_by_place(specimen, stuff):
    options = {"text": TEXT, "other": OTHER, "what": "heads", "head": "block0.heads:2"}
    table, grid, one = use("patching", specimen, stuff, direction="noise", **options)
    first = int(specimen.predict(ids()[None]))
    answer, rival = DATA.answers()[first], DATA.answers()[1 - first]
    source = ids(OTHER)
    donor = specimen.run(source[None], keep=["block0.heads"]).kept["block0.heads"]

    def share(places: slice) -> float:
        def edit(value):
            value = value.clone()
            value[:, places, 2] = donor[:, places, 2]
            return value

        logits = specimen.run(ids()[None], edit={"block0.heads": edit}).output[0, -1]
        start, end = (row[1] for row in table.rows)
        return (float(logits[answer] - logits[rival]) - start) / (end - start)

    assert grid.values[0][2] == pytest.approx(share(slice(None)), abs=2e-3)
    assert one.rows == ("block0.heads:2",)
    assert one.values[0][-1] == pytest.approx(share(slice(len(ids()) - 1, None)), abs=2e-3)


def test_patches_in_one_batch_are_as_alone_and_the_models_own_change_nothing(specimen):
    patches = [
        activation_patching.ActivationPatch("block0.residual", 5),
        activation_patching.ActivationPatch("block0.heads", None, 1),
        activation_patching.ActivationPatch("block1.heads", 16, 3),
        activation_patching.ActivationPatch("block1.mlp", 16),
    ]
    donor = activation_patching.values(specimen, ids(OTHER), patches)

    def first(logits):
        return logits[:, DATA.answers()[0]]

    both = [
        activation_patching.patched(specimen, ids(), donor, patches, first, 16, batch=size)
        for size in (0, 1, 3)
    ]
    assert close(both[0], both[1], 1e-5) and close(both[0], both[2], 1e-5)
    own = activation_patching.values(specimen, ids(), patches)
    same = activation_patching.patched(specimen, ids(), own, patches, first, 16)
    untouched = first(ends(specimen, ids()[None], torch.tensor([16])))
    assert (same - untouched).abs().max() < 1e-6


def test_without_a_second_text_the_pools_closest_is_taken(specimen, stuff):
    table = use("patching", specimen, stuff, what="residual")[0]
    texts = [row[2].split() for row in table.rows]
    assert len(texts[0]) == len(texts[1]) and texts[0] != texts[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text": TEXT, "other": TEXT + " kelp"}, "the text has 17 words, the other 18"),
        ({"text": TEXT, "other": TEXT}, "both texts are the same"),
        ({"text": TEXT}, "write the second text with 17 words"),
        ({"text": TEXT, "other": OTHER, "place": 3}, "both texts have the same logit difference"),
        ({"text": TEXT, "other": OTHER, "head": "block0.mlp:0"}, "is not a head"),
        ({"example": 400}, "example: 400 is not in the pool"),
    ],
)
def test_patching_refuses_texts_that_do_not_fit(options, words, specimen, stuff):
    kind = registry.load("tool", "patching")
    with pytest.raises(AuditgameError, match=words):
        kind().run(specimen, stuff, parse_options(kind, options))


# ------------------------------------------------------------------- circuits


@pytest.mark.parametrize("head", [(0, 1), (1, 3)])
def test_circuits_are_the_products_of_the_weights(specimen, head):
    weights = specimen.transformer_weights()
    assert close(
        head_composition.ov_circuit(weights, *head).rows(slice(None)),
        transformer_parts.writes(specimen, *head),
    )
    assert close(
        head_composition.qk_circuit(weights, *head).rows(slice(None)),
        transformer_parts.reads(specimen, *head),
    )


def test_the_largest_cells_are_found_in_any_chunks(specimen, monkeypatch):
    circuit = head_composition.ov_circuit(specimen.transformer_weights(), 0, 2)
    whole = circuit.rows(slice(None)).flatten().topk(15)
    monkeypatch.setattr(head_composition, "CELLS", 7 * len(DATA.words))
    found = head_composition.largest(circuit, 15)
    assert close(found.values, whole.values, 1e-5)
    assert torch.equal(found.rows * len(DATA.words) + found.columns, whole.indices)


def test_copying_is_the_share_of_the_whole_circuits_eigenvalues(specimen):
    weights = specimen.transformer_weights()
    circuit = head_composition.ov_circuit(weights, 1, 2)
    values = torch.linalg.eigvals((circuit.left @ circuit.right).double())
    expected = float(values.real.sum() / values.abs().sum())
    assert float(head_composition.copying_scores(weights)[1, 2]) == pytest.approx(
        expected, abs=1e-3
    )


def test_composition_is_the_norm_of_the_product(specimen):
    weights = specimen.transformer_weights()
    first, second = weights.layers
    centre = torch.eye(64) - 1 / 64
    out = first.value[1] @ first.output[1] @ centre
    query, key = second.query[2], second.key[2]
    later = {"Q": query @ key.T, "K": key @ query.T, "V": second.value[2] @ second.output[2]}
    for kind, matrix in later.items():
        expected = (out @ matrix).norm() / (out.norm() * matrix.norm())
        assert head_composition.composition(weights, (0, 1), (1, 2), kind) == pytest.approx(
            float(expected), rel=1e-3
        )
    usual = head_composition.random_composition(64, 16, torch.Generator().manual_seed(0))
    assert 0.05 < usual < 0.3


def test_the_circuits_tool_costs_nothing_and_shows_named_words(specimen, stuff):
    options = {"head": "block1.heads:3", "words": "solid ugly kelp"}
    for view, table in (("OV", transformer_parts.writes), ("QK", transformer_parts.reads)):
        copies, pairs, grid = use("circuits", specimen, stuff, view=view, **options)
        chosen = [DATA.words.index(word) for word in options["words"].split()]
        assert close(torch.tensor(grid.values), table(specimen, 1, 3)[chosen][:, chosen], 2e-4)
        assert pairs.rows[0][2] == pytest.approx(float(table(specimen, 1, 3).max()), abs=2e-4)
        assert len(copies.rows) == 2
    _, grid, table = use("circuits", specimen, stuff, view="composition", head="block0.heads:1")
    assert grid.columns == tuple(f"block1.heads:{n}" for n in range(4))
    assert {row[1] for row in table.rows} == {"block0.heads:1"}


def test_queries_that_are_turned_have_no_circuit_of_words(specimen, stuff, monkeypatch):
    turned = specimen.transformer_weights()._replace(turned=True)
    monkeypatch.setattr(specimen, "transformer_weights", lambda: turned)
    with pytest.raises(AuditgameError, match="rotary embedding"):
        use("circuits", specimen, stuff, view="QK")
    assert use("circuits", specimen, stuff, view="OV")


# ----------------------------------------------------------------- tuned lens


def test_the_regression_solves_its_equation(specimen, stuff):
    whole = streams(specimen, stuff.examples.inputs)[:, DATA.present(stuff.examples.inputs)]
    maps = layer_translators.ridge(whole)
    for layer in range(2):
        solved = transformer_parts.translator(whole[layer], whole[-1], layer_translators.RIDGE)
        change, shift = (torch.from_numpy(part) for part in solved)
        assert close(maps.change[layer].double(), change, 1e-3)
        assert close(maps.shift[layer].double(), shift, 1e-3)
        said = whole[layer].double() + whole[layer].double() @ change + shift
        assert close(maps.translate(whole)[layer].double(), said, 1e-3)


def test_the_distance_from_the_end_is_the_mean_divergence(specimen):
    whole = streams(specimen, ids()[None])[:, 0]
    found = layer_translators.misses(specimen.unembed, whole)
    final = specimen.unembed(whole[-1])
    for layer, stream in enumerate(whole):
        guess = specimen.unembed(stream)
        each = [transformer_parts.divergence(*rows) for rows in zip(final, guess, strict=True)]
        assert float(found[layer]) == pytest.approx(sum(each) / len(each), abs=1e-4)


def test_translated_layers_come_nearer_and_the_last_stays(specimen, stuff):
    grid, table = use("tuned_lens", specimen, stuff, text=TEXT, steps=60)
    plain = use("logit_lens", specimen, stuff, text=TEXT, references=False)[0]
    assert grid.rows == plain.rows and grid.columns == plain.columns
    assert grid.values[-1] == plain.values[-1] and grid.words[-1] == plain.words[-1]
    for _, before, regression, tuned in table.rows[:-1]:
        assert regression < before and tuned < regression
    assert table.rows[-1][1:] == (0.0, 0.0, 0.0)
    again = use("tuned_lens", specimen, stuff, text=TEXT, steps=60)
    assert again == [grid, table]


def test_without_steps_the_regression_is_all(specimen, stuff):
    table = use("tuned_lens", specimen, stuff, steps=0)[1]
    assert all(row[2] == row[3] for row in table.rows)
