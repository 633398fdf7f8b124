"""Building packs: resumed where they were left off, secret where they are secret."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_start_method
from pathlib import Path

import pytest
from conftest import House, furnish, recipe, settle
from typer.testing import CliRunner

from auditgame import bundles, host, paths
from auditgame.bundles.case_names import case_id, case_title
from auditgame.bundles.keys import PUBLISHED, Key
from auditgame.challenges import pack_build
from auditgame.challenges.build import BuildFailed
from auditgame.challenges.pack_build import MOST_FAILURES, PackDraw, build_pack, draw_file
from auditgame.challenges.pack_files import ReadyPlan, read_plan
from auditgame.challenges.recipe_files import write_recipe
from auditgame.challenges.sealing import FILE_TIME
from auditgame.cli import app
from auditgame.datasets.digits import Digits
from auditgame.flaws.clean import Clean
from auditgame.flaws.patch import Patch
from auditgame.play import referee, verification
from auditgame.registry import names
from auditgame.schema.errors import Conflict, Invalid, Unavailable
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Certificate, Check
from auditgame.seeds import Seed

BOTH = recipe("patch", families={"patch": 1.0, "clean": 1.0}, offers=())
TUTORIAL = recipe("patch", name="first-steps", title="First steps", tier="tutorial")
PLAN = """
name: trial
size: 4
innocents: [0.5, 0.5]
groups:
  - {recipes: [digits-test], count: 4}
fixed:
  - {recipe: first-steps, seed: 1}
"""
FAILED = Certificate(checks=(Check(name="patch", value=0.1, bound=0.9, rule="at least"),))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two recipes and the reference models of digits."""
    home = furnish(tmp_path / "home", "digits", "small_cnn")
    settle(monkeypatch, home)
    for one in (BOTH, TUTORIAL):
        path = home / "challenges" / "recipes" / f"{one.name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(write_recipe(one))
    return home


class Workshop:
    """A stand-in for `build` that only makes a folder; it fails as often as it is told to."""

    def __init__(self) -> None:
        self.built: list[tuple[str, Seed]] = []
        self.failures: Iterator[bool] = iter(())
        self.stop_after = 99
        self.refused = ""

    def __call__(self, asked: Recipe, seed: Seed, out: Path, *, microscope: bool) -> Path:
        if len(self.built) == self.stop_after:
            raise KeyboardInterrupt
        if asked.name == self.refused or next(self.failures, False):
            raise BuildFailed("patch: not certified", FAILED)
        folder = out / case_id(asked, seed)
        folder.mkdir(parents=True)
        (folder / bundles.MANIFEST).write_text("{}")
        self.built.append((case_title(asked, seed), seed))
        return folder


