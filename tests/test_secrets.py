"""Nothing that a player can reach tells the answer before the reveal."""

from __future__ import annotations

import io
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest
from conftest import House
from PIL import Image

from auditgame.bundles import keys
from auditgame.game import Game
from auditgame.play import referee
from auditgame.registry import names
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed


def secrets_of(folder: Path) -> dict[str, bytes]:
    """Pieces of the key that must stand nowhere else, by what they are."""
    key = referee.open_key(folder)
    told = {
        "seed": key.seed.encode(),
        "seed bytes": bytes.fromhex(key.seed),
        "salt": key.salt.encode(),
        "salt bytes": bytes.fromhex(key.salt),
        "recipe digest's sub-seed": Seed.from_hex(key.seed).child("flaw").hex().encode(),
        "private key": bytes(keys.private_key(folder.parent)).hex().encode(),
    }
    if key.claim:
        told |= {
            "confession": key.confession.encode(),
            "pattern": json.dumps(key.claim["pattern"], separators=(",", ":")).encode(),
            "spaced pattern": json.dumps(key.claim["pattern"]).encode(),
            "box": json.dumps(key.claim["box"], separators=(",", ":")).encode(),
            "spaced box": json.dumps(key.claim["box"]).encode(),
            "units": json.dumps(list(key.units), separators=(",", ":")).encode(),
        }
    return told


def assert_silent(where: str, content: bytes, secrets: dict[str, bytes]) -> None:
    for name, secret in secrets.items():
        assert secret not in content, f"{where} holds the {name}"


# -------------------------------------------------------------------- records


def test_a_seed_and_a_key_do_not_show_themselves(house: House):
    key, seed = referee.open_key(house.flawed), Seed.of(3)
    shown = f"{seed} {seed!r} {[seed]} {key} {key!r} {[key]} {(key,)!s} {key:}"
    assert seed.hex() not in shown
    assert_silent("a representation", shown.encode(), secrets_of(house.flawed))
    for error in (TypeError(key), AuditgameError(f"{key}"), ValueError([seed])):
        lines = "".join(traceback.format_exception(error))
        assert key.seed not in lines and seed.hex() not in lines


def test_a_seed_has_no_attribute_of_its_secret_in_vars():
    assert not hasattr(Seed.of(3), "__dict__")


# --------------------------------------------------------------------- bundles


def test_no_file_of_a_bundle_holds_the_answer(house: House):
    for folder in (house.flawed, house.innocent):
        secrets = secrets_of(folder)
        for path in folder.iterdir():
            assert_silent(path.name, path.read_bytes(), secrets)


def test_files_carry_no_metadata(house: House):
    folders = [house.flawed, house.innocent]
    folders += sorted((house.home / "challenges" / "references" / "digits.small_cnn").iterdir())
    for folder in folders:
        content = (folder / "model.safetensors").read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert "__metadata__" not in header
        assert {entry["dtype"] for entry in header.values()} == {"F16"}
        pictures = folder / "examples.png"
        if pictures.is_file():
            with Image.open(io.BytesIO(pictures.read_bytes())) as image:
                assert image.info == {} and not image.getexif()


def test_the_challenge_s_name_tells_nothing(house: House):
    for folder in (house.flawed, house.innocent):
        key = referee.open_key(folder)
        tail = folder.name.rsplit("-", 1)[1]
        assert tail not in key.seed and tail not in key.salt and len(tail) == 8


def test_examples_tell_labels_and_no_more(house: House):
    sheet = json.loads((house.flawed / "examples.json").read_text())
    assert set(sheet) == {"labels", "texts", "factors"}
    assert sheet["texts"] is None and sheet["factors"] == {}


def test_the_two_sheets_have_the_same_shape(house: House):
    sizes = []
    for folder in (house.flawed, house.innocent):
        with Image.open(folder / "examples.png") as image:
            sizes.append((image.mode, image.size[0]))
    assert sizes[0] == sizes[1]


def test_sealing_twice_shows_nothing_twice(house: House):
    key = referee.open_key(house.flawed)
    public = keys.private_key(house.flawed.parent).public_key
    one, other = keys.seal(key, public), keys.seal(key, public)
    assert one != other and len(one) == len(other)
    assert key.family.encode() not in one


def test_the_commitment_needs_the_salt(house: House):
    key = referee.open_key(house.flawed)
    assert len(bytes.fromhex(key.salt)) >= 16
    assert keys.commit(key) == referee.reveal(house.flawed).commitment
    for change in ({"salt": "00" * 32}, {"family": "shortcut"}, {"units": ()}):
        assert keys.commit(key.model_copy(update=change)) != keys.commit(key)


# ------------------------------------------------------------- a played session


@pytest.fixture
def played(game: Game, house: House, caplog, capfd, tmp_path: Path) -> dict[str, bytes]:
    """Everything that a player's session leaves or shows, before any hand-in."""
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for folder in (house.flawed, house.innocent):
            session = game.open(folder.name, "ada")
            said += [
                session.brief,
                session.card.model_dump_json(),
                repr(session.card),
                repr(session),
            ]
            for tool in ("predict", "mistakes", "behaviour", "examples", "occlusion", "compare"):
                if tool in names("tool"):
                    said += _shown(session, tool)
            session.save_draft({"p_flawed": 0.6, "family": "patch"})
            said += [repr(session.draft()), repr(session.pins()), repr(session.context)[:10_000]]
            said += _errors(game, session)
    out, err = capfd.readouterr()
    files = {path.name: path.read_bytes() for path in tmp_path.glob("ledger.sqlite3*")}
    assert files
    return files | {
        "what was shown": "\n".join(said).encode(),
        "the log": caplog.text.encode(),
        "standard output": (out + err).encode(),
    }


def _shown(session, tool: str) -> list[str]:
    try:
        used = session.run_tool(tool)
    except AuditgameError as error:
        return [str(error)]
    session.pin(used.exhibits[0])
    return [exhibit.model_dump_json() for exhibit in used.exhibits]


def _errors(game: Game, session) -> list[str]:
    id = session.card.id
    attempts = [
        lambda: game.reveal(id, "ada"),
        lambda: game.submit(id, "ada", Diagnosis(family="nope")),
        lambda: game.submit(id, "ada", Diagnosis(family="patch", claim={"box": 1})),
        lambda: game.submit(id, "ada", Diagnosis(units=("conv3:999",))),
        lambda: session.run_tool("predict", examples="9999"),
        lambda: session.run_tool("hypothesis", family="patch", claim={}),
        lambda: game.card(id + "x"),
    ]
    told = []
    for attempt in attempts:
        with pytest.raises(AuditgameError) as caught:
            attempt()
        told += traceback.format_exception(caught.value)
    return told


def test_a_session_leaves_no_trace_of_the_answer(played: dict[str, bytes], house: House):
    for folder in (house.flawed, house.innocent):
        secrets = secrets_of(folder)
        for where, content in played.items():
            assert_silent(where, content, secrets)


def test_a_desk_has_no_way_to_the_key(game: Game, house: House):
    session = game.open(house.flawed.name, "ada")
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(session)
    reachable = {name for name in dir(session) if not name.startswith("_")}
    assert not reachable & {"key", "seed", "vault", "reveal", "certificate"}
