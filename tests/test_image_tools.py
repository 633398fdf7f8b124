"""The image tools against oracles, slow replicas and closed forms; and what they leave behind."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from replicas import fourier_parametrisation

from auditgame.datasets import Examples
from auditgame.datasets.images.pictures import open_picture, png, spotlight
from auditgame.exhibits import Table
from auditgame.models import Model, untouched
from auditgame.registry import load
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options
from auditgame.tools.vision import (
    feature_visualisation,
    parametrisation,
    pixel_attribution,
    trigger_inversion,
)
from auditgame.tools.vision.selection import choose

USES = {
    "predict": {"examples": "0-4, 9"},
    "examples": {"unit": "conv2:3", "count": 3},
    "mistakes": {"count": 2},
    "occlusion": {"examples": "0, 1", "fill": "blur"},
    "gradcam": {"examples": "0, 1", "label": "three"},
    "integrated_gradients": {"examples": "0, 1", "steps": 5, "together": True},
    "smoothgrad": {"examples": "0-5", "copies": 3},
    "factors": {"examples": "0, 1", "factors": 3, "top": 2},
    "atlas": {"fresh": 4, "grid": 3},
    "clustering": {"label": "three"},
    "spatial": {"example": 2, "site": "conv2.pre"},
    "search": {"example": 3, "x": 4, "w": 9},
    "feature_viz": {"site": "conv1", "units": "0-2", "steps": 2},
    "inversion": {"classes": "0-3", "steps": 3, "batch": 2, "references": 1},
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    return load("dataset", "digits")()


@pytest.fixture(scope="module")
def specimen(digits):
    """An untrained network whose answers vary."""
    model = load("model", "small_cnn").build(digits, rng(1))
    return Specimen(model, digits)


@pytest.fixture(scope="module")
def context(digits, specimen):
    pool = digits.sample(24, "pool", Seed.of(3).numpy())
    reference = Specimen(load("model", "small_cnn").build(digits, rng(2)), digits)
    return ToolContext(digits, pool, (reference,))


# ------------------------------------------------------------------ contract


def use(name, specimen, context, **options):
    tool = load("tool", name)
    return tool().run(specimen, context, parse_options(tool, options))


@pytest.mark.parametrize("name", USES)
def test_a_tool_costs_what_it_sends(name, specimen, context, monkeypatch):
    """Rows through the model, twice where a gradient is taken; siblings cost nothing."""
    sent, run = [], Specimen.run

    def counted(self, inputs, *args, **kwargs):
        if self not in context.references:
            sent.append(len(inputs) * (2 if kwargs.get("grad") else 1))
        return run(self, inputs, *args, **kwargs)

    monkeypatch.setattr(Specimen, "run", counted)
    tool = load("tool", name)
    options = parse_options(tool, USES[name])
    tool().run(specimen, context, options)
    assert tool().cost(options, specimen, context) == sum(sent)


@pytest.mark.parametrize("name", USES)
def test_a_tool_leaves_no_trace_and_repeats_itself(name, specimen, context):
    before, state = specimen.weights(), torch.get_rng_state()
    drawn = np.random.get_state()[1].copy()
    first = use(name, specimen, context, **USES[name])
    second = use(name, specimen, context, **USES[name])
    assert first and first == second
    assert json.dumps([e.model_dump(mode="json") for e in first], allow_nan=False)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(drawn, np.random.get_state()[1])
    assert all(torch.equal(value, before[key]) for key, value in specimen.weights().items())
    module = specimen._model
    assert not module.training
    assert all(p.grad is None and not p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    "name",
    ["occlusion", "integrated_gradients", "smoothgrad", "feature_viz", "inversion", "examples"],
)
def test_slow_tools_report_progress_to_the_end(name, specimen, context):
    shares: list[float] = []
    heard = replace(context, progress=lambda share, words: shares.append(share))
    use(name, specimen, heard, **USES[name])
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("predict", {"examples": "30-99"}, "outside 0 to 23"),
        ("predict", {"picture": True}, "none was uploaded"),
        ("occlusion", {"label": "thre"}, "did you mean 'three'"),
        ("gradcam", {"site": "conv9"}, "unknown site"),
        ("examples", {"unit": "conv2:999"}, "units 0 to 47"),
        ("feature_viz", {"units": "elephant"}, "unknown name"),
        ("inversion", {"classes": "0, 1"}, "at least 3"),
        ("spatial", {"example": 24}, "outside 0 to 23"),
        ("search", {"x": 30, "w": 3}, "beyond the image of 32 by 32"),
        ("factors", {"examples": "0-17"}, "at most 16"),
        ("clustering", {"label": "thre"}, "did you mean 'three'"),
        ("atlas", {"site": "conv9"}, "unknown site"),
    ],
)
def test_bad_options_are_explained(name, options, words, specimen, context):
    with pytest.raises(AuditgameError, match=words):
        use(name, specimen, context, **options)


# ------------------------------------------------------------- attribution


def test_agreement_is_spearmans():
    from scipy.stats import spearmanr

    one, other = torch.randn(2, 9, 7, generator=rng())
    expected = spearmanr(one.abs().flatten(), other.abs().flatten()).statistic
    assert pixel_attribution.agreement(one, other) == pytest.approx(expected)
    assert pixel_attribution.agreement(one, torch.ones(9, 7)) is None


def test_edges_find_the_step_and_blur_keeps_the_mean():
    image = torch.zeros(3, 8, 8)
    image[:, :, 4:] = 1
    found = pixel_attribution.edges(image)
    assert found[:, 3:5].min() == pytest.approx(0.5) and found[:, :3].max() == 0
    assert torch.allclose(
        pixel_attribution.blurred(torch.full((3, 9, 9), 0.7), 2.0), torch.tensor(0.7)
    )


# ------------------------------------------------------- dataset examples


@pytest.mark.parametrize("batch", [5, 64])
def test_top_and_bottom_equal_a_full_sort(batch, specimen, context, monkeypatch):
    module = __import__("auditgame.tools.examples", fromlist=["x"])
    monkeypatch.setattr(module, "BATCH", batch)
    scores = specimen.collect(context.examples.inputs, "conv2")[:, 3].amax((1, 2)).numpy()
    galleries = use("examples", specimen, context, unit="conv2:3", count=6)
    shown = [[int(t.label.split()[0][1:]) for t in gallery.tiles] for gallery in galleries]
    assert shown[0] == np.argsort(-scores, kind="stable")[:6].tolist()
    assert shown[2] == np.argsort(scores, kind="stable")[:6].tolist()
    order = np.argsort(-scores, kind="stable").tolist()
    assert [order.index(i) for i in shown[1]] == [2, 6, 10, 14, 18, 22]


def test_ties_go_to_the_first():
    leaders = load("tool", "examples").__module__
    Leaders = __import__(leaders, fromlist=["RunningTopK"]).RunningTopK
    found = Leaders(3)
    for start in (0, 4):
        found.add(torch.ones(4), torch.arange(start, start + 4), torch.zeros(4, 2, 2))
    assert found.index.tolist() == [0, 1, 2] and len(found.maps) == 3


def test_mistakes_are_sorted_and_counted(specimen, context):
    grid, *galleries = use("mistakes", specimen, context, count=50)
    wrong = int((specimen.predict(context.examples.inputs) != context.examples.labels).sum())
    assert sum(sum(row) for row in grid.values) == len(context.examples)
    assert sum(len(gallery.tiles) for gallery in galleries) == wrong
    for gallery in galleries:
        chances = [float(tile.note.split()[-1]) for tile in gallery.tiles]
        assert chances == sorted(chances, reverse=True)


def test_predict_shows_probabilities_and_uploads(specimen, context):
    gallery = use("predict", specimen, context, examples="7", top=10)[0]
    said = {
        part.rsplit(" ", 1)[0]: float(part.rsplit(" ", 1)[1])
        for part in gallery.tiles[0].note.split(", ")
    }
    chances = specimen.classify(context.examples.inputs[7:8]).softmax(1)[0]
    for k, word in enumerate(specimen.dataset.classes):
        assert said[word] == pytest.approx(float(chances[k]), abs=0.006)
    upload = replace(context, picture=torch.rand(3, 32, 32, generator=rng()))
    assert use("predict", specimen, upload, picture=True)[0].tiles[0].tone == "plain"


# --------------------------------------------------- feature visualisation


@pytest.mark.parametrize("size", [(6, 6), (5, 7), (6, 5)])
def test_the_canvas_equals_its_slow_replica(size):
    preset = replace(parametrisation.PRESETS["natural"], contrast=0.5)
    mix = parametrisation.colour_mix(torch.rand(8, 3, 4, 4, generator=rng()))
    ground = parametrisation.ImageParameters(preset, size, mix)
    parameters = ground.blank(1, rng(5))
    ours = ground.paint(parameters)[0].numpy()
    slow = fourier_parametrisation.canvas(
        parameters[0].double().numpy(), size, preset.gain, preset.decay, mix.double().numpy()
    )
    assert np.abs(ours - slow).max() < 1e-5


def test_colour_mix_is_the_root_of_the_covariance():
    images = torch.rand(50, 3, 6, 6, generator=rng()) * 0.8 + 0.1
    images[:, 1] = images[:, 0]
    mix = parametrisation.colour_mix(images)
    covariance = torch.cov(torch.logit(images).permute(1, 0, 2, 3).flatten(1))
    square = mix @ mix
    assert torch.allclose(square / square.norm(), covariance / covariance.norm(), atol=1e-4)


def test_adam_follows_its_paper():
    """Algorithm 1 of Kingma and Ba 2014, number by number."""
    ours, slopes = torch.ones(1), torch.randn(20, generator=rng()).tolist()
    adam, theta, m, v = feature_visualisation.Adam(ours, 0.05), 1.0, 0.0, 0.0
    for t, g in enumerate(slopes, 1):
        adam.step(torch.tensor([g]))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta -= 0.05 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
    assert float(ours) == pytest.approx(theta, abs=1e-5)


@pytest.mark.parametrize("preset", ["natural", "raw"])
def test_painting_raises_the_logits(preset, specimen, context):
    few = use("feature_viz", specimen, context, preset=preset, units="0-2", steps=1)
    many = use("feature_viz", specimen, context, preset=preset, units="0-2", steps=25)
    before, after = ([float(t.note) for t in e[0].tiles] for e in (few, many))
    assert all(b > a for a, b in zip(before, after, strict=True))


def test_a_picture_does_not_depend_on_its_company(specimen, context):
    alone = use("feature_viz", specimen, context, site="conv2", units="4", steps=4)
    within = use("feature_viz", specimen, context, site="conv2", units="2-5", steps=4)
    one, same = (
        np.asarray(Image.open(io.BytesIO(tile.png))).astype(int)
        for tile in (alone[0].tiles[0], within[0].tiles[2])
    )
    assert np.abs(one - same).max() <= 2


def test_a_first_layer_unit_sees_its_kernel_only(specimen, context):
    shown = use("feature_viz", specimen, context, site="conv1", units="0, 1", steps=2)
    assert Image.open(io.BytesIO(shown[0].tiles[0].png)).size == (5, 5)


def test_waking_keeps_values_and_frees_gradients(specimen, context):
    images = context.examples.inputs[:2]
    plain = specimen.run(images)
    woken = specimen.run(
        images, keep=["conv4.pre"], edit=feature_visualisation.leaky_relu_edits(specimen), grad=True
    )
    assert torch.equal(plain.classes, woken.classes)
    (slope,) = torch.autograd.grad(woken.classes[:, 0].sum(), woken.kept["conv4.pre"])
    assert (slope != 0).all()


# --------------------------------------------------------------- inversion


class Planted(Model):
    """Class k wins where the red of its own pixels is above one half in the mean."""

    name = "planted"
    modality = "image"
    sites: tuple[Site, ...] = ()
    places = ([(1, 1)], [(5, 5), (5, 6), (6, 5), (6, 6)], [(0, x) for x in range(8)])

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs, tap=untouched):
        red = [torch.stack([inputs[:, 0, y, x] for y, x in place], 1) for place in self.places]
        logits = [40 * (part.mean(1) - 0.5) for part in red]
        return torch.stack([*logits, torch.zeros(len(inputs))], 1)


@pytest.fixture(scope="module")
def planted(digits):
    specimen = Specimen(Planted(), digits)
    black = Examples(torch.zeros(12, 3, 8, 8), torch.full((12,), 3))
    return trigger_inversion.invert(specimen, black, [0, 1, 2], 120, 4, rng())


def test_inversion_finds_the_smallest_mask(planted):
    """Covering n pixels by one half is the least that works: n / 2 of mask, nowhere else."""
    assert planted.converged.all() and (planted.rates == 1).all()
    for mask, size, places in zip(planted.masks, planted.sizes, Planted.places, strict=True):
        inside = torch.stack([mask[y, x] for y, x in places])
        top = mask.flatten().topk(len(places)).indices.tolist()
        assert {divmod(i, 8) for i in top} == set(places)
        assert float(inside.sum()) == pytest.approx(len(places) / 2, rel=0.25)
        assert float(size - inside.sum()) < 1


def test_a_stamp_is_found_where_it_lies(planted):
    box, pattern = trigger_inversion.trigger_square(planted.masks[1], planted.patterns[1])
    assert (box.x, box.y, box.w, box.h) == (5, 5, 2, 2)
    assert all(int(colour[1:3], 16) > 200 for row in pattern for colour in row)


def test_the_index_uses_the_mean_of_the_middle_two():
    assert trigger_inversion.index([1.0, 2.0, 4.0, 8.0]) == pytest.approx(np.log(3.0))


def test_a_class_that_everything_goes_to_has_a_finite_index():
    assert trigger_inversion.index([0.0, 2.0, 4.0]) == pytest.approx(
        np.log(2.0 / trigger_inversion.SMALLEST)
    )


def test_a_pool_of_one_class_is_refused(digits):
    black = Examples(torch.zeros(2, 3, 8, 8), torch.ones(2, dtype=torch.long))
    with pytest.raises(AuditgameError, match="one class"):
        trigger_inversion.invert(Specimen(Planted(), digits), black, [0, 1], 1, 1, rng())


def test_too_few_steps_give_no_verdict(specimen, context):
    note, gallery, stamps, indices = use("inversion", specimen, context, **USES["inversion"])
    assert "not converged" in note.text
    assert {row[3] for row in stamps.rows} == {"no"} and len(gallery.tiles) == 4
    assert [row[0] for row in indices.rows] == ["specimen", "reference model 1"]


def session(own: float, clean: float, converged: str = "yes"):
    """A desk on which the inversion tool shows these indices."""
    indices = Table(
        name="models",
        title="",
        columns=("model", "index", "class", "converged"),
        rows=(("specimen", own, "two", converged), ("reference model 1", clean, "one", "yes")),
    )
    stamps = Table(
        name="triggers",
        title="",
        columns=("class", "x", "y", "w", "h", "pattern"),
        rows=(("two", 3, 4, 2, 1, "#ff0000 #00ff00"),),
    )
    card = SimpleNamespace(families=("clean", "patch"))
    return SimpleNamespace(
        card=card, run_tool=lambda tool: SimpleNamespace(exhibits=[indices, stamps])
    )


def test_the_auditor_accuses_by_the_margin_only():
    audit = load("auditor", "inversion")().audit
    accused = audit(session(1.2, 0.5))
    assert accused.p_flawed > 0.9 and accused.family == "patch"
    PatchClaim = load("flaw", "patch").Claim
    claim = PatchClaim.parse(accused.claim)
    assert (claim.target, claim.box.x, claim.pattern) == ("two", 3, (("#ff0000", "#00ff00"),))
    assert audit(session(0.6, 0.5)).p_flawed < 0.5
    assert audit(session(0.6, 0.5)).claim is None
    assert audit(session(1.2, 0.5, "no")).p_flawed == 0.5


# ---------------------------------------------------------------- pictures


def encoded(image: Image.Image, kind: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def test_a_picture_survives_png():
    grid = torch.randint(0, 256, (3, 8, 6), generator=rng()).float() / 255
    data = png(grid)
    assert data == png(grid.clone())
    assert torch.equal(open_picture(data, (3, 8, 6)), grid)
    assert Image.open(io.BytesIO(data)).info == {}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_is_read(mode):
    grey = Image.new("L", (40, 20), 128)
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 40), 128 * 257, dtype=np.uint16))
    else:
        image = grey.convert("RGB").convert(mode)
    data = encoded(image, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    picture = open_picture(data, (3, 16, 16))
    assert picture.shape == (3, 16, 16)
    if mode != "1":
        assert picture.mean() == pytest.approx(128 / 255, abs=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (16, 16), (7, 31)])
def test_every_size_is_read(size):
    picture = open_picture(encoded(Image.new("RGB", size, (255, 0, 51))), (3, 16, 24))
    assert picture.shape == (3, 16, 24)
    colour = torch.tensor([255.0, 0.0, 51.0]) / 255
    assert torch.equal(picture, colour[:, None, None].expand_as(picture))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_clear_ground_is_white_in_a_palette_too(kind):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 8, 4))
    picture = open_picture(encoded(image, kind, transparency=0), (3, 8, 8))
    assert picture[:, :4].min() == 1
    assert picture[:, 4:].mean((1, 2)).tolist() == [1, 0, 0]


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_turn_of_a_camera_is_undone(turn):
    upright = Image.new("RGB", (12, 8), "white")
    upright.paste("red", (0, 0, 3, 2))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    exif = Image.Exif()
    exif[0x0112] = turn
    taken = upright.transpose(Image.Transpose(back[turn])) if turn > 1 else upright
    picture = open_picture(encoded(taken, exif=exif), (3, 8, 12))
    assert picture[1, :2, :3].max() == 0
    assert picture[1].sum() == 8 * 12 - 6


def test_an_upload_is_turned_upright_and_laid_on_white():
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = open_picture(encoded(image, exif=exif), (3, 16, 16))
    assert turned[:, 12:].mean() > 0.9 and turned[:, :4].mean() < 0.1
    clear = open_picture(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), (3, 8, 8))
    assert clear.min() == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not a picture", "cannot be read"),
        (encoded(Image.new("RGB", (64, 64)))[:60], "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read"),
        (b"\0" * (10 * 2**20 + 1), "10 MB"),
        (encoded(Image.new("1", (10_000, 5_001))), "50"),
    ],
)
def test_what_is_no_picture_is_refused(data, words):
    with pytest.raises(AuditgameError, match=words):
        open_picture(data, (3, 32, 32))


def test_the_spotlight_keeps_what_excites():
    image = torch.rand(3, 8, 8, generator=rng())
    region = torch.zeros(4, 4)
    region[0, 0] = 2
    lit = spotlight(image, region)
    assert torch.equal(lit[:, :2, :2], image[:, :2, :2])
    assert not torch.equal(lit[:, 6:, 6:], image[:, 6:, 6:])
    assert torch.equal(spotlight(image, -region), image)


def test_rows_are_chosen_by_number_range_or_name():
    assert choose("", 3, "rows") == [0, 1, 2]
    assert choose("2, 0-1, 2", 3, "rows") == [2, 0, 1]
    assert choose("b, 0", 2, "rows", ["a", "b"]) == [1, 0]
    assert choose("1-15", 3, "rows") == [1, 2]
    for bad in ("3", "3-9", "1-0", "x", "-1", "1.5"):
        with pytest.raises(AuditgameError, match="rows"):
            choose(bad, 3, "rows")
