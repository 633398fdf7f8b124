"""Objectives, priors, wires, sheets, and what the microscope says of a unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from replicas import regulariser_sums
from torch.nn import functional as F

from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options
from auditgame.tools.vision import (
    connectivity,
    feature_visualisation,
    quiz,
    regularisers,
    unit_images,
)
from auditgame.tools.vision.activations import top_examples
from auditgame.tools.vision.microscope import WRONG, Microscope
from auditgame.tools.vision.objective_text import parse_objective
from auditgame.tools.vision.objectives import (
    ChannelObjective,
    DiversityObjective,
    LayerObjective,
    LogitObjective,
    MeanDifferenceObjective,
    NeuronObjective,
    ProbabilityObjective,
    blend,
)
from auditgame.tools.vision.parametrisation import PRESETS, ImageParameters


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    return load("dataset", "digits")()


def model(digits, seed):
    """An untrained network whose norms are not trivial."""
    net = load("model", "small_cnn").build(digits, rng(seed))
    with torch.no_grad():
        for norm in net.norms:
            norm.weight.uniform_(0.5, 1.5, generator=rng(seed + 1))
            norm.bias.uniform_(-0.2, 0.4, generator=rng(seed + 2))
    return Specimen(net, digits)


@pytest.fixture(scope="module")
def specimen(digits):
    return model(digits, 1)


@pytest.fixture(scope="module")
def pool(digits):
    return digits.sample(30, "pool", Seed.of(3).numpy())


@pytest.fixture(scope="module")
def reading(specimen, pool):
    return specimen.run(pool.inputs[:5], keep=["conv2.pre", "conv3.pre", "conv3"])


# ---------------------------------------------------------------- objectives


def test_objectives_read_what_they_say(specimen, reading):
    value, logits = reading.kept["conv3.pre"], reading.classes
    expected = {
        NeuronObjective("conv3", 7): value[:, 7, value.shape[2] // 2, value.shape[3] // 2],
        NeuronObjective("conv3", 7, 1, 2): value[:, 7, 2, 1],
        ChannelObjective("conv3", 7): value[:, 7].mean((1, 2)),
        LayerObjective("conv3"): (value**2).mean((1, 2, 3)),
        LogitObjective("three"): logits[:, 3],
        ProbabilityObjective("three"): torch.logit(logits.double().softmax(1)[:, 3]).float(),
    }
    for objective, wanted in expected.items():
        assert torch.allclose(objective.on(specimen).score(reading), wanted, atol=1e-4), objective


def test_objectives_add_and_scale_like_numbers(specimen, reading):
    one, other = ChannelObjective("conv3", 1).on(specimen), LogitObjective("two").on(specimen)
    mixed = 2 * one - 0.5 * (other + one) - (-other)
    wanted = 1.5 * one.score(reading) + 0.5 * other.score(reading)
    assert torch.allclose(mixed.score(reading), wanted, atol=1e-5)
    assert mixed.sites == {"conv3.pre"}
    assert torch.allclose(blend(one, other, 0.0).score(reading), one.score(reading))
    assert torch.allclose(blend(one, other, 1.0).score(reading), other.score(reading))


@pytest.mark.parametrize(
    "wishes",
    [
        [ChannelObjective("conv3", 2), ChannelObjective("conv3", 0)],
        [NeuronObjective("conv2", 5), -LogitObjective(1)],
    ],
)
def test_a_batch_is_scored_as_its_parts_are(wishes, specimen, pool):
    images = pool.inputs[:4]
    reading = specimen.run(images, ["conv2", "conv3"])
    alone = [specimen.run(part, ["conv2", "conv3"]) for part in images.split(2)]
    parts = [wish.score(part) for wish, part in zip(wishes, alone, strict=True)]
    assert torch.allclose(
        feature_visualisation.together(wishes, 2)(reading), torch.cat(parts), atol=1e-5
    )


def test_a_direction_is_the_difference_of_the_means(specimen, pool, reading):
    direction = MeanDifferenceObjective("conv3", "four").on(specimen, pool)
    said = specimen.collect(pool.inputs, "conv3.pre").mean((2, 3))
    four = pool.labels == 4
    along = said[four].mean(0) - said[~four].mean(0)
    assert torch.allclose(torch.tensor(direction.vector), along, atol=1e-5)
    value = reading.kept["conv3.pre"].permute(0, 2, 3, 1)
    dot = value @ F.normalize(along, dim=0)
    cosine = F.cosine_similarity(value, along.expand_as(value), dim=3)
    assert torch.allclose(
        direction.score(reading), (dot * cosine.clamp(min=0.1)).mean((1, 2)), atol=1e-4
    )


def test_diversity_is_minus_the_mean_cosine_of_gram_matrices(specimen, reading):
    grams = [v.flatten(1) @ v.flatten(1).T for v in reading.kept["conv2.pre"]]
    scores = DiversityObjective("conv2").on(specimen).score(reading).tolist()
    for i, score in enumerate(scores):
        others = [
            float(F.cosine_similarity(grams[i].flatten(), g.flatten(), dim=0))
            for j, g in enumerate(grams)
            if j != i
        ]
        assert score == pytest.approx(-np.mean(others), abs=1e-4)


def test_diversity_drives_pictures_apart(digits, specimen, pool):
    def alike(objective):
        canvas = ImageParameters(PRESETS["natural"], (32, 32))
        painted = feature_visualisation.maximise(
            specimen, [objective], canvas, 20, rng(), lambda x: x.new_zeros(len(x)), each=3
        )
        kept = specimen.run(painted.images, keep=["conv2.pre"])
        return -float(DiversityObjective("conv2.pre").score(kept).mean())

    assert (
        alike(ChannelObjective("conv2", 3) + 50 * DiversityObjective("conv2"))
        < alike(ChannelObjective("conv2", 3)) - 0.02
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("conv3:17", NeuronObjective("conv3", 17)),
        ("neuron(conv3.pre, 17, 2, 3)", NeuronObjective("conv3.pre", 17, 2, 3)),
        (
            'channel("conv3", 17) - 0.5 * logit("fish")',
            ChannelObjective("conv3", 17) - 0.5 * LogitObjective("fish"),
        ),
        ("-layer(conv2) * 2", (-LayerObjective("conv2")) * 2.0),
        (
            "2 * (conv1:1 + conv1:2)",
            2.0 * (NeuronObjective("conv1", 1) + NeuronObjective("conv1", 2)),
        ),
        ("2 * 3 * logit(one)", 6.0 * LogitObjective("one")),
        ("direction(conv4, 12)", MeanDifferenceObjective("conv4", 12)),
        (' probability( "a b" ) ', ProbabilityObjective("a b")),
    ],
)
def test_text_means_what_it_says(text, meant):
    assert parse_objective(text) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "character 1: the text ends; expected an objective"),
        ("conv3:17 +", "character 11: the text ends"),
        ("logit(fish", r"character 11: the text ends; expected '\)'"),
        ("logi(fish)", "character 1: 'logi'; .*did you mean 'logit'"),
        ("conv3:1 ? 2", r"character 9: '\?'; this character"),
        ("conv3:1 conv3:2", "character 9: 'conv3:2'; expected"),
        ("logit(a) * logit(b)", "character 10: .*cannot be multiplied"),
        ("3 + conv3:1", "character 1: '3'; a number alone"),
        ("channel(conv3)", "character 1: 'channel'; write channel"),
        ("logit(3)", "character 1: 'logit'; write logit"),
        ("conv3:1.5", "character 8"),
        ("__import__('os')", "character"),
        ("(" * 40 + "conv1:1" + ")" * 40, "brackets"),
        ('logit("fish)', "character 7: '\"'"),
    ],
)
def test_a_slip_of_the_pen_is_shown_its_place(text, words):
    with pytest.raises(AuditgameError, match=words):
        parse_objective(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv9:1", "unknown site"),
        ("conv3:99", "units 0 to 63"),
        ('logit("nin")', "did you mean 'nine'"),
        ("neuron(conv4, 0, 99, 0)", "columns"),
        ("direction(conv3, 99)", "the last is 29"),
    ],
)
def test_names_are_checked_against_the_model(text, words, specimen, pool):
    tool = load("tool", "feature_viz")
    options = parse_options(tool, {"objective": text, "steps": 1})
    with pytest.raises(AuditgameError, match=words):
        tool().run(specimen, ToolContext(specimen.dataset, pool), options)


# --------------------------------------------------------------------- tool


@pytest.mark.parametrize(
    ("options", "tiles"),
    [
        ({"objective": "conv3:1 + conv3:2", "negative": True}, [2]),
        ({"objective": "layer(conv2)", "toward": "logit(two)"}, [6]),
        ({"objective": "direction(conv3, three) + diversity(conv2)", "count": 2}, [2]),
        ({"site": "conv2", "units": "0, 1", "frames": 3}, [2, 6]),
        ({"units": "0", "preset": "learned", "reference": True}, [1, 1]),
    ],
)
def test_every_way_of_asking_costs_what_it_sends(options, tiles, specimen, pool, monkeypatch):
    sent, run, reference = [], Specimen.run, model(specimen.dataset, 5)

    def counted(self, inputs, *args, **kwargs):
        if self is specimen:
            sent.append(len(inputs) * (2 if kwargs.get("grad") else 1))
        return run(self, inputs, *args, **kwargs)

    monkeypatch.setattr(Specimen, "run", counted)
    tool, context = load("tool", "feature_viz"), ToolContext(specimen.dataset, pool, (reference,))
    chosen = parse_options(tool, {"steps": 3, **options})
    shown = tool().run(specimen, context, chosen)
    assert [len(gallery.tiles) for gallery in shown] == tiles
    assert tool().cost(chosen, specimen, context) == sum(sent)


def test_the_least_is_less_than_the_most(specimen, pool):
    tool = load("tool", "feature_viz")
    options = parse_options(tool, {"objective": "conv3:4", "negative": True, "steps": 20})
    most, least = tool().run(specimen, ToolContext(specimen.dataset, pool), options)[0].tiles
    assert float(least.note) < 0 < float(most.note)


# ------------------------------------------------------------------- priors


def test_penalties_equal_their_slow_replicas():
    images = torch.rand(2, 3, 10, 11, generator=rng())
    words = torch.rand(5, 3 * regularisers.SIDE**2, generator=rng(1))
    ours = {
        "variation": regularisers.roughness(images),
        "sharpness": regularisers.sharpness(images),
        "strangeness": regularisers.Codebook(words).distance(images),
    }
    for name, values in ours.items():
        slow = [
            getattr(regulariser_sums, name)(
                i.double().numpy(), words.double().numpy(), regularisers.SIDE, regularisers.STRIDE
            )
            for i in images
        ]
        assert np.allclose(values.numpy(), slow, atol=1e-5), name


def test_moving_equals_its_slow_replica():
    images = torch.rand(1, 3, 9, 12, generator=rng())
    preset = PRESETS["natural"]
    draws = (2 * torch.rand(4, generator=rng(4)) - 1).tolist()
    ours = regularisers.moved(images, preset, 9, rng(4))[0].numpy()
    slow = regulariser_sums.moved(
        images[0].double().numpy(), draws, preset.jitter, preset.turn, preset.zoom, 9
    )
    assert np.abs(ours - slow).max() < 1e-4


def test_the_learned_prior_knows_its_own(pool):
    book = regularisers.Codebook.fitted(pool.inputs)
    noise = torch.rand(30, 3, 32, 32, generator=rng())
    assert book.distance(pool.inputs).max() < book.distance(noise).min()


# ------------------------------------------------------------------- wiring


def test_wires_between_convolutions_are_their_weights(specimen, pool):
    weights = specimen.weights()
    for n, source in enumerate([None, "conv1", "conv2", "conv3"]):
        gain = weights[f"norms.{n}.weight"] / (weights[f"norms.{n}.running_var"] + 1e-5).sqrt()
        wanted = weights[f"convs.{n}.weight"] * gain[:, None, None, None]
        wanted = wanted * 4 if source is None else wanted  # The picture is stretched fourfold.
        found = connectivity.kernels(specimen, source, f"conv{n + 1}", pool.inputs)
        assert found.shape == wanted.shape
        assert torch.allclose(found, wanted, atol=1e-4)


def test_the_last_layers_weights_to_the_classes_are_the_head(specimen, pool):
    found = connectivity.class_weights(specimen, pool.inputs, batch=7)
    assert torch.allclose(found["conv4"], specimen.weights()["head.weight"].T, atol=1e-4)


# --------------------------------------------------------------- microscope


@pytest.fixture(scope="module")
def small(specimen, pool):
    """Sheets of few steps, and the files they are kept in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_images, "STEPS", 1)
        painted = unit_images.visualise(specimen, pool.inputs)
    return painted, unit_images.pack(painted)


