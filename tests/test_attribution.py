"""Attribution against Captum, slow replicas and closed forms: right to the last decimal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from replicas import integrals
from torch import nn
from torch.nn import functional as F

from auditgame.exhibits import Gallery, HeatMap
from auditgame.models import Model, untouched
from auditgame.registry import load
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options
from auditgame.tools.vision import pixel_attribution

DATA = Path(os.environ.get("AUDITGAME_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    return load("dataset", "digits")()


@pytest.fixture(scope="module")
def specimen(digits):
    return Specimen(load("model", "small_cnn").build(digits, rng(1)), digits)


@pytest.fixture(scope="module")
def exact(digits):
    """The same network in double precision."""
    return Specimen(load("model", "small_cnn").build(digits, rng(1)).double(), digits)


@pytest.fixture(scope="module")
def context(digits):
    pool = digits.sample(24, "pool", Seed.of(3).numpy())
    reference = Specimen(load("model", "small_cnn").build(digits, rng(2)), digits)
    return ToolContext(digits, pool, (reference,))


@pytest.fixture(scope="module")
def some(context):
    """Four pictures and their labels."""
    return context.examples.inputs[:4], context.examples.labels[:4]


def use(name, specimen, context, **options):
    tool = load("tool", name)
    return tool().run(specimen, context, parse_options(tool, options))


class Hookable(nn.Module):
    """The network with a module at each site, where others can put their hooks."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        names = [site.name.replace(".", "_") for site in model.sites]
        self.taps = nn.ModuleDict({name: nn.Identity() for name in names})

    def forward(self, inputs):
        return self.model(inputs, lambda name, value: self.taps[name.replace(".", "_")](value))


# ---------------------------------------------------------------- gradcam


@pytest.mark.parametrize("site", ["conv1", "conv2.pre", "conv3", "conv4.pre", "conv4"])
def test_gradcam_equals_captum(site, specimen, some):
    captum = pytest.importorskip("captum.attr")
    images, labels = some
    wrapped = Hookable(specimen._model)
    oracle = captum.LayerGradCam(wrapped, wrapped.taps[site.replace(".", "_")])
    theirs = oracle.attribute(images.clone().requires_grad_(), labels)
    ours = pixel_attribution.gradcam(specimen, images, labels, site)
    assert theirs.abs().max() > 0
    assert torch.allclose(ours, theirs[:, 0].detach(), atol=1e-5)


@pytest.mark.slow
def test_gradcam_equals_pytorch_grad_cam(specimen, some):
    """It clips at zero, stretches each map to the picture, and scales it to [0, 1]."""
    peer = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    images, labels = some
    wrapped = Hookable(specimen._model)
    wanted = [targets.ClassifierOutputTarget(int(label)) for label in labels]
    with peer.GradCAM(model=wrapped, target_layers=[wrapped.taps["conv3"]]) as cam:
        theirs = torch.from_numpy(cam(images.clone().requires_grad_(), wanted))
    ours = pixel_attribution.gradcam(specimen, images, labels, "conv3").clamp(min=0)
    ours = (ours - ours.amin((1, 2), True)) / (1e-7 + ours.amax((1, 2), True))
    ours = F.interpolate(ours[:, None], images.shape[2:], mode="bilinear")[:, 0]
    ours = (ours - ours.amin((1, 2), True)) / (1e-7 + ours.amax((1, 2), True))
    assert torch.allclose(ours, theirs, atol=1e-3)


class Published(Model):
    """The network of Captum's own GradCAM tests: conv1 -> relu1 -> fc1 -> relu2."""

    name = "published"
    modality = "image"
    sites = tuple(Site(name=name, kind="channel", units=2) for name in ("conv1", "relu1"))

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs, tap=untouched):
        bias = torch.tensor([-50.0, -75.0])
        value = tap("conv1", F.conv2d(inputs, torch.ones(2, 1, 3, 3), bias))
        value = tap("relu1", F.relu(value)).flatten(1)
        row = torch.tensor([1.0, 1, 1, 1, 1, -1, -1, -1])
        return F.relu(value @ row.expand(4, -1).T)


