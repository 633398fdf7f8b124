"""A bundle that was damaged, forged or swapped is refused, and told why."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import CHECKOUT, House
from PIL import Image

from auditgame import bundles
from auditgame.bundles import BRIEF, MANIFEST, SEALED, WEIGHTS, bundle_io, reference_models
from auditgame.bundles.bundle_io import LABELS, PICTURES
from auditgame.datasets.digits import Digits
from auditgame.evaluation import bounds
from auditgame.game import Game
from auditgame.play import referee, scoring, verification
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import canonical

DIGITS = Digits()


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_text())


def rewrite(folder: Path, **fields) -> None:
    """The manifest with these fields, as a forger would write it."""
    (folder / MANIFEST).write_bytes(canonical(manifest_of(folder) | fields))


def replace(folder: Path, name: str, content: bytes) -> None:
    """Another file under the same name, its digest brought up to date."""
    (folder / name).write_bytes(content)
    rewrite(folder, files=manifest_of(folder)["files"] | bundles.digests({name: content}))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(AuditgameError, match=words) as caught:
        verification.check_bundle(folder)
    assert "\n" not in str(caught.value)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load((folder / WEIGHTS).read_bytes())


def header(folder: Path) -> bytes:
    """Names, order, types, shapes and offsets of the tensors, as they stand in the file."""
    content = (folder / WEIGHTS).read_bytes()
    return content[: 8 + int.from_bytes(content[:8], "little")]


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, kind)
    return out.getvalue()


# ------------------------------------------------------------------- intact


def test_what_was_built_is_intact_and_measures_as_certified(house: House):
    """More near misses are asked for now than when the practice pack was certified."""
    for folder in (house.flawed, house.innocent):
        again = {check.name: check for check in verification.check_bundle(folder).checks}
        sealed = bounds.reworded(referee.open_key(folder).certificate)
        measured = [c for c in sealed.checks if not c.name.startswith(bounds.NEAR_MISS.name)]
        assert len(measured) > 2
        for check in measured:
            assert again[check.name] == check.model_copy(update={"bound": round(check.bound, 6)})


def practice() -> list[Path]:
    pack = CHECKOUT / "challenges" / "practice"
    return sorted(path.parent for path in pack.glob(f"*/{MANIFEST}"))


@pytest.mark.parametrize("folder", practice(), ids=lambda folder: folder.name)
def test_every_practice_case_holds_what_its_key_tells(folder: Path, monkeypatch):
    """The measured certificate takes longer: `auditgame check` measures it again."""
    fewer = scoring.WEIGHTS.model_copy(update={"judged_inputs": 10})
    monkeypatch.setattr(scoring, "WEIGHTS", fewer)
    manifest, key = bundles.read_manifest(folder), referee.open_key(folder)
    bundles.verify_files(folder, manifest.files, frozenset({MANIFEST, SEALED}))
    verification.require_own_model(folder, manifest, key)
    verification.require_own_recipe(manifest, key, referee.set_up(folder, manifest))
    assert verification.rebuilt_flaw(key).name == key.family
    assert key.certificate.passed and key.challenge == folder.name


def test_flawed_and_innocent_are_alike_from_outside(house: House):
    one, other = house.flawed, house.innocent
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    assert header(one) == header(other)
    assert (one / WEIGHTS).stat().st_size == (other / WEIGHTS).stat().st_size
    assert manifest_of(one).keys() == manifest_of(other).keys()
    for field in ("classes", "sites", "attempts", "mode", "modality", "version"):
        assert manifest_of(one)[field] == manifest_of(other)[field]


def test_every_file_is_listed_and_the_manifest_is_canonical(house: House):
    for folder in (house.flawed, house.innocent):
        listed = set(manifest_of(folder)["files"]) | {MANIFEST, SEALED}
        assert {path.name for path in folder.iterdir()} == listed
        assert (folder / MANIFEST).read_bytes() == canonical(manifest_of(folder)) + b"\n"


def test_siblings_are_what_they_say():
    for folder in reference_models.reference_folders("digits", "small_cnn"):
        assert verification.check_reference(folder).passed


def test_examples_survive_the_way_through_a_bundle():
    examples = DIGITS.sample(30, "pool", np.random.default_rng(0))
    files = bundle_io.pack_examples(examples, DIGITS)
    again = bundle_io._split_grid(files[PICTURES], DIGITS.shape, "here")[:30]
    assert (again - examples.inputs).abs().max() <= 0.5 / 255 + 1e-6


# ------------------------------------------------------------------ damaged


def flip(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, PICTURES, LABELS, BRIEF])
def test_a_flipped_bit_is_seen(copied: House, name: str):
    flip(copied.flawed, name)
    refused(copied.flawed, f"{name} was changed: its digest is not the manifest's")


@pytest.mark.parametrize("name", [WEIGHTS, PICTURES, LABELS, BRIEF])
def test_a_missing_file_is_named(copied: House, name: str):
    (copied.flawed / name).unlink()
    refused(copied.flawed, f"{name} is missing")


def test_a_missing_or_damaged_key_is_named(copied: House):
    flip(copied.flawed, SEALED)
    refused(copied.flawed, "key.sealed: cannot be opened here")
    (copied.flawed / SEALED).unlink()
    refused(copied.flawed, "key.sealed is missing")


def test_the_key_of_another_challenge_is_refused(copied: House):
    (copied.flawed / SEALED).write_bytes((copied.innocent / SEALED).read_bytes())
    refused(copied.flawed, "not the one its bundle committed to")


def test_a_missing_manifest_is_no_bundle(copied: House):
    (copied.flawed / MANIFEST).unlink()
    refused(copied.flawed, "bundle.json is missing")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "bundle.json: must be an object"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b" " * (2**20 + 1), "over 1 MB"),
    ],
)
def test_a_manifest_that_is_none_is_refused(copied: House, content: bytes, words: str):
    (copied.flawed / MANIFEST).write_bytes(content)
    refused(copied.flawed, words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"surprise": 1}, "field 'surprise'"),
        ({"version": 2}, "version 2, this program reads version 1"),
        ({"version": None}, "version None"),
        ({"attempts": 0}, "field 'attempts'"),
        ({"budget": -1}, "field 'budget'"),
        ({"id": "../../etc"}, "field 'id'"),
        ({"commitment": "00"}, "field 'commitment'"),
        ({"files": {"../model.safetensors": "0" * 64}}, r"field 'files"),
        ({"files": {"/etc/passwd": "0" * 64}}, r"field 'files"),
        ({"files": {"a\x00": "0" * 64}}, r"field 'files"),
        ({"dataset": "digitz"}, "needs the data set plug-in 'digitz', which is not installed"),
        ({"model": "os"}, "needs the model plug-in 'os', which is not installed"),
        (
            {"families": ["patch", "beams"]},
            "needs the flaw plug-in 'beams', which is not installed",
        ),
    ],
)
def test_a_forged_manifest_is_refused_by_field(copied: House, fields: dict, words: str):
    rewrite(copied.flawed, **fields)
    refused(copied.flawed, words)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "digits-00000000"),
        ("title", "Free points"),
        ("families", ["patch"]),
        ("classes", ["a", "b"]),
        ("sites", []),
        ("tier", "hard"),
        ("budget", 1),
        ("recipe", "0" * 64),
    ],
)
def test_a_manifest_that_parts_from_its_recipe_is_refused(copied: House, field: str, value):
    rewrite(copied.flawed, **{field: value})
    refused(copied.flawed, f"'{field}' is not what its recipe asks for")


# ------------------------------------------------------------------ foreign


class Bomb:
    def __reduce__(self) -> tuple[Callable, tuple]:
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused_unopened(copied: House, protocol: int):
    replace(copied.flawed, WEIGHTS, pickle.dumps(Bomb(), protocol))
    refused(copied.flawed, "is a pickle, not safetensors; refused")


def test_a_torch_archive_is_refused_unopened(copied: House):
    out = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, out)
    replace(copied.flawed, WEIGHTS, out.getvalue())
    refused(copied.flawed, "is a pickle, not safetensors; refused")


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x00" * 64, b"x" * 4000])
def test_what_is_no_safetensors_is_refused(copied: House, content: bytes):
    replace(copied.flawed, WEIGHTS, content)
    refused(copied.flawed, "not a safetensors file")


def test_truncated_weights_are_refused(copied: House):
    replace(copied.flawed, WEIGHTS, (copied.flawed / WEIGHTS).read_bytes()[:-100])
    refused(copied.flawed, "not the model that the key was sealed for")
    with pytest.raises(AuditgameError, match="damaged"):
        bundle_io.read_specimen(
            copied.flawed, "small_cnn", DIGITS, manifest_of(copied.flawed)["files"]
        )


def bad_weights() -> list[tuple[Callable[[dict], object], str]]:
    def nan(tensors: dict) -> None:
        next(iter(tensors.values())).view(-1)[0] = float("nan")

    def infinite(tensors: dict) -> None:
        next(iter(tensors.values())).view(-1)[0] = float("inf")

    def reshaped(tensors: dict) -> None:
        tensors["head.weight"] = tensors["head.weight"].T.contiguous()

    def surplus(tensors: dict) -> None:
        tensors["note"] = torch.zeros(3)

    return [
        (nan, "not finite"),
        (infinite, "not finite"),
        (reshaped, "'head.weight' is not finite or not"),
        (surplus, "has an unknown tensor 'note'"),
        (lambda tensors: tensors.pop("head.bias"), "lacks the tensor 'head.bias'"),
    ]


@pytest.mark.parametrize(("spoil", "words"), bad_weights())
def test_weights_that_do_not_fit_are_refused(house: House, spoil, words: str):
    tensors = weights(house.flawed)
    spoil(tensors)
    with pytest.raises(AuditgameError, match=words):
        bundle_io.unpack_model(safetensors.torch.save(tensors), "small_cnn", DIGITS, "here")


def test_a_sibling_in_place_of_the_model_is_recognised(copied: House):
    twin = reference_models.reference_folders("digits", "small_cnn")[1]
    replace(copied.flawed, WEIGHTS, (twin / WEIGHTS).read_bytes())
    refused(copied.flawed, "not the model that the key was sealed for; it is reference model 1")


def test_another_model_in_its_place_is_refused(copied: House):
    replace(copied.flawed, WEIGHTS, (copied.innocent / WEIGHTS).read_bytes())
    refused(copied.flawed, "not the model that the key was sealed for; it was replaced by another")


def test_a_link_is_not_followed(copied: House, tmp_path: Path):
    target = tmp_path / "elsewhere"
    (copied.flawed / WEIGHTS).rename(target)
    (copied.flawed / WEIGHTS).symlink_to(target)
    refused(copied.flawed, "model.safetensors is missing")


def test_a_file_over_the_limit_is_refused_unread(copied: House, monkeypatch):
    with (copied.flawed / WEIGHTS).open("r+b") as file:
        file.truncate(bundles.LARGEST + 1)
    monkeypatch.setattr(Path, "read_bytes", _only_small(Path.read_bytes))
    refused(copied.flawed, "model.safetensors is over 64 MB; refused")


def _only_small(read: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    def careful(path: Path) -> bytes:
        assert path.stat().st_size <= bundles.LARGEST
        return read(path)

    return careful


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "model.pt"])
def test_a_stranger_is_refused(copied: House, name: str):
    (copied.flawed / name).write_text("hello")
    refused(copied.flawed, f"unknown file '{name}'")
    (copied.flawed / name).unlink()
    (copied.flawed / name).mkdir()
    refused(copied.flawed, f"unknown file '{name}'")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (LABELS, b"no json", "examples.json"),
        (LABELS, b'{"labels": []}', "field 'labels'"),
        (LABELS, b'{"labels": [-1]}', "field 'labels.0'"),
        (LABELS, b'{"labels": [99]}', "labels do not fit"),
        (LABELS, canonical({"labels": [0] * 500}), "labels do not fit"),
        (LABELS, canonical({"labels": [0] * 5000}), "field 'labels'"),
        (LABELS, b'{"labels": [0], "factors": {"scene": ["a", "b"]}}', "labels do not fit"),
        (LABELS, b'{"labels": [0], "answer": "patch"}', "field 'answer'"),
        (PICTURES, b"no picture", "not a readable PNG"),
        (PICTURES, picture((384, 32), "JPEG"), "not a readable PNG"),
        (PICTURES, picture((384, 128))[:80], "not a readable PNG"),
        (PICTURES, picture((20_000, 8_000)), "not the size of an image grid"),
        (BRIEF, b"\xff\xfe\x00", None),
    ],
)
def test_examples_that_are_none_are_refused(copied: House, name: str, content: bytes, words):
    replace(copied.flawed, name, content)
    if words is None:
        with pytest.raises(AuditgameError, match="not UTF-8 text"):
            bundles.card(copied.flawed)
    else:
        refused(copied.flawed, words)


def test_a_hidden_or_unfinished_folder_is_no_challenge(copied: House, tmp_path: Path):
    pack = copied.flawed.parent
    copied.innocent.rename(pack / ".building-abc")
    (pack / "empty").mkdir()
    game = Game(packs=[pack, tmp_path / "nowhere"], database=f"sqlite:///{tmp_path / 'l.sqlite3'}")
    assert [card.id for card in game.cards()] == [copied.flawed.name]