@pytest.fixture
def scope(specimen, pool, small, digits, tmp_path):
    from auditgame.bundles import digests

    for name, content in small[1].items():
        (tmp_path / name).write_bytes(content)
    return Microscope(specimen, pool, [specimen, model(digits, 9)], tmp_path, digests(small[1]))


def test_sheets_survive_their_files(specimen, small):
    painted, files = small
    again = unit_images.unpack(files.__getitem__, specimen, "here")
    assert list(again) == ["conv1", "conv2", "conv3", "conv4"]
    assert sum(map(len, files.values())) < 600_000
    for name, sheet in painted.items():
        assert again[name].entry == sheet.entry
        for one, other in ((again[name].most, sheet.most), (again[name].least, sheet.least)):
            assert one.shape == other.shape
            assert (one.float() - other.float()).abs().mean() < 12


def test_damaged_sheets_are_refused(specimen, small):
    files = small[1]
    for change, words in (
        ({"microscope.json": b"{}"}, "field"),
        ({"microscope_2.jpg": files["microscope_1.jpg"]}, "does not match"),
        ({"microscope_3.jpg": b"GIF89a"}, "cannot be read as JPEG"),
    ):
        with pytest.raises(AuditgameError, match=words):
            unit_images.unpack({**files, **change}.__getitem__, specimen, "here")