@pytest.mark.parametrize("site", ["conv1", "relu1"])
def test_gradcam_gives_the_published_numbers(site, digits):
    source = DATA / "expected" / "captum_gradcam_expected.json"
    if not source.exists():
        pytest.skip(f"{source} is not here; AUDITGAME_TEST_DATA names the folder of test data")
    cases = json.loads(source.read_text())["cases"]
    plain = {"layer", "expected"}
    expected = next(c["expected"] for c in cases if c.keys() == plain and c["layer"] == site)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    ours = pixel_attribution.gradcam(Specimen(Published(), digits), image, torch.tensor([0]), site)
    assert torch.allclose(ours, torch.tensor(expected)[:, 0], atol=1e-5)


# ------------------------------------------------------ integrated gradients


@pytest.mark.parametrize("steps", [5, 50])
@pytest.mark.parametrize("level", [0.0, 0.4])
def test_integrated_gradients_equal_captum(steps, level, exact, some):
    captum = pytest.importorskip("captum.attr")
    images, labels = some[0].double(), some[1]
    baselines = torch.full_like(images, level)
    oracle = captum.IntegratedGradients(exact._model)
    theirs = oracle.attribute(images, baselines, target=labels, n_steps=steps)
    ours = pixel_attribution.integrated_gradients(exact, images, labels, baselines, steps)
    assert theirs.abs().max() > 1e-3
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_integrated_gradients_equal_captum_in_single_precision(specimen, some):
    captum = pytest.importorskip("captum.attr")
    images, labels = some
    theirs = captum.IntegratedGradients(specimen._model).attribute(
        images, torch.zeros_like(images), target=labels, n_steps=50
    )
    ours = pixel_attribution.integrated_gradients(
        specimen, images, labels, torch.zeros_like(images), 50
    )
    assert torch.allclose(ours, theirs.float(), atol=1e-6)


def test_integrated_gradients_equal_their_slow_replica(exact, some):
    images, labels = some[0][:1].double(), some[1][:1]
    start = torch.full_like(images, 0.3)
    slow = integrals.integrated_gradients(exact._model, images[0], int(labels[0]), start[0], 7)
    ours = pixel_attribution.integrated_gradients(exact, images, labels, start, 7)
    assert torch.allclose(ours[0], slow, atol=1e-12)


@pytest.mark.parametrize("pixels", [1, 32 * 32 * 7, 10**9])
def test_batches_change_nothing(pixels, exact, some, monkeypatch):
    images, labels = some[0].double(), some[1]
    start = torch.zeros_like(images)
    whole = pixel_attribution.integrated_gradients(exact, images, labels, start, 6)
    noise = torch.randn(4, 6, 3, 32, 32, generator=rng()).double() / 9
    smooth = pixel_attribution.smoothgrad(exact, images, labels, noise)
    monkeypatch.setattr(pixel_attribution, "PIXELS", pixels)
    parts = pixel_attribution.integrated_gradients(exact, images, labels, start, 6)
    assert torch.allclose(parts, whole, atol=1e-13)
    assert torch.allclose(
        pixel_attribution.smoothgrad(exact, images, labels, noise), smooth, atol=1e-13
    )


def test_the_parts_add_up_to_the_logit_change(exact, some):
    images, labels = some[0].double(), some[1]
    start = torch.zeros_like(images)
    maps = pixel_attribution.integrated_gradients(exact, images, labels, start, 250)
    change = (exact.classify(images) - exact.classify(start)).gather(1, labels[:, None])[:, 0]
    assert (maps.sum((1, 2, 3)) - change).abs().max() < 0.005 * maps.abs().sum((1, 2, 3)).min()


def test_too_few_steps_are_flagged(specimen, context):
    module = __import__("auditgame.tools.integrated_gradients", fromlist=["verdict"])
    assert module.verdict(1.009, 1.0) == "complete" and module.verdict(-1.02, -1.0) != "complete"
    table = use("integrated_gradients", specimen, context, examples="0-5", steps=4)[-1]
    for _, total, change, delta, said in table.rows:
        assert delta == pytest.approx(total - change, abs=1e-3 * abs(change))
        assert (said == "complete") == (abs(delta) <= 0.01 * abs(change))
    assert {row[4] for row in table.rows} == {"complete", "error over 1 %: take more steps"}


def test_two_baselines_stand_side_by_side(specimen, context):
    shown = use("integrated_gradients", specimen, context, examples="3", baselines="black, mean")
    maps = [e for e in shown if isinstance(e, HeatMap)]
    assert ["black" in maps[0].title, "mean" in maps[1].title] == [True, True]
    assert maps[0].values != maps[1].values


# --------------------------------------------------------------- smoothgrad