@pytest.fixture
def workshop(home: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Builds of packs are made here."""
    stand_in = Workshop()
    monkeypatch.setattr(pack_build, "build", stand_in)
    return stand_in


def ready(text: str = PLAN) -> ReadyPlan:
    known = {BOTH.name: BOTH, TUTORIAL.name: TUTORIAL}
    return read_plan(text, known.__getitem__)


def kept(out: Path) -> PackDraw:
    path = host.secrets_folder() / draw_file("trial", out)
    return PackDraw.model_validate_json(path.read_bytes())


# ------------------------------------------------------------------ with a stand-in for builds


def test_a_pack_is_built_whole(workshop: Workshop, tmp_path: Path) -> None:
    made = build_pack(ready(), tmp_path / "pack")
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == made
    assert len(made) == len(set(made)) == 5
    titles = [title for title, _ in workshop.built]
    assert len(set(titles)) == 5 and "First steps" in titles


def test_a_pack_goes_on_where_it_was_left_off(workshop: Workshop, tmp_path: Path) -> None:
    workshop.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        build_pack(ready(), tmp_path / "pack")
    before, workshop.stop_after = kept(tmp_path / "pack"), 99
    heard: list[str] = []
    build_pack(ready(), tmp_path / "pack", tell=heard.append)
    assert heard[0] == "2 of 5 cases are there" and heard[-1].startswith("5 of 5 cases are there")
    assert kept(tmp_path / "pack") == before and len(workshop.built) == 5
    build_pack(ready(), tmp_path / "pack")
    assert len(workshop.built) == 5, "what is there is not built again"


def test_the_draw_is_a_secret_of_the_host(workshop: Workshop, tmp_path: Path) -> None:
    build_pack(ready(), tmp_path / "pack")
    path = host.secrets_folder() / draw_file("trial", tmp_path / "pack")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.parent == paths.record()
    assert not [
        p for p in (tmp_path / "pack").rglob("*") if p.is_file() and p.name != "bundle.json"
    ]
    build_pack(ready(), tmp_path / "another")
    assert kept(tmp_path / "another").seed != kept(tmp_path / "pack").seed


def test_what_fails_its_certificate_is_drawn_anew(workshop: Workshop, tmp_path: Path) -> None:
    workshop.failures = iter([False, True, True, False, True])
    heard: list[str] = []
    plan = ready(PLAN.split("fixed")[0])  # A fixed case that fails ends the build.
    made = build_pack(plan, tmp_path / "pack", tell=heard.append)
    draw = kept(tmp_path / "pack")
    assert len(made) == 4 and sum(map(len, draw.failed.values())) == 3
    assert all(draw.used[number] not in failed for number, failed in draw.failed.items())
    told = " ".join(heard)
    assert told.count("a draw was not certified") == 3
    assert not any(word in told for word in (*names("flaw"), BOTH.name, TUTORIAL.name))


def test_a_case_that_never_comes_off_ends_the_build(workshop: Workshop, tmp_path: Path) -> None:
    plan = ready(PLAN.split("fixed")[0])
    workshop.failures = iter([True] * 99)
    with pytest.raises(Unavailable, match=f"{MOST_FAILURES} draws of one case were not certified"):
        build_pack(plan, tmp_path / "pack")


def test_a_tutorial_that_fails_is_named(workshop: Workshop, tmp_path: Path) -> None:
    workshop.refused = TUTORIAL.name
    with pytest.raises(Invalid, match="fixed: 'first-steps': its seed is not certified; name ano"):
        build_pack(ready(), tmp_path / "pack")


@pytest.mark.skipif(get_start_method() != "fork", reason="the stand-in needs a fork")
def test_several_processes_build_the_same(workshop: Workshop, tmp_path: Path) -> None:
    made = build_pack(ready(), tmp_path / "pack", jobs=2)
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == made
    assert len(made) == 5 and workshop.built == []


def test_cases_are_built_in_an_order_of_their_own(workshop: Workshop, tmp_path: Path) -> None:
    orders = set()
    for number in range(12):
        workshop.built.clear()
        build_pack(ready(), tmp_path / str(number))
        draw = kept(tmp_path / str(number))
        seeds = [seed.hex() for _, seed in workshop.built]
        root = Seed.from_hex(draw.seed)
        numbered = [root.child(f"case {n}").child(f"draw {draw.used[n]}").hex() for n in range(4)]
        orders.add(tuple(seeds.index(one) for one in numbered))
    assert len(orders) > 6


def test_titles_are_unique_in_a_pack(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditgame.bundles.case_names.ADJECTIVES", ("calm", "bold"))
    monkeypatch.setattr("auditgame.bundles.case_names.NOUNS", ("brook", "pier"))
    build_pack(ready(), tmp_path / "pack")
    drawn = {"Calm brook", "Calm pier", "Bold brook", "Bold pier", "First steps"}
    assert {title for title, _ in workshop.built} == drawn


def test_a_folder_with_other_challenges_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "pack" / "digits-00000000"
    other.mkdir(parents=True)
    (other / bundles.MANIFEST).write_text("{}")
    with pytest.raises(Conflict, match=r"holds 1 challenges that are not of this pack.*name anoth"):
        build_pack(ready(), tmp_path / "pack")
    assert workshop.built == []


def test_a_plan_that_was_changed_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    build_pack(ready(), tmp_path / "pack")
    with pytest.raises(Conflict, match=r"was changed since the pack .* was drawn; undo that"):
        build_pack(ready(PLAN.replace("seed: 1", "seed: 2")), tmp_path / "pack")


def test_a_damaged_draw_is_not_replaced(workshop: Workshop, tmp_path: Path) -> None:
    build_pack(ready(), tmp_path / "pack")
    host.replace_secret(draw_file("trial", tmp_path / "pack"), b'{"plan": 1}')
    with pytest.raises(Unavailable, match=r"host secret .*pack-trial.*damaged; restore it"):
        build_pack(ready(), tmp_path / "pack")


def test_a_secret_that_cannot_be_written_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a file").write_text("")
    monkeypatch.setenv("AUDITGAME_DATABASE_URL", f"sqlite:///{home / 'a file' / 'x.sqlite3'}")
    with pytest.raises(Unavailable, match=r"host secret .*make its folder writable"):
        host.replace_secret("pack-x.json", b"{}")


# ------------------------------------------------------------------------------ real bundles


@pytest.fixture
def quick(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home, where builds are short and every certificate passes."""
    training = replace(Digits.training, rows=96, epochs=1, tune_rows=96)
    monkeypatch.setattr(Digits, "training", training)
    monkeypatch.setattr(Patch, "verify", lambda self, bench: [])
    monkeypatch.setattr(Clean, "verify", lambda self, bench: [])
    monkeypatch.setattr("auditgame.challenges.build.find_mechanism", lambda *args: ("conv3:1",))
    return home


def shape(folder: Path) -> dict[str, object]:
    """What is public of a bundle, without what must differ: its id, title and digests."""
    own = {"id", "title", "recipe", "commitment", "files"}
    manifest = bundles.read_manifest(folder)
    rows = json.loads((folder / bundles.LABELS).read_text())["labels"]
    return manifest.model_dump(exclude=own) | {
        "names of files": sorted(manifest.files),
        "brief": (folder / bundles.BRIEF).read_bytes(),
        "weights": (folder / bundles.WEIGHTS).stat().st_size,
        "key": (folder / bundles.SEALED).stat().st_size,
        "examples": len(rows),
        "mode of files": {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()},
    }


def test_no_public_field_differs_by_truth(quick: Path) -> None:
    out = quick / "pack"
    ids = build_pack(ready(PLAN.split("fixed")[0]), out, published=True, microscope=False)
    keys: list[Key] = [referee.open_key(out / id) for id in ids]
    assert sorted(key.claim is None for key in keys) == [False, False, True, True]
    assert len({json.dumps(shape(out / id), default=str, sort_keys=True) for id in ids}) == 1
    paths_within = [path for id in ids for path in (out / id, *(out / id).iterdir())]
    assert {path.stat().st_mtime for path in paths_within} == {FILE_TIME}
    for id, key in zip(ids, keys, strict=True):
        manifest = bundles.read_manifest(out / id)
        assert manifest.recipe == key.recipe_commitment and manifest.title == key.title
        assert manifest.title != key.recipe.title
        verification.require_own_recipe(manifest, key, referee.set_up(out / id, manifest))
        assert verification.rebuilt_flaw(key).name == key.family
    assert len({bundles.read_manifest(out / id).recipe for id in ids}) == 4
    assert len({bundles.read_manifest(out / id).title for id in ids}) == 4


def test_certified_cases_of_one_recipe_look_alike(house: House) -> None:
    assert shape(house.flawed) == shape(house.innocent)


def test_the_command_draws_and_builds_a_pack(quick: Path) -> None:
    plan = quick / "trial.yaml"
    plan.write_text(PLAN.replace("size: 4", "size: 2").replace("count: 4", "count: 2"))
    words = ["pack", str(plan), "--out", str(quick / "pack"), "--publish-key", "--no-microscope"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert len(told["challenges"]) == 3 and (quick / "pack" / PUBLISHED).is_file()
    assert "3 of 3 cases are there" in done.stderr
    shown = CliRunner().invoke(app, ["pack", str(plan), "--check", "--json"])
    assert json.loads(shown.stdout)["innocents"] == {"least": 1, "most": 1}
    assert json.loads(shown.stdout)["groups"][0]["families"] == ["patch"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{plan}"], "--out: name the folder of the pack"),
        (["{plan}", "--out", "{plan}"], "--out: name the folder of the pack"),
        (["{home}/none.yaml", "--check"], "no such file"),
        (["{wrong}", "--check"], r"wrong.yaml: line 1: field 'size': is missing"),
    ],
)
def test_the_command_says_what_is_wrong(home: Path, words: list[str], reason: str) -> None:
    (home / "plan.yaml").write_text(PLAN)
    (home / "wrong.yaml").write_text("name: x\n")
    places = {"plan": home / "plan.yaml", "wrong": home / "wrong.yaml", "home": home}
    done = CliRunner().invoke(app, ["pack", *[word.format(**places) for word in words]])
    assert done.exit_code in (2, 3) and reason in done.stderr
    assert done.stderr.count("\n") == 1
