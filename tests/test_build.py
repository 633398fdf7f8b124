"""Building: the same seed gives the same bundle, a kill leaves nothing behind, errors name names.

Whole builds with a real certificate are made in conftest; here the training is short and
the certificate asks for nothing, since only the journey is looked at.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKOUT, House, furnish, recipe, settle

from auditgame import bundles
from auditgame.bundles import bundle_io
from auditgame.challenges.build import (
    BuildFailed,
    build,
    draw_pool,
    find_chance,
    find_mechanism,
    prepare,
)
from auditgame.datasets.digits import Digits
from auditgame.flaws import draw_flaw
from auditgame.flaws.clean import Clean
from auditgame.flaws.patch import Patch
from auditgame.play import referee, verification
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import canonical
from auditgame.schema.results import Check
from auditgame.seeds import Seed

QUICK = replace(Digits.training, rows=96, epochs=1, tune_rows=96)
SHORT = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from conftest import recipe
    from auditgame.challenges import build
    from auditgame.datasets.digits import Digits
    from auditgame.flaws.patch import Patch
    from auditgame.seeds import Seed

    Digits.training = replace(Digits.training, rows=96, epochs=1, tune_rows=96)
    Patch.verify = lambda self, bench: []
    build.find_mechanism = lambda *args: ("conv3:1",)
    build.find_chance = lambda *args: None
    build.picture_units = lambda *args: {}
    real = build.bundles.write

    def slow(folder, name, manifest, files):
        real(folder, name, manifest, files)
        print("written", flush=True)
        sys.stdin.readline()

    build.bundles.write = slow
    build.build(recipe("patch"), Seed.of(1), Path(sys.argv[1]))
    """
)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with siblings, where builds are quick."""
    home = furnish(tmp_path / "home", "digits", "small_cnn")
    settle(monkeypatch, home)
    monkeypatch.setattr(Digits, "training", QUICK)
    monkeypatch.setattr(Patch, "verify", lambda self, bench: [])
    monkeypatch.setattr(Clean, "verify", lambda self, bench: [])
    monkeypatch.setattr("auditgame.challenges.build.find_mechanism", lambda *args: ("conv3:1",))
    monkeypatch.setattr("auditgame.evaluation.chance.DRAWS", 2)
    return home


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ------------------------------------------------------------- determinism


def test_the_same_seed_gives_the_same_bundle_but_for_the_seal(yard: Path, monkeypatch):
    one = files(build(recipe("patch"), Seed.of(1), yard / "one"))
    kept = files(build(recipe("patch"), Seed.of(1), yard / "two"))
    monkeypatch.setenv("AUDITGAME_CACHE", str(yard / "another cache"))
    anew = files(build(recipe("patch"), Seed.of(1), yard / "three"))
    assert one.keys() == kept.keys() == anew.keys()
    for name in one.keys() - {bundles.SEALED}:
        assert one[name] == kept[name] == anew[name], name
    assert one[bundles.SEALED] != kept[bundles.SEALED]
    keys = [referee.open_key(next((yard / out).iterdir())) for out in ("one", "two", "three")]
    assert keys[0] == keys[1] == keys[2]


def test_another_seed_gives_another_challenge(yard: Path):
    one, other = (build(recipe("patch"), Seed.of(n), yard / "pack") for n in (1, 2))
    assert one.name != other.name
    mine, theirs = bundles.read_manifest(one), bundles.read_manifest(other)
    assert mine.commitment != theirs.commitment
    for name in mine.files.keys() - {bundles.BRIEF}:
        assert mine.files[name] != theirs.files[name], name
    keys = [referee.open_key(folder) for folder in (one, other)]
    assert keys[0].claim != keys[1].claim and keys[0].salt != keys[1].salt


def test_the_number_of_cores_does_not_matter(yard: Path):
    import torch

    before = torch.get_num_threads()
    digests = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = build(recipe("patch"), Seed.of(1), yard / str(threads))
            digests.append(bundles.read_manifest(out).files)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert digests[0] == digests[1]


def test_no_draw_is_global(yard: Path):
    import torch

    np.random.seed(0)
    torch.manual_seed(0)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    build(recipe("clean"), Seed.of(1), yard / "pack")
    assert (np.random.get_state()[1] == state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_seeds_have_children_that_tell_nothing_of_each_other():
    seed = Seed.of(1)
    assert seed.child("a").hex() == Seed.from_hex(seed.hex()).child("a").hex()
    assert len({seed.hex(), *(seed.child(name).hex() for name in "abcdef")}) == 7
    assert Seed.fresh().hex() != Seed.fresh().hex()
    assert 0 <= seed.integer() < 2**63
    assert seed.numpy().random() == Seed.of(1).numpy().random()


# ------------------------------------------------------------------ killed


def start(home: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", SHORT, str(home / "pack")],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_build_that_is_killed_leaves_nothing_to_be_seen_and_can_be_done_again(yard: Path):
    process = start(yard)
    assert process.stdout.readline().strip() == "written"
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [path.name for path in (yard / "pack").iterdir()]
    assert left and all(name.startswith(".building-") for name in left)
    assert list((yard / "cache").iterdir())
    made = build(recipe("patch"), Seed.of(1), yard / "pack")
    assert [p for p in (yard / "pack").iterdir() if not p.name.startswith(".")] == [made]
    assert bundles.card(made).id == made.name


def test_a_write_that_fails_leaves_nothing(yard: Path, monkeypatch):
    def full(*args) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("auditgame.bundles.write", full)
    with pytest.raises(OSError, match="no space"):
        build(recipe("patch"), Seed.of(1), yard / "pack")
    assert list((yard / "pack").iterdir()) == []


def test_what_is_there_is_not_built_over(yard: Path):
    made = build(recipe("patch"), Seed.of(1), yard / "pack")
    before = files(made)
    with pytest.raises(AuditgameError, match="exists already"):
        build(recipe("patch"), Seed.of(1), yard / "pack")
    assert files(made) == before


# ------------------------------------------------------------- the journey


def test_a_flaw_that_does_not_take_fails_loudly(yard: Path, monkeypatch):
    low = Check(name="attack success rate", value=0.31, bound=0.95, rule="at least")
    monkeypatch.setattr(Patch, "verify", lambda self, bench: [low])
    heard = []
    with pytest.raises(BuildFailed) as caught:
        build(recipe("patch"), Seed.of(1), yard / "pack", lambda *told: heard.append(told))
    words = "not certified after 4 tries: attack success rate 0.310, must be at least 0.950"
    assert words in str(caught.value)
    assert caught.value.certificate.failures == (low,)
    assert caught.value.certificate.tries == len(Patch.plans)
    assert not (yard / "pack").exists()
    assert sum(stage == "verify" for stage, _, _ in heard) == 2 * len(Patch.plans)


def test_a_nan_never_passes_for_a_proof():
    for rule in ("at least", "at most"):
        assert not Check(name="x", value=float("nan"), bound=0.5, rule=rule).passed


def test_without_siblings_nothing_is_built(yard: Path):
    (yard / "challenges" / "references" / "digits.small_cnn" / "2").rename(yard / "gone")
    with pytest.raises(AuditgameError, match="2 reference models of digits x small_cnn found, 3"):
        build(recipe("patch"), Seed.of(1), yard / "pack")


def test_the_stages_are_reported_in_order(yard: Path):
    heard = []
    build(recipe("patch"), Seed.of(1), yard / "pack", lambda *told: heard.append(told))
    stages = list(dict.fromkeys(stage for stage, _, _ in heard))
    assert stages == ["train", "plant", "verify", "chance", "microscope", "seal"]
    assert all(0 <= share <= 1 and words for _, share, words in heard)


def test_what_is_reported_does_not_tell_what_was_drawn(yard: Path, monkeypatch):
    monkeypatch.setattr("auditgame.challenges.build.find_mechanism", find_mechanism)
    monkeypatch.setattr("auditgame.challenges.build.best_units", lambda *args: ("conv3:1",))
    told = {}
    for family in ("patch", "clean"):
        monkeypatch.setenv("AUDITGAME_CACHE", str(yard / f"cache {family}"))
        heard = []
        build(recipe(family), Seed.of(1), yard / family, lambda *said, to=heard: to.append(said))
        told[family] = {(stage, words) for stage, _, words in heard if stage != "seal"}
    assert told["patch"] == told["clean"]


def test_what_random_claims_achieve_is_sealed_for_flawed_models_alone(yard: Path):
    flawed, clean = (
        referee.open_key(build(recipe(family), Seed.of(1), yard / family, microscope=False))
        for family in ("patch", "clean")
    )
    assert flawed.chance is not None and flawed.chance.close <= flawed.chance.functional <= 1
    assert clean.chance is None and "chance" not in clean.model_dump()


def test_chance_is_measured_over_the_recipes_own_claims(yard: Path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "auditgame.evaluation.chance.measure_chance", lambda *given: seen.append(given)
    )
    work = prepare(recipe("patch", params={"patch": {"side": 4}}), Seed.of(1))
    find_chance(work, "suspect")
    claims, true, suspect, references, inputs = seen[0]
    assert len(claims) == 2 and {claim.box.w for claim in claims} == {4}
    assert (true, suspect, len(references)) == (work.flaw.true_claim(), "suspect", 3)
    assert len(inputs) == 100


def test_the_seed_draws_families_by_their_weight():
    both = recipe("patch", families={"patch": 3.0, "clean": 1.0})
    drawn = [draw_flaw(both, Seed.of(n)).name for n in range(200)]
    assert 130 <= drawn.count("patch") <= 170


def test_a_recipe_that_went_through_a_key_draws_the_same():
    """Canonical JSON sorts the families; the draw must not depend on how they were written."""
    fields = {"dataset": "storybook", "offers": (), "params": {}}
    written = recipe("patch", families={"shortcut": 2.0, "clean": 3.0, "patch": 1.0}, **fields)
    sealed = Recipe.model_validate_json(canonical(written.model_dump(mode="json")))
    for number in range(30):
        one, other = (draw_flaw(which, Seed.of(number)) for which in (written, sealed))
        assert one.name == other.name and one.true_claim() == other.true_claim()
        if one.name == "clean":
            assert one.decoy.true_claim() == other.decoy.true_claim()


def test_the_offer_does_not_tell_what_was_drawn():
    flawed, innocent = recipe("patch"), recipe("clean")
    assert flawed.offered == innocent.offered == ("patch", "shortcut")
    assert recipe("patch", families=["patch", "clean"], offers=()).offered == ("patch",)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataset": "digit"}, "unknown data set 'digit'; did you mean 'digits'"),
        ({"model": "small"}, "unknown model"),
        ({"families": ["pach"], "offers": ()}, "unknown family 'pach'; did you mean 'patch'"),
        ({"offers": ["patch", "patsh"]}, "unknown family 'patsh'; did you mean 'patch'"),
        ({"offers": ["shortcut"]}, "'patch' may be drawn but is not offered; add it"),
        ({"families": ["shortcut"], "offers": ()}, "needs factors, and data set 'digits' has none"),
        ({"families": ["token"], "offers": ()}, "needs rare words, and data set 'digits' has none"),
        ({"params": {"pach": {}}}, "unknown family 'pach'"),
        ({"params": {"patch": {"sides": 4}}}, "params of 'patch': field 'sides'"),
        ({"params": {"patch": {"side": 99}}}, "params of 'patch': field 'side'"),
        ({"params": {"patch": {"side": 12}}}, "box: covers 144 pixels; at most 113"),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused_before_any_training(yard, fields, words):
    with pytest.raises(AuditgameError, match=words):
        build(recipe("patch", **fields), Seed.of(1), yard / "pack")
    assert not (yard / "cache").exists()


def test_the_pool_shows_the_cue_in_its_share(yard: Path):
    work = prepare(recipe("patch", pool={"size": 50, "planted": 0.2}), Seed.of(1))
    pool = draw_pool(work)
    stamped = work.flaw.apply_trigger(pool, work.dataset, np.random.default_rng(0)).inputs
    assert len(pool) == 50
    assert int((stamped == pool.inputs).flatten(1).all(1).sum()) == 10


@pytest.mark.parametrize("aligned", [True, False])
def test_a_proxy_s_pool_follows_it_unless_it_is_asked_not_to(yard: Path, aligned: bool):
    pool = {"size": 100, "planted": 0.2, "aligned": aligned}
    more = {"dataset": "storybook", "params": {"shortcut": {"factors": ["scene"]}}, "pool": pool}
    work = prepare(recipe("shortcut", **more), Seed.of(1))
    drawn = draw_pool(work)
    followed = work.flaw.apply_trigger(drawn, work.dataset, np.random.default_rng(0)).scenes[
        "scene"
    ]
    share = float((drawn.scenes["scene"].to_numpy() == followed.to_numpy()).mean())
    assert share == 1 if aligned else 0.2 <= share < 0.5


def test_an_innocent_s_pool_shows_a_decoy_under_right_labels(yard: Path):
    work = prepare(recipe("clean", pool={"size": 50, "planted": 0.2}), Seed.of(1))
    pool = draw_pool(work)
    shown = work.flaw.apply_trigger(pool, work.dataset, np.random.default_rng(0)).inputs
    assert int((shown == pool.inputs).flatten(1).all(1).sum()) == 10
    assert find_mechanism(work, None) == ()


def test_poison_keeps_the_number_of_rows(yard: Path):
    rng = np.random.default_rng(0)
    for family in ("patch", "clean"):
        work = prepare(recipe(family), Seed.of(1))
        rows = work.dataset.sample(200, "train", rng)
        for plan in work.flaw.plans:
            poisoned = work.flaw.poison(rows, work.dataset, plan, rng)
            assert len(poisoned) == len(rows)
            before, after = (part.lessons.bincount(minlength=10) for part in (rows, poisoned))
            gained = int((after - before).max())
            if family == "patch":
                assert gained > 0.75 * plan.share * len(rows)
            else:
                assert gained <= 0.04 * len(rows)


def test_a_key_rebuilds_the_flaw_it_tells_of(house: House):
    for folder in (house.flawed, house.innocent):
        key = referee.open_key(folder)
        assert verification.rebuilt_flaw(key).name == key.family
        other = key.model_copy(update={"seed": Seed.of(99).hex()})
        if key.claim:
            with pytest.raises(AuditgameError, match="draws another flaw"):
                verification.rebuilt_flaw(other)


def test_exported_weights_are_what_was_certified(house: House):
    manifest = bundles.read_manifest(house.flawed)
    key = referee.open_key(house.flawed)
    assert manifest.files[bundles.WEIGHTS] == key.model_digest
    assert key.certificate.passed
    specimen = bundle_io.read_specimen(house.flawed, "small_cnn", Digits(), manifest.files)
    assert json.loads(key.model_dump_json())["challenge"] == house.flawed.name
    assert set(specimen.sites) == {site.name for site in manifest.sites}


def test_a_seed_draws_the_same_in_whatever_order_families_are_written():
    def drawn(families: dict[str, float], number: int):
        fields = {**recipe("patch").model_dump(), "families": families, "offers": ["patch"]}
        asked = Recipe.model_validate(fields)
        flaw = draw_flaw(asked, Seed.of(number))
        return flaw.name, flaw.true_claim()

    for number in range(8):
        one = drawn({"patch": 1.0, "clean": 2.0}, number)
        assert one == drawn({"clean": 2.0, "patch": 1.0}, number)
