"""The one door to a model: what it keeps, edits and differentiates, alone and in a crowd."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets.digits import Digits
from auditgame.datasets.reviews import Reviews
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

THREADS, CALLS = 8, 200
DIGITS, REVIEWS = Digits(), Reviews()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pictures() -> Specimen:
    return Specimen(load("model", "small_cnn").build(DIGITS, generator()), DIGITS)


@pytest.fixture(scope="module")
def texts() -> Specimen:
    return Specimen(load("model", "gpt2").build(REVIEWS, generator()), REVIEWS)


def some(specimen: Specimen, n: int = 4) -> Tensor:
    return specimen.dataset.sample(n, "held", np.random.default_rng(0)).inputs


# ----------------------------------------------------------------- one alone


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_every_site_is_kept_and_has_as_many_units_as_it_says(kind, request):
    specimen: Specimen = request.getfixturevalue(kind)
    inputs = some(specimen)
    reading = specimen.run(inputs, keep=specimen.sites)
    assert set(reading.kept) == set(specimen.sites)
    axis = {"channel": 1, "head": 2, "neuron": 2, "vector": 2, "pattern": 1}
    for name, site in specimen.sites.items():
        assert reading.kept[name].shape[axis[site.kind]] == site.units, name
        assert len(reading.kept[name]) == len(inputs)
    assert reading.classes.shape == (len(inputs), len(specimen.dataset.classes))


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_looking_changes_nothing(kind, request):
    specimen: Specimen = request.getfixturevalue(kind)
    inputs = some(specimen)
    plain, weights = specimen.run(inputs).classes, specimen.weights()
    random = torch.get_rng_state()
    site = list(specimen.sites)[-1]
    kept = specimen.run(inputs, keep=specimen.sites, grad=True)
    assert torch.allclose(kept.classes.detach(), plain, atol=1e-5)
    specimen.run(inputs, edit={site: torch.zeros_like})
    assert torch.equal(specimen.run(inputs).classes, plain)
    assert torch.equal(torch.get_rng_state(), random)
    after = specimen.weights()
    assert all(torch.equal(after[name], value) for name, value in weights.items())
    model = specimen._model
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_an_edit_is_what_later_rooms_see(pictures):
    inputs = some(pictures)
    edited = pictures.run(inputs, keep=["conv4"], edit={"conv4": torch.zeros_like})
    assert (edited.kept["conv4"] == 0).all()
    assert torch.equal(edited.classes, edited.classes[:1].expand_as(edited.classes))
    assert not torch.equal(edited.classes, pictures.run(inputs).classes)


def test_gradients_are_those_of_the_picture(pictures):
    inputs = some(pictures, 2)
    reading = pictures.run(inputs, grad=True)
    (gradient,) = torch.autograd.grad(reading.classes[:, 0].sum(), reading.inputs)
    step = torch.zeros_like(inputs)
    step[0, 1, 16, 16] = 1e-2
    high, low = pictures.run(inputs + step).classes, pictures.run(inputs - step).classes
    slope = float((high - low)[0, 0]) / 2e-2
    assert float(gradient[0, 1, 16, 16]) == pytest.approx(slope, abs=1e-2)
    assert not inputs.requires_grad


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_a_pass_can_end_where_nothing_more_is_asked(kind, request):
    specimen: Specimen = request.getfixturevalue(kind)
    inputs, (first, *_, last) = some(specimen), list(specimen.sites)
    beyond = {last: lambda value: pytest.fail("the pass went on")}
    short = specimen.run(inputs, keep=[first], edit=beyond, whole=False)
    assert torch.equal(short.kept[first], specimen.run(inputs, keep=[first]).kept[first])
    assert short.classes.shape == short.output.shape == (len(inputs), 0)
    assert len(specimen.run(inputs).classes) == len(inputs)


def test_gradients_of_a_text_are_those_of_its_embedding(texts):
    reading = texts.run(some(texts, 2), grad=True)
    (gradient,) = torch.autograd.grad(reading.classes[:, 0].sum(), reading.inputs)
    assert gradient.shape == reading.inputs.shape and gradient.abs().sum() > 0


def test_gradients_reach_a_kept_site(pictures):
    reading = pictures.run(some(pictures, 2), keep=["conv3"], grad=True)
    (gradient,) = torch.autograd.grad(reading.classes[:, 0].sum(), reading.kept["conv3"])
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("kind", "site"), [("pictures", "conv3.pre"), ("texts", "block1.mlp")])
def test_gradients_start_where_they_are_asked_for(kind, site, request):
    specimen: Specimen = request.getfixturevalue(kind)
    inputs = some(specimen)
    whole = specimen.run(inputs, keep=[site], grad=True)
    part = specimen.run(inputs, keep=["embed" if kind == "texts" else "conv1"], grad=site)
    (expected,) = torch.autograd.grad(whole.classes[:, 1].sum(), whole.kept[site])
    (found,) = torch.autograd.grad(part.classes[:, 1].sum(), part.inputs)
    assert torch.equal(found, expected) and (found != 0).any()
    assert not any(value.requires_grad for value in part.kept.values())


def test_gradients_from_nowhere_are_refused(pictures):
    with pytest.raises(AuditgameError, match="did you mean 'conv3'"):
        pictures.run(some(pictures), grad="conv33")


def test_without_grad_nothing_is_recorded(pictures):
    reading = pictures.run(some(pictures), keep=["conv1"])
    assert not reading.classes.requires_grad and not reading.kept["conv1"].requires_grad


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_batches_make_no_difference(kind, request):
    specimen: Specimen = request.getfixturevalue(kind)
    inputs = some(specimen, 10)
    whole = specimen.run(inputs).classes
    torch.testing.assert_close(specimen.classify(inputs, batch=3), whole, atol=1e-5, rtol=1e-5)
    site = next(iter(specimen.sites))
    torch.testing.assert_close(
        specimen.collect(inputs, site, batch=3),
        specimen.run(inputs, keep=[site]).kept[site],
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_text_is_read_at_its_last_word(texts):
    inputs = some(texts, 3)
    longer = F.pad(inputs, (0, 4))[:, : texts.dataset.shape[0]]
    torch.testing.assert_close(texts.run(longer).classes, texts.run(inputs).classes)


def test_an_unknown_site_is_refused_with_a_suggestion(pictures):
    for ask in ({"keep": ["conv33"]}, {"edit": {"conv33": torch.zeros_like}}):
        with pytest.raises(AuditgameError, match="unknown site 'conv33'; did you mean 'conv3"):
            pictures.run(some(pictures), **ask)
    with pytest.raises(AuditgameError, match="site conv3 has units 0 to 63"):
        pictures.unit("conv3:64")
    with pytest.raises(AuditgameError, match="write SITE:INDEX"):
        pictures.unit("conv3")


def test_weights_are_a_copy(pictures):
    name, value = next(iter(pictures.weights().items()))
    value.zero_()
    assert pictures.weights()[name].abs().sum() > 0


def test_randomising_leaves_the_original_alone(pictures):
    inputs = some(pictures)
    before = pictures.run(inputs).classes
    one, same, all_of_it = (pictures.randomised(stages, generator(3)) for stages in (1, 1, None))
    assert torch.equal(pictures.run(inputs).classes, before)
    assert torch.equal(one.run(inputs).classes, same.run(inputs).classes)
    assert not torch.equal(one.run(inputs).classes, before)
    assert torch.equal(
        one.run(inputs, keep=["conv4"]).kept["conv4"],
        pictures.run(inputs, keep=["conv4"]).kept["conv4"],
    )
    changed = all_of_it.weights()
    for name, value in pictures.weights().items():
        assert torch.equal(changed[name], value) == (value.dim() < 2), name


def test_every_layer_is_redrawn_beside_tables_that_are_no_weights():
    model = load("model", "small_cnn").build(DIGITS, generator())
    model.register_buffer("table", torch.zeros(2, 2))
    found = Specimen(model, DIGITS)
    before, after = found.weights(), found.randomised(None, generator()).weights()
    assert not torch.equal(before["convs.0.weight"], after["convs.0.weight"])


# ---------------------------------------------------------------- in a crowd


def _plain(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    return specimen.run(inputs).classes


def _kept(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    return specimen.run(inputs, keep=[site]).kept[site]


def _doubled(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    return specimen.run(inputs, edit={site: lambda value: value * 2}).classes


def _silenced(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    return specimen.run(inputs, keep=[site], edit={site: torch.zeros_like}).classes


def _slope(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    reading = specimen.run(inputs, grad=True)
    return torch.autograd.grad(reading.classes[:, 0].sum(), reading.inputs)[0]


def _site_slope(specimen: Specimen, inputs: Tensor, site: str) -> Tensor:
    reading = specimen.run(inputs, keep=[site], grad=True)
    return torch.autograd.grad(reading.classes[:, 1].sum(), reading.kept[site])[0]


WAYS: list[Callable[[Specimen, Tensor, str], Tensor]] = [
    _plain,
    _kept,
    _doubled,
    _silenced,
    _slope,
    _site_slope,
]


def _errands(specimen: Specimen, number: int) -> list[tuple[Callable, Tensor, str]]:
    """What one thread does: another way, other inputs and another site at each call."""
    rng = np.random.default_rng(number)
    pool = some(specimen, 32)
    sites = list(specimen.sites)[:-1]  # A text's last stream feeds no later site.
    return [
        (
            WAYS[(number + call) % len(WAYS)],
            pool[torch.from_numpy(rng.integers(0, len(pool), 2))],
            sites[int(rng.integers(len(sites)))],
        )
        for call in range(CALLS)
    ]


def _run(specimen: Specimen, errands: list[tuple[Callable, Tensor, str]]) -> list[Tensor]:
    return [way(specimen, inputs, site) for way, inputs, site in errands]


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_threads_on_one_specimen_see_what_each_would_see_alone(kind, request):
    specimen: Specimen = request.getfixturevalue(kind)
    errands = [_errands(specimen, number) for number in range(THREADS)]
    start = threading.Barrier(THREADS)

    def play(number: int) -> list[Tensor]:
        torch.set_num_threads(1)
        start.wait()
        return _run(specimen, errands[number])

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [_run(specimen, mine) for mine in errands]
        with ThreadPoolExecutor(THREADS) as pool:
            together = list(pool.map(play, range(THREADS)))
    finally:
        torch.set_num_threads(before)
    wrong = sum(
        not torch.equal(one, other)
        for mine, theirs in zip(alone, together, strict=True)
        for one, other in zip(mine, theirs, strict=True)
    )
    assert wrong == 0
    assert sum(map(len, together)) == THREADS * CALLS
