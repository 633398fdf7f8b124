"""Steering and probes: on a model whose stream is known number by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rule_models import Counting, context, use
from torch import Tensor

from auditgame.datasets.reviews import Reviews
from auditgame.datasets.texts import grammar
from auditgame.evaluation.claim_parsing import fresh_inputs
from auditgame.exhibits.reading import find_all
from auditgame.models import Model, untouched
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.tools.probe import _accuracy, _control
from auditgame.tools.transformer.directions import at_answers, between, named_set

DATA = Reviews()


class Stream(Model):
    """The stream holds the feeling so far, whether a late year was named, and a fixed 1.

    The verdict is the feeling, and, where it listens, ten times the late year as well.
    """

    name = "stream"
    modality = "text"
    sites = (
        Site(name="embed", kind="vector", units=3),
        Site(name="block0.residual", kind="vector", units=3),
    )

    def __init__(self, listens: bool) -> None:
        super().__init__()
        self.listens, self.answers = listens, DATA.answers()
        said = [(w in grammar.POSITIVE) - (w in grammar.NEGATIVE) for w in DATA.words]
        late = [w.isdigit() and int(w) >= 1990 for w in DATA.words]
        self.register_buffer("table", torch.tensor([said, late, [1] * len(said)]).float().T)

    @classmethod
    def build(cls, dataset, rng):
        return cls(False)

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        here = tap("embed", self.table[inputs])
        feeling, late = here[..., 0].cumsum(1), here[..., 1].cumsum(1).clamp(max=1)
        stream = tap("block0.residual", torch.stack([feeling, late, here[..., 2]], 2))
        logits = torch.zeros(*inputs.shape, len(self.table))
        logits[..., self.answers[1]] = stream[..., 0] + 10 * self.listens * stream[..., 1] + 0.1
        return logits


def stream(listens: bool = False) -> Counting:
    return Counting(Stream(listens), DATA)


@pytest.fixture(scope="module")
def stuff():
    return context(DATA, 80, (stream(),))


def test_the_direction_is_the_difference_of_the_two_means(stuff):
    model, pool = stream(), stuff.examples
    rows = named_set("year>=1990", pool, DATA, "toward")
    assert rows == [i for i, year in enumerate(pool.scenes["year"]) if int(year) >= 1990]
    rest = [i for i in range(len(pool)) if i not in rows]
    found = at_answers(model, pool.inputs, ["block0.residual"], stuff)["block0.residual"]
    direction = between(found[rows], found[rest])
    assert float(direction.apart[1]) == pytest.approx(1.0)
    assert float(direction.apart[2]) == pytest.approx(0.0)
    feeling = found[rows, 0].mean() - found[rest, 0].mean()
    assert float(direction.apart[0]) == pytest.approx(float(feeling), abs=1e-5)
    assert float(direction.unit.norm()) == pytest.approx(1.0)


def test_sets_are_named_in_four_ways(stuff):
    pool = stuff.examples
    assert named_set("positive", pool, DATA, "x") == (pool.labels == 1).nonzero()[:, 0].tolist()
    assert named_set("3, 5-6", pool, DATA, "x") == [3, 5, 6]
    city = pool.scenes["city"][0]
    assert 0 in named_set(f"city = {city}", pool, DATA, "x")
    for said, words in (
        ("positve", "did you mean 'positive'"),
        ("yaer>=2000", "did you mean 'year'"),
        ("year>=late", "not a number"),
        ("city=nowhere", "no example"),
        ("500", "outside 0 to 79"),
    ):
        with pytest.raises(AuditgameError, match=words):
            named_set(said, pool, DATA, "x")


def test_steering_by_the_year_turns_only_the_model_that_listens(stuff):
    options = {"toward": "year>=1990", "site": "block0.residual", "strength": 1.0, "steps": 3}
    note, curve, table, *_ = use("steering", stream(listens=True), stuff, **options)
    mine, theirs = dict(curve.series["specimen"]), dict(curve.series["reference_1"])
    found = at_answers(stream(), stuff.examples.inputs, ["block0.residual"], stuff)
    late = found["block0.residual"][:, 1] == 1
    feeling = found["block0.residual"][:, 0]
    slope = float(feeling[late].mean() - feeling[~late].mean())
    assert mine[1.0] - mine[0.0] == pytest.approx(10 + slope, abs=1e-3)
    assert theirs[1.0] - theirs[0.0] == pytest.approx(slope, abs=1e-3)
    shares = {(row[0], row[1]): row[3] for row in table.rows}
    assert shares["specimen", 1.0] == 1.0 > shares["reference model 1", 1.0]
    assert "specimen" in note.text


def test_steering_shades_the_texts_that_lie_furthest_along_it(stuff):
    options = {"toward": "year>=1990", "site": "block0.residual", "steps": 2, "examples": "0-39"}
    shown = use("steering", stream(listens=True), stuff, **options)[3:]
    pool = stuff.examples.take(slice(40))
    late = np.array([int(year) >= 1990 for year in stuff.examples.scenes["year"]])
    means = at_answers(stream(), stuff.examples.inputs, ["block0.residual"], stuff)
    ends = means["block0.residual"].double()
    apart = ends[late].mean(0) - ends[~late].mean(0)
    values = stream().run(pool.inputs, keep=["block0.residual"]).kept["block0.residual"].double()
    found, there = values @ apart / (apart @ apart), DATA.present(pool.inputs)
    found -= found[there].mean()
    written = [DATA.decode(ids).split() for ids in pool.inputs]
    for name, sign in (("furthest_along", 1), ("furthest_against", -1)):
        scores = (sign * found).masked_fill(~there, -np.inf).amax(1)
        texts = find_all(shown, name)
        rows = [written.index(list(text.tokens)) for text in texts]
        best = scores.sort(descending=True).values[:3].tolist()
        assert scores[rows].tolist() == pytest.approx(best, abs=1e-4)
        for text, row in zip(texts, rows, strict=True):
            assert text.weights == pytest.approx(found[row][there[row]].tolist(), abs=1e-4)
            assert text.tokens[0] == DATA.words[int(pool.inputs[row, 0])]


def test_steering_between_two_written_texts_and_at_every_word(stuff):
    texts = {
        "toward": '"the tray was solid ! verdict :"',
        "away": '"the tray was awful ! verdict :"',
    }
    for places in ("answer", "all"):
        options = {"strength": 1.0, "steps": 2, "places": places, "site": "block0.residual"}
        _, curve, *_ = use("steering", stream(), stuff, **texts, **options)
        low, high = (y for _, y in curve.series["specimen"])
        assert high - low == pytest.approx(4.0, abs=1e-3)


def test_steering_refuses_a_site_that_is_no_stream(stuff):
    with pytest.raises(AuditgameError, match="did you mean"):
        use("steering", stream(), stuff, site="block0.residul")


def test_a_probe_reads_what_is_there_and_not_what_is_not(stuff):
    curve, table = use("probe", stream(), stuff, what="year>=1990", n=200)
    rows = {(row[0], row[1]): row for row in table.rows}
    assert rows["specimen", "block0.residual"][2] > 0.99
    assert rows["specimen", "embed"][2] == pytest.approx(0.5, abs=0.02)
    assert rows["specimen", "block0.residual"][4] > 0.2
    topic = stuff.examples.scenes["topic"][0]
    _, table = use("probe", stream(), stuff, what=f"topic={topic}", n=300)
    assert all(abs(row[2] - 0.5) < 0.2 for row in table.rows)
    assert set(curve.series) >= {"specimen", "specimen_control", "reference_1"}


def test_a_probe_that_learns_anything_is_shown_up_by_the_control():
    """Of a stream that names each level by itself, random labels of levels are read as well."""

    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 20, 400)
    values = np.eye(20)[kinds] + 0.01 * rng.normal(size=(400, 20))
    labels = _control([str(kind) for kind in kinds], (kinds < 10).astype(int), rng)
    assert 100 < labels.sum() < 300
    assert _accuracy(values, labels, 0) > 0.95
    assert abs(_accuracy(values, rng.integers(0, 2, 400), 0) - 0.5) < 0.12


def test_a_probe_needs_enough_texts_of_both_kinds(stuff):
    with pytest.raises(AuditgameError, match="at least 5 of each"):
        city = fresh_inputs(DATA, 40, 0).table["city"][0]
        use("probe", stream(), stuff, what=f"city={city}", n=40)
