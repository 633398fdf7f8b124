"""The practice pack, judged through the public door: what the truth and near-truths are worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auditgame import Diagnosis, Game, bundles, paths
from auditgame.bundles import bundle_io
from auditgame.play import referee
from auditgame.registry import load
from auditgame.schema.results import Score
from auditgame.tools.transformer.activation_patching import ActivationPatch, patched, values
from auditgame.tools.transformer.residual_stream import blocks

PACK = sorted(path.parent for path in paths.practice().glob(f"*/{bundles.MANIFEST}"))
FLAWED = [folder for folder in PACK if referee.reveal(folder).truth.claim is not None]

TOLD = "tutorial-relay"
"""The recipe whose brief tells how a year travels through the model."""


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Game:
    record = tmp_path_factory.mktemp("record")
    return Game(packs=[paths.practice()], database=f"sqlite:///{record / 'ledger.sqlite3'}")


def part(score: Score, name: str) -> float:
    """The share of the points that one part of a score got."""
    [found] = [c for c in score.components if c.name == name]
    return found.points / found.possible


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on a bundle alone is measured once for all that is handed in on it."""

    def once(function: Callable[..., Any], key: Callable[..., object]) -> Callable[..., Any]:
        known: dict[str, Any] = {}

        def remember(*given: Any) -> Any:
            name = repr(key(*given))
            if name not in known:
                known[name] = function(*given)
            return known[name]

        return remember

    keys = {
        "set_up": lambda folder, manifest: (folder, manifest),
        "effect": lambda claim, *rest: claim,
        "Ablation": lambda specimen, claim, inputs: (claim, len(inputs)),
    }
    for name, key in keys.items():
        monkeypatch.setattr(referee, name, once(getattr(referee, name), key))


@pytest.mark.slow
@pytest.mark.usefixtures("measured_once")
@pytest.mark.parametrize("folder", FLAWED, ids=lambda folder: folder.name)
def test_the_truth_is_worth_ninety_and_a_near_truth_little(folder: Path, game: Game) -> None:
    truth = referee.reveal(folder).truth
    assert game.submit(folder.name, "oracle", truth).score.points >= 90
    dataset = load("dataset", bundles.read_manifest(folder).dataset)()
    claim = load("flaw", truth.family).Claim.parse(truth.claim)
    misses = claim.near_misses(dataset, np.random.default_rng(0)).values()
    sayable = (miss for miss in misses if type(miss) is type(claim))
    miss = next(sayable, claim.random_alternative(dataset, np.random.default_rng(0)))
    said = truth.model_copy(update={"claim": miss.model_dump(mode="json"), "units": ()})
    assert part(game.submit(folder.name, "near", said).score, "trigger") < 0.5


def test_the_told_year_passes_through_the_full_stop_after_it():
    [folder] = [folder for folder in FLAWED if referee.open_key(folder).recipe.name == TOLD]
    key, manifest = referee.open_key(folder), bundles.read_manifest(folder)
    table = referee.set_up(folder, manifest)
    model, dataset = table.suspect, table.dataset
    claim = load("flaw", key.family).Claim.parse(key.claim)
    pool = bundle_io.read_examples(folder, dataset, manifest.files)
    applied = claim.apply(pool, dataset)
    answer = dataset.answers()[dataset.classes.index(claim.target)]
    rival = next(word for word in dataset.answers() if word != answer)
    sound = model.predict(pool.inputs) == pool.labels

    def gap(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, answer] - logits[:, rival]

    moved = []
    for row in (sound & (applied.targets >= 0)).nonzero()[:8, 0].tolist():
        early, late = (
            part.inputs[row, : dataset.lengths(part.inputs)[row]]
            for part in (pool, applied.examples)
        )
        [year] = (early != late).nonzero()[:, 0].tolist()
        stops = (early == dataset.words.index(".")).nonzero()[:, 0]
        stop, end = int(stops[stops > year][0]), len(early) - 1
        patches = [
            ActivationPatch("block0.residual", year),
            ActivationPatch("block1.residual", stop),
            ActivationPatch(f"{blocks(model)[-1]}.residual", end),
            ActivationPatch("embed", end),
        ]
        found = patched(model, early, values(model, late, patches), patches, gap, end)
        moved.append((found - found[3]) / (found[2] - found[3]))
    at_year, at_stop, _, _ = torch.stack(moved).mean(0).tolist()
    assert at_year > 0.8 and at_stop > 0.4


def test_bots_that_do_not_look_gain_nothing(game: Game) -> None:
    table = game.standings().set_index("player")
    for bot in ("empty", "always_clean", "coin"):
        assert table.loc[bot, "played"] == len(PACK)
        assert table.loc[bot, "points"] <= 0


def test_a_third_of_the_pack_is_innocent(game: Game) -> None:
    assert len(PACK) >= 12
    assert 3 * (len(PACK) - len(FLAWED)) >= len(PACK)
    assert game.submit(PACK[0].name, "nobody", Diagnosis()).score.points == 0


def test_the_examples_of_one_data_set_tell_the_same_factors():
    """Or the factors would tell which family was drawn."""
    told: dict[str, set[tuple[str, ...]]] = {}
    for folder in PACK:
        sheet = json.loads((folder / bundles.LABELS).read_text())
        told.setdefault(bundles.read_manifest(folder).dataset, set()).add(tuple(sheet["factors"]))
    assert {name: len(some) for name, some in told.items()} == dict.fromkeys(told, 1)