def test_smoothgrad_equals_captum(specimen, some):
    captum = pytest.importorskip("captum.attr")
    image, label = some[0][:1], some[1][:1]
    theirs = captum.NoiseTunnel(captum.Saliency(specimen._model))
    state = torch.get_rng_state()
    torch.manual_seed(5)
    expected = theirs.attribute(
        image, nt_type="smoothgrad", nt_samples=30, stdevs=0.15, target=label, abs=False
    )
    torch.manual_seed(5)
    noise = torch.normal(0.0, torch.full((30, 3, 32, 32), 0.15))
    torch.set_rng_state(state)
    ours = pixel_attribution.smoothgrad(specimen, image, label, noise[None])
    assert expected.abs().max() > 1e-3
    assert torch.allclose(ours, expected, atol=1e-6)


def test_smoothgrad_equals_its_slow_replica(exact, some):
    images, labels = some[0].double(), some[1]
    noise = torch.randn(4, 5, 3, 32, 32, generator=rng()).double() / 9
    ours = pixel_attribution.smoothgrad(exact, images, labels, noise)
    for i in range(4):
        slow = integrals.smoothgrad(exact._model, images[i], int(labels[i]), noise[i])
        assert torch.allclose(ours[i], slow, atol=1e-12)


def test_noise_is_a_share_of_the_pictures_range(specimen, context):
    """A picture between 0.4 and 0.6 gets a fifth of the noise that one between 0 and 1 gets."""
    from dataclasses import replace

    flat = replace(context, picture=0.4 + 0.2 * context.examples.inputs[0])
    shown = use("smoothgrad", specimen, flat, picture=True, copies=3, check=False, colours="signed")
    draw = torch.Generator().manual_seed(Seed.of(0).child("noise").integer())
    noise = 0.15 * torch.randn(3, 3, 32, 32, generator=draw)
    span = flat.picture.max() - flat.picture.min()
    label = specimen.predict(flat.picture[None])
    ours = pixel_attribution.smoothgrad(specimen, flat.picture[None], label, span * noise[None])
    assert np.allclose(shown[0].values, ours[0].sum(0), atol=1e-5)


# ---------------------------------------------------------------- occlusion


@pytest.mark.parametrize(("window", "stride"), [(8, 4), (8, 8), (7, 3), (5, 4)])
def test_occlusion_equals_captum(window, stride, exact, some):
    captum = pytest.importorskip("captum.attr")
    image, fill = some[0][0].double(), torch.full((3, 32, 32), 0.3).double()
    theirs = captum.Occlusion(exact._model).attribute(
        image[None],
        sliding_window_shapes=(3, window, window),
        strides=(3, stride, stride),
        baselines=fill[None],
        target=4,
    )
    ours = pixel_attribution.occlusion(exact, image, 4, fill, window, stride)
    assert ours.abs().max() > 1e-3
    assert torch.allclose(ours.expand(3, -1, -1), theirs[0].double(), atol=1e-6)


# ------------------------------------------------------- together, and beside


@pytest.mark.parametrize("name", ["gradcam", "smoothgrad", "integrated_gradients", "occlusion"])
def test_a_set_of_pictures_gets_the_mean_of_their_maps(name, specimen, context):
    each = use(name, specimen, context, examples="1, 4, 7", check=False, reference=False)
    mean = use(name, specimen, context, examples="1, 4, 7", together=True, check=False)
    maps = np.mean([e.values for e in each[:3]], axis=0)
    assert np.allclose(mean[0].values, maps, atol=2e-6)
    assert "mean of 3" in mean[0].title


def test_more_pictures_fit_together_than_one_by_one(specimen, context):
    with pytest.raises(AuditgameError, match="at most 16"):
        use("gradcam", specimen, context, examples="0-16")
    use("gradcam", specimen, context, examples="0-16", together=True, check=False)


def test_each_map_stands_beside_its_checks(specimen, context):
    shown = use("gradcam", specimen, context, examples="0-2")
    gallery, table = shown[3:]
    row = ["specimen", "reference model", "randomised weights", "edges"]
    assert isinstance(gallery, Gallery) and gallery.columns == 5
    assert [tile.label for tile in gallery.tiles[1:5]] == row
    names = ["image", "reference_model", "random_output", "random_weights", "edges"]
    assert [column.name for column in table.columns] == names
    assert len({heat.limit for heat in shown[:3]}) == 1