def test_what_is_painted_once_is_kept(specimen, pool, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDITGAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(unit_images, "STEPS", 1)
    first = unit_images.UnitImageCache(specimen, pool.inputs, tmp_path, {})
    assert first.read() is None
    shares: list[float] = []
    painted = first.build(shares.append)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    monkeypatch.setattr(unit_images, "visualise", None)
    second = unit_images.UnitImageCache(specimen, pool.inputs, tmp_path, {}).read()
    assert second is not None
    assert second["conv2"].entry == painted["conv2"].entry


def test_peaks_and_examples_are_those_of_the_pool(scope, specimen, pool):
    maps = specimen.collect(pool.inputs, "conv3")[:, 5]
    peaks = maps.amax((1, 2))
    assert torch.allclose(scope.peaks("conv3")[:, 5], peaks)
    top = peaks.argsort(descending=True, stable=True)[:3].tolist()
    labels = [tile.label.split()[0] for tile in scope.examples("conv3", 5, 3).tiles]
    assert labels == [f"#{row}" for row in top]
    shares = scope.histogram("conv3", 5).series["share"]
    assert sum(y for _, y in shares) == pytest.approx(float((maps > 0).float().mean()), abs=1e-3)


@pytest.mark.parametrize("batch", [4, 7, 30])
def test_leaders_equal_a_full_sort(batch, specimen, pool):
    """The pool twice over, batch by batch from a generator: every score is tied."""
    twice = torch.cat([pool.inputs, pool.inputs])
    found = top_examples(specimen, (part for part in twice.split(batch)), ["conv1", "conv4"], 5)
    for site in ("conv1", "conv4"):
        peaks = torch.cat(
            [specimen.collect(part, site).amax((2, 3)) for part in twice.split(batch)]
        )
        order = peaks.argsort(dim=0, descending=True, stable=True)[:5].T
        assert torch.equal(found[site].rows, order)
        assert torch.equal(found[site].peaks, peaks.T.gather(1, order))


def test_orders_put_first_what_stands_out(scope, pool):
    peaks = scope.peaks("conv2")
    three = pool.labels == 3
    found = {r.unit: r.value for r in scope.ranked("conv2", "difference", one="three")}
    wanted = (peaks[three].mean(0) - peaks[~three].mean(0)).abs() / peaks[~three].std(
        0, correction=0
    )
    assert found[7] == pytest.approx(float(wanted[7]), abs=1e-3)
    for order in ("difference", "selectivity", "weight"):
        values = [r.value for r in scope.ranked("conv2", order, one="0-4", label="two")]
        assert values == sorted(values, reverse=True) and len(values) == 48
    assert [r.unit for r in scope.ranked("conv2")] == list(range(48))


def test_sets_are_named_in_three_ways(scope, pool):
    assert scope.group("0-2, 9", "set").nonzero().flatten().tolist() == [0, 1, 2, 9]
    assert torch.equal(scope.group("two", "set"), pool.labels == 2)
    assert torch.equal(scope.group(WRONG, "set"), scope.answers != pool.labels)
    with pytest.raises(AuditgameError, match="first set"):
        scope.ranked("conv2", "difference", one="elephant")


def test_a_model_is_its_own_twin(scope):
    own, stranger = scope.similar_units("conv2", 11)
    assert own.unit == 11 and own.correlation == pytest.approx(1, abs=1e-4)
    assert stranger.correlation < 0.999


def test_links_are_the_strongest_wires(scope):
    wires = (
        connectivity.kernels(scope.specimen, "conv2", "conv3", scope.pool.inputs).abs().sum((2, 3))
    )
    into = [link.unit for link in scope.incoming("conv3", 8, 4)]
    out_of = [link.unit for link in scope.outgoing("conv2", 8, 4)]
    assert into == wires[8].argsort(descending=True)[:4].tolist()
    assert out_of == wires[:, 8].argsort(descending=True)[:4].tolist()
    assert scope.incoming("conv1", 0) == [] and scope.outgoing("conv4", 0) == []


def test_a_quiz_has_one_right_answer(scope):
    asked = [quiz.ask(scope, "conv3", n) for n in range(5)]
    assert asked == [quiz.ask(scope, "conv3", n) for n in range(5)]
    assert len({question.unit for question in asked}) > 1
    for question in asked:
        tops = [
            {tile.label for tile in scope.examples("conv3", unit, quiz.SHOWN).tiles}
            for unit in question.choices
        ]
        assert len(set.union(*tops)) == quiz.CHOICES * quiz.SHOWN
        assert question.choices[question.right] == question.unit


def test_a_model_without_channels_has_no_microscope(digits, pool, tmp_path):
    bare = model(digits, 1)
    bare.sites = {}
    with pytest.raises(AuditgameError, match="no convolutional channels"):
        Microscope(bare, pool, [], tmp_path, {})
