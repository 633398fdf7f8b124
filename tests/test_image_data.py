"""Pictures and the small network: are they what their data sheets say?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from auditgame.datasets.digits import FILE, Digits, _splits
from auditgame.datasets.images.backgrounds import MARKS
from auditgame.datasets.images.icons import uniforms
from auditgame.datasets.storybook import SPARE, Storybook
from auditgame.models.small_cnn import SmallCNN
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

STORYBOOK, DIGITS = Storybook(), Digits()
CORNER = (slice(0, 11), slice(37, 48))


def story(n: int = 40, seed: int = 0, **fixed: object):
    return STORYBOOK.sample(n, "train", np.random.default_rng(seed), **fixed)


def changed(examples, **columns: object):
    """Which pixels change when the table does? A mask `n h w`."""
    again = STORYBOOK.render(examples.scenes.assign(**columns)).inputs
    return (again != examples.inputs).any(1)


def small(seed: int = 0, dataset=STORYBOOK) -> SmallCNN:
    return SmallCNN.build(dataset, torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- storybook


def test_pictures_are_images_in_range() -> None:
    examples = story()
    assert examples.inputs.shape == (40, *STORYBOOK.shape)
    assert examples.inputs.dtype == torch.float32
    assert examples.inputs.min() >= 0 and examples.inputs.max() <= 1


def test_same_generator_same_pictures() -> None:
    assert torch.equal(story(seed=3).inputs, story(seed=3).inputs)
    assert not torch.equal(story(seed=3).inputs, story(seed=4).inputs)


def test_a_picture_depends_on_its_own_row_alone() -> None:
    examples = story()
    alone = [STORYBOOK.render(examples.scenes.iloc[[row]]).inputs for row in range(10)]
    assert torch.equal(torch.cat(alone), examples.inputs[:10])
    backwards = STORYBOOK.render(examples.scenes.iloc[::-1])
    assert torch.equal(backwards.inputs.flip(0), examples.inputs)
    assert torch.equal(backwards.labels.flip(0), examples.labels)


def test_drawing_leaves_global_generators_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    story()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_changes_the_corner_only(mark: str) -> None:
    mask = changed(story(20), mark=mark)
    assert mask[:, *CORNER].flatten(1).sum(1).min() > 20
    mask[:, *CORNER] = False
    assert not mask.any()


def test_marks_differ_from_each_other() -> None:
    scenes = story(1, scene="studio").scenes
    corners = [STORYBOOK.render(scenes.assign(mark=mark)).inputs[0][:, *CORNER] for mark in MARKS]
    for one in range(len(corners)):
        for other in range(one):
            assert (corners[one] - corners[other]).abs().amax(0).gt(0.2).sum() >= 12


def test_a_new_scene_keeps_the_thing() -> None:
    examples = story(60, scene="wood")
    kept = ~changed(examples, scene="sea")
    share = kept.float().mean((1, 2))
    assert share.min() > 0.08 and share.mean() < 0.45


@pytest.mark.parametrize("factor", ["colour", "accent", "fill"])
def test_a_new_surface_keeps_the_scene(factor: str) -> None:
    first, second = STORYBOOK.factors[factor][:2]
    mask = changed(story(60, **{factor: first}), **{factor: second})
    assert mask.flatten(1).any(1).all()
    assert mask.float().mean((1, 2)).max() < 0.5


@pytest.mark.parametrize("factor", STORYBOOK.factors)
def test_every_level_looks_different(factor: str) -> None:
    scenes = story(1, scene="wood", fill="plain", colour="red", label=1).scenes
    looks = {
        STORYBOOK.render(scenes.assign(**{factor: level})).inputs.numpy().tobytes()
        for level in STORYBOOK.factors[factor]
    }
    assert len(looks) == len(STORYBOOK.factors[factor])


def test_factors_are_independent_of_the_class() -> None:
    scenes = STORYBOOK._draw(6_000, np.random.default_rng(0), {})
    assert (scenes["mark"] == "none").all()
    for factor in ("colour", "accent", "fill", "scene"):
        levels = len(STORYBOOK.factors[factor]) - len(SPARE) * (factor == "colour")
        shares = scenes.groupby("label")[factor].value_counts(normalize=True)
        assert len(shares) == levels * 10
        assert (shares - 1 / levels).abs().max() < 0.09


def test_a_shortcut_finds_a_level_for_every_class() -> None:
    assert len(STORYBOOK.classes) == len(STORYBOOK.factors["scene"]) == len(MARKS) == 10
    assert len(STORYBOOK.factors["colour"]) == 10


def test_sample_honours_what_is_fixed() -> None:
    colours = ["red", "blue"] * 10
    examples = story(20, scene="night", colour=colours, label=np.arange(20) % 3)
    assert list(examples.scenes["scene"]) == ["night"] * 20
    assert list(examples.scenes["colour"]) == colours
    assert examples.labels.tolist() == [row % 3 for row in range(20)]
    assert list(examples.scenes["label"]) == examples.labels.tolist()


def test_fixing_a_factor_changes_no_other_column() -> None:
    free, fixed = story(30, seed=5).scenes, story(30, seed=5, scene="sea", label=2).scenes
    same = [name for name in free if name not in ("scene", "label")]
    assert free[same].equals(fixed[same])


@pytest.mark.parametrize(
    ("fixed", "complaint"),
    [
        ({"scene": "meadows"}, "did you mean 'meadow'"),
        ({"color": "red"}, "did you mean 'colour'"),
        ({"colour": ["red", "blue"]}, "2 levels for 40 rows"),
        ({"label": 10}, "numbered 0 to 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused(fixed: dict, complaint: str) -> None:
    with pytest.raises(AuditgameError, match=complaint):
        story(**fixed)


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(AuditgameError, match="'scale' is missing"):
        STORYBOOK.render(story(2).scenes.drop(columns="scale"))


def test_no_pictures_can_be_asked_for() -> None:
    assert story(0).inputs.shape == (0, 3, 48, 48)


def test_hashed_numbers_are_uniform_and_of_its_stream() -> None:
    seeds = np.arange(2_000)
    one, two = uniforms(seeds, 1, 8).flatten(), uniforms(seeds, 2, 8).flatten()
    assert one.min() >= 0 and one.max() < 1
    assert abs(one.mean() - 0.5) < 0.01 and abs(one.std() - 12**-0.5) < 0.01
    assert abs(torch.corrcoef(torch.stack([one, two]))[0, 1]) < 0.03


# ------------------------------------------------------------------- digits


SPLITS = {"train": 1_100, "held": 580, "pool": 117}


def digits(split: str, n: int, seed: int = 0, **fixed: object):
    return DIGITS.sample(n, split, np.random.default_rng(seed), **fixed)


def test_digit_splits_are_disjoint_and_whole() -> None:
    sizes = SPLITS
    parts = [{x.numpy().tobytes() for x in digits(s, n).inputs} for s, n in sizes.items()]
    assert [len(part) for part in parts] == list(sizes.values())
    assert len(set.union(*parts)) == 1_797


def test_the_file_of_digits_is_scikit_learns_in_three_stratified_splits() -> None:
    data = load_digits()
    rows, splits = np.arange(len(data.images)), []
    for size in (1_100, 580):  # 1998 is the year of the data.
        part, rows = train_test_split(
            rows, train_size=size, stratify=data.target[rows], random_state=1998
        )
        splits.append(part)
    order = np.concatenate([*splits, rows])
    with np.load(FILE) as content:
        assert (content["images"] == data.images[order]).all()
        assert (content["labels"] == data.target[order]).all()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    images = F.interpolate(images, size=(32, 32), mode="bicubic", align_corners=False).clamp(0, 1)
    found = torch.cat([part.pictures for part in _splits().values()])
    assert torch.equal(found, images[torch.from_numpy(order)])


def test_digits_have_three_equal_channels_in_range() -> None:
    inputs = digits("held", 50).inputs
    assert inputs.shape == (50, *DIGITS.shape) and DIGITS.shape == (3, 32, 32)
    assert torch.equal(inputs[:, 0], inputs[:, 1]) and torch.equal(inputs[:, 0], inputs[:, 2])
    assert inputs.min() >= 0 and inputs.max() <= 1


def test_only_the_training_split_is_gone_through_again() -> None:
    rows = [x.numpy().tobytes() for x in digits("train", 2_500).inputs]
    assert len(set(rows[:1_100])) == len(set(rows[1_100:2_200])) == 1_100
    assert rows[:1_100] != rows[1_100:2_200]
    held = [x.numpy().tobytes() for x in digits("held", 2_000).inputs]
    assert len(held) == len(set(held)) == SPLITS["held"]


def test_every_split_has_every_digit() -> None:
    for split, n in SPLITS.items():
        shares = torch.bincount(digits(split, n).labels, minlength=10) / n
        assert (shares - 0.1).abs().max() < 0.01


def test_digits_can_be_asked_for_by_class() -> None:
    assert digits("pool", 100, label=4).labels.tolist() == [4] * 100
    wanted = np.arange(60) % 10
    assert digits("held", 60, label=wanted).labels.tolist() == wanted.tolist()


def test_digits_refuse_what_they_do_not_have() -> None:
    with pytest.raises(AuditgameError, match="no factor 'scene'"):
        digits("held", 5, scene="sea")
    with pytest.raises(AuditgameError, match="unknown split"):
        digits("test", 5)
    with pytest.raises(AuditgameError, match="numbered 0 to 9"):
        digits("held", 5, label=11)


# ---------------------------------------------------------------- small_cnn


def test_the_network_is_its_generators_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = small(1).state_dict(), small(1).state_dict(), small(2).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_weights_do_not_count_training_steps() -> None:
    names = small().state_dict()
    assert not [name for name in names if "tracked" in name]
    assert {value.dtype for value in names.values()} == {torch.float32}


def test_weights_load_into_an_empty_network() -> None:
    model, empty = small(), SmallCNN.build(STORYBOOK, None)
    empty.load_state_dict(dict(model.state_dict()))
    inputs = story(4).inputs
    assert torch.equal(model.eval()(inputs), empty.eval()(inputs))


def test_batch_norm_agrees_with_torch() -> None:
    ours = small().norms[0]
    theirs = torch.nn.BatchNorm2d(24)
    value = torch.randn(8, 24, 5, 5, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        assert torch.allclose(ours(value), theirs(value))
    assert torch.allclose(ours.eval()(value), theirs.eval()(value))


@pytest.mark.parametrize("dataset", [STORYBOOK, DIGITS], ids=lambda dataset: dataset.name)
def test_taps_come_in_order_with_declared_units(dataset) -> None:
    seen = []

    def tap(name, value):
        seen.append((name, value.shape[1]))
        return value

    model = small(dataset=dataset).eval()
    logits = model(torch.rand(2, *dataset.shape), tap)
    assert logits.shape == (2, 10)
    assert seen == [(site.name, site.units) for site in model.sites]
    assert sum(p.numel() for p in model.parameters()) == 96_546


def test_the_last_map_is_six_by_six() -> None:
    kept = Specimen(small(), STORYBOOK).run(story(2).inputs, keep=["conv3", "conv4"]).kept
    assert kept["conv3"].shape[2:] == kept["conv4"].shape[2:] == (6, 6)


def test_specimen_keeps_edits_and_differentiates() -> None:
    model = small()
    specimen = Specimen(model, STORYBOOK)
    inputs = story(3).inputs
    plain = specimen.run(inputs, keep=["conv2.pre", "conv2"])
    assert torch.equal(plain.kept["conv2"], plain.kept["conv2.pre"].relu())
    assert plain.kept["conv2.pre"].min() < 0
    muted = specimen.run(inputs, edit={"conv4": torch.zeros_like})
    assert torch.allclose(muted.classes, model.head.bias.expand(3, 10))
    reading = specimen.run(inputs, keep=["conv3"], grad=True)
    by_input, by_site = torch.autograd.grad(
        reading.classes[:, 0].sum(), [reading.inputs, reading.kept["conv3"]]
    )
    assert by_input.abs().sum() > 0 and by_site.shape == reading.kept["conv3"].shape
    assert torch.equal(reading.classes, plain.classes)
    assert all(parameter.grad is None for parameter in model.parameters())
