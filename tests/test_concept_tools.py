"""Factor groups, atlas, clustering, spatial grid and unit search on what is known to be there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from auditgame.datasets import Examples
from auditgame.exhibits import Gallery, Grid, HeatMap, Table
from auditgame.models import Model, untouched
from auditgame.registry import load
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options
from auditgame.tools.vision import embedding_grid
from auditgame.tools.vision.layer_maps import layer, patch, under
from auditgame.tools.vision.pixel_attribution import slopes


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Colours(Model):
    """Unit 0 is red, 1 green, 2 blue, over 8 x 8 places; classes 0 and 1 count red and green."""

    name = "colours"
    modality = "image"
    sites = (Site(name="conv1", kind="channel", units=3),)

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs, tap=untouched):
        value = tap("conv1", torch.nn.functional.avg_pool2d(inputs, 4))
        return torch.cat([value.mean((2, 3)), torch.zeros(len(inputs), 7)], 1)


@pytest.fixture(scope="module")
def digits():
    return load("dataset", "digits")()


@pytest.fixture(scope="module")
def colours(digits):
    return Specimen(Colours(), digits)


@pytest.fixture(scope="module")
def corners(digits):
    """40 dim pictures: red in the upper half of even ones, green in the lower half of odd ones.

    Picture 0 alone has blue, in its lower right corner.
    """
    images = 0.01 * torch.rand(40, 3, 32, 32, generator=rng())
    images[::2, 0, :16] += 0.8
    images[1::2, 1, 16:] += 0.6
    images[0, 2, 24:, 24:] = 0.9
    return ToolContext(digits, Examples(images, torch.arange(40) % 2))


@pytest.fixture(scope="module")
def specimen(digits):
    return Specimen(load("model", "small_cnn").build(digits, rng(1)), digits)


@pytest.fixture(scope="module")
def context(digits):
    return ToolContext(digits, digits.sample(24, "pool", Seed.of(3).numpy()))


def module(name):
    return __import__(f"auditgame.tools.{name}", fromlist=[name])


def use(name, specimen, context, **options):
    tool = load("tool", name)
    return tool().run(specimen, context, parse_options(tool, options))


# ---------------------------------------------------------------- layers


def test_a_box_covers_the_places_it_touches():
    found = under(Box(x=0, y=16, w=8, h=9), (4, 4), (32, 32))
    assert found.nonzero().tolist() == [[2, 0], [3, 0]]
    assert under(Box(x=31, y=31, w=1, h=1), (1, 1), (32, 32)).all()
    assert under(Box(x=0, y=0, w=32, h=32), (5, 7), (32, 32)).all()


def test_a_patch_lies_around_its_place_and_inside_the_picture():
    image = torch.arange(32.0 * 32).reshape(1, 32, 32)
    assert torch.equal(patch(image, (4, 4), (8, 8)), image[:, 12:24, 12:24])
    assert torch.equal(patch(image, (0, 7), (8, 8)), image[:, :12, 20:])


def test_the_default_layer_is_the_third(specimen, colours):
    assert layer(specimen, "") == "conv3" and layer(specimen, "conv1.pre") == "conv1.pre"
    assert layer(colours, "") == "conv1"
    with pytest.raises(AuditgameError, match="unknown site"):
        layer(specimen, "conv9")


# ---------------------------------------------------------------- factors


def slow_factors(points: np.ndarray, count: int, rounds: int) -> list[float]:
    """Lee and Seung 2001, equation 4, from a random start: the squared error after each round."""
    draw = np.random.default_rng(0)
    w, h = draw.random((len(points), count)), draw.random((count, points.shape[1]))
    errors = []
    for _ in range(rounds):
        h *= (w.T @ points) / (w.T @ w @ h + 1e-12)
        w *= (points @ h.T) / (w @ h @ h.T + 1e-12)
        errors.append(float(np.square(points - w @ h).sum()))
    return errors


def test_factors_rebuild_at_least_as_well_as_multiplicative_updates(specimen, context):
    values = specimen.collect(context.examples.inputs, "conv3")
    points = values.permute(0, 2, 3, 1).reshape(-1, 64).double().numpy()
    slow = slow_factors(points, 4, 60)
    found = module("factors").factorise(values, 4)
    rebuilt = torch.einsum("nkab,ku->nuab", found.maps, found.units)
    error = float((values - rebuilt).square().sum())
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(slow))
    assert error < 1.02 * slow[-1]
    assert found.explained == pytest.approx(1 - error / float(values.square().sum()), abs=1e-4)
    assert (found.maps >= 0).all() and torch.allclose(found.units.sum(1), torch.ones(4))


def test_more_factors_explain_more(specimen, context):
    values = specimen.collect(context.examples.inputs, "conv2")
    shares = [module("factors").factorise(values, k).explained for k in (2, 4, 8)]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] <= 1


def test_factors_find_the_colours_and_what_they_do(colours, corners):
    tops, maps, effects, made = use("factors", colours, corners, factors=2, top=4, examples="2, 3")
    names = [row[2].split(" ")[0] for row in made.rows]
    assert sorted(names) == ["conv1:0", "conv1:1"]
    red = names.index("conv1:0")
    assert isinstance(effects, Grid) and isinstance(tops, Gallery)
    assert effects.values[red][0] == pytest.approx(-0.4, abs=0.02)
    assert effects.values[1 - red][1] == pytest.approx(-0.3, abs=0.02)
    assert abs(effects.values[red][1]) < 0.02
    shown = [tile.label for tile in tops.tiles[4 * red : 4 * red + 4]]
    assert all(int(label.split("#")[1].split()[0]) % 2 == 0 for label in shown)
    assert len(maps.tiles) == 2 * 3


def test_nothing_to_factor_is_said(colours, digits):
    black = ToolContext(digits, Examples(torch.zeros(8, 3, 32, 32), torch.zeros(8).long()))
    with pytest.raises(AuditgameError, match="are zero"):
        use("factors", colours, black, factors=2)
    with pytest.raises(AuditgameError, match="choose fewer"):
        use("factors", colours, black, factors=4)


# ------------------------------------------------------------------ atlas


def test_one_inner_activation_of_each_picture_with_its_share_of_the_logits(specimen, context):
    images = context.examples.inputs[:6]
    found = embedding_grid.points(specimen, images, "conv3", rng())
    assert ((found.place >= 1) & (found.place < found.size[0] - 1)).all()
    for k in (0, 7):
        value, slope = slopes(specimen, images, torch.full((6,), k), "conv3")
        for row, (y, x) in enumerate(found.place.tolist()):
            assert torch.equal(found.value[row], value[row, :, y, x])
            part = float((value[row, :, y, x] * slope[row, :, y, x]).sum())
            assert float(found.part[row, k]) == pytest.approx(part, abs=1e-5)


def test_like_lies_by_like_and_speaks_for_its_class(colours, corners):
    atlas, table = use("atlas", colours, corners, fresh=0, grid=4)
    assert isinstance(atlas, Gallery) and len(atlas.tiles) == 16 and atlas.columns == 4
    assert sum(row[3] for row in table.rows) == 40
    by_class = {"zero": set(), "one": set()}
    for _, label, part, *_ in table.rows:
        by_class.setdefault(label, set()).add(part > 0)
    assert by_class["zero"] and by_class["one"]


def test_the_same_seed_lays_out_the_same_map():
    values = torch.rand(30, 60, generator=rng())
    layout = embedding_grid.layout
    assert torch.equal(layout(values, 3), layout(values, 3))
    spots = layout(torch.cat([values, values + 9]), 0)
    gap = torch.cdist(spots[:30], spots[30:]).min()
    assert gap > torch.cdist(spots[:30], spots[:30]).max() / 10
    assert spots.min() == 0 and spots.max() == 1


def test_one_unit_is_laid_out_and_a_dead_layer_refused():
    layout = embedding_grid.layout
    spots = layout(torch.rand(20, 1, generator=rng()), 0)
    assert spots.isfinite().all() and spots.std(0).max() > 0
    for alike in (torch.zeros(20, 5), torch.ones(1, 5)):
        with pytest.raises(AuditgameError, match="the same for all"):
            layout(alike, 0)


# -------------------------------------------------------------- clustering


def test_two_heaps_are_told_apart():
    far = torch.zeros(20, 16)
    far[:3, 5] = 9
    rows = torch.arange(100, 120)
    cut = module("clustering").split(far + 0.1 * torch.randn(20, 16, generator=rng()), rows)
    assert cut.odd.tolist() == [100, 101, 102] and cut.share == pytest.approx(0.15)
    assert cut.silhouette > 0.8
    assert set(cut.rows[cut.signature.topk(3).indices].tolist()) == {100, 101, 102}


def test_the_signature_is_the_squared_part_along_the_top_singular_vector():
    points = torch.randn(12, 5, generator=rng())
    cut = module("clustering").split(points, torch.arange(12))
    centred = (points - points.mean(0)).double().numpy()
    values, vectors = np.linalg.eigh(centred.T @ centred)
    expected = (centred @ vectors[:, values.argmax()]) ** 2
    assert np.allclose(cut.signature, expected, atol=1e-4)


def test_a_heap_without_differences_is_not_cut():
    cut = module("clustering").split(torch.ones(9, 4), torch.arange(9))
    assert len(cut.odd) == 0 and cut.silhouette == 0


def test_the_odd_pictures_of_an_answer_are_shown(colours, digits):
    """Twelve red pictures; three of them are labelled otherwise and are blue as well."""
    images = torch.full((24, 3, 32, 32), 0.02)
    images[:12, 0] = 0.8
    images[12:, 1] = 0.8
    images[:3, 2] = 0.7
    labels = torch.tensor([5, 5, 5] + [0] * 9 + [1] * 12)
    stuff = ToolContext(digits, Examples(images, labels), (colours,))
    table, odd, *_ = use("clustering", colours, stuff, label="zero")
    assert isinstance(table, Table) and table.rows[0][1:3] == (12, 0.25)
    assert table.rows[0][3] == table.rows[0][4] > 0.9 and table.rows[0][5] == 3
    assert [tile.label.split()[0] for tile in odd.tiles] == ["#0", "#1", "#2"]
    assert {tile.tone for tile in odd.tiles} == {"bad"}
    assert table.rows[7][1] is None


# ------------------------------------------------------- spatial and search


def test_the_parts_of_the_last_layer_add_up_to_the_logit(specimen, context):
    heat, grid, table = use("spatial", specimen, context, example=5, site="conv4", label="two")
    assert isinstance(heat, HeatMap) and isinstance(grid, Grid)
    logit = float(specimen.classify(context.examples.inputs[5:6])[0, 2])
    bias = float(specimen.weights()["head.bias"][2])
    assert np.sum(heat.values) == pytest.approx(logit - bias, abs=1e-4)
    value = specimen.collect(context.examples.inputs[5:6], "conv4")[0]
    assert grid.words[1][2] == str(int(value[:, 1, 2].argmax()))
    sizes = [abs(row[1]) for row in table.rows]
    assert sizes == sorted(sizes, reverse=True)


def test_search_finds_the_unit_that_fires_in_the_box_alone(colours, corners):
    gallery, table = use("search", colours, corners, example=0, x=25, y=25, w=5, h=5)
    unit, far, peak, usual, elsewhere = table.rows[0]
    assert unit == "conv1:2" and far > 10 and elsewhere == 0
    assert peak == pytest.approx(0.9, abs=0.01) and usual < 0.02
    assert gallery.tiles[1].label == "conv1:2"
    assert abs(table.rows[1][1]) < 3


def test_search_needs_another_picture(colours, corners):
    alone = ToolContext(corners.dataset, corners.examples.take(slice(1)))
    with pytest.raises(AuditgameError, match="no other image"):
        use("search", colours, alone)


def test_search_compares_with_the_others_in_the_same_box(specimen, context):
    tables = use("search", specimen, context, example=4, x=8, y=4, w=6, h=6, count=100)[1:]
    peaks = specimen.collect(context.examples.inputs, "conv1")[:, :, 2:5, 4:7].amax((2, 3))
    others = torch.arange(24) != 4
    for unit, far, peak, usual, _ in tables[0].rows:
        k = int(unit.split(":")[1])
        assert peak == pytest.approx(float(peaks[4, k]), abs=1e-4)
        assert usual == pytest.approx(float(peaks[others, k].mean()), abs=1e-3)
        plain = float((peaks[4, k] - peaks[others, k].mean()) / peaks[others, k].std(correction=0))
        assert abs(far) <= abs(plain) + 1e-3 or not np.isfinite(plain)
