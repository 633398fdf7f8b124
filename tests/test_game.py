"""The hallway: sit down, look, hand in, reveal, rank; and sixteen who hand in at once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import House

from auditgame import bundles
from auditgame.game import Game
from auditgame.ledger.standings import standings
from auditgame.play import referee
from auditgame.registry import load
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError, Unavailable
from auditgame.schema.results import Component, Score

THREADS = 16
SCORE = Score(
    points=4.0,
    possible=40.0,
    components=(Component(name="detection", points=4.0, possible=40.0, words="fair"),),
)


# --------------------------------------------------------------- one player


def test_a_whole_case(game: Game, house: House, oracle):
    id = house.flawed.name
    session = game.open(id, "ada")
    assert id in {card.id for card in game.cards()} and session.card == game.card(id)
    assert "digits" in session.brief.lower() and {"predict", "occlusion"} <= set(session.tools())
    used = session.run_tool("predict", examples="0-3")
    assert used.exhibits and used.cost > 0 and not used.cached
    again = session.run_tool("predict", examples="0-3")
    assert (
        again.cached
        and again.cost == 0
        and again.remaining == used.remaining == session.remaining_budget()
    )
    assert again.exhibits == used.exhibits
    session.pin(used.exhibits[0], "odd")
    assert [pin.title for pin in session.pins()] == ["odd"]
    session.save_draft({"p_flawed": 0.7})
    assert session.draft() == {"p_flawed": 0.7}
    with pytest.raises(AuditgameError, match="submit a diagnosis first"):
        game.reveal(id, "ada")
    receipt = session.submit(oracle[id])
    assert receipt.score.points >= 90 and receipt.attempt == 1 and receipt.counts
    shown = game.reveal(id, "ada")
    assert shown.truth == oracle[id] and shown.commitment_holds and shown.certificate.passed
    assert shown.receipts == (receipt,)
    entries = game.ledger.entries()
    assert entries.loc[0, "queries"] == used.cost and entries.loc[0, "evidence"] == 1


def test_a_true_claim_is_worth_ninety_and_more(game: Game, oracle):
    for id, truth in oracle.items():
        receipt = game.submit(id, "oracle", truth)
        assert receipt.score.points >= 0.9 * receipt.score.possible
    table = game.standings()
    assert table.loc[0, "player"] == "oracle" and table.loc[0, "points"] == 140


def test_the_same_diagnosis_again_is_the_same_receipt(game: Game, house: House, monkeypatch):
    calls = []
    monkeypatch.setattr(referee, "judge", lambda *args: calls.append(args) or SCORE)
    said = Diagnosis(p_flawed=0.3)
    ada = game.player("ada")
    one, other = (game.submit(house.flawed.name, ada, said) for _ in range(2))
    assert one == other and len(calls) == 1
    assert game.submit(house.flawed.name, "bob", said).id != one.id


def test_an_imported_attempt_leaves_the_others_of_the_challenge(
    game: Game, house: House, monkeypatch
):
    monkeypatch.setattr(referee, "judge", lambda *args: SCORE)
    id, bot = house.flawed.name, game.player("detective", "algorithm")
    imported = {"player": "detective", "bracket": "algorithm", "challenge": id}
    imported |= {"diagnosis": Diagnosis(notes="then").model_dump(), "score": SCORE.model_dump()}
    assert game.ledger.import_entries([imported]) == 1
    again = game.submit(id, bot, Diagnosis(notes="now"))
    assert (again.attempt, again.attempts_left) == (2, game.card(id).attempts - 2)


def test_a_refused_diagnosis_takes_no_attempt(game: Game, house: House):
    id, ada = house.flawed.name, game.player("ada")
    for player in (ada, "new"):
        with pytest.raises(AuditgameError, match="unknown family"):
            game.submit(id, player, Diagnosis(family="nope"))
    assert game.ledger.attempts(ada, id) == (0, 0)
    with pytest.raises(AuditgameError, match="not in the ledger"):
        game.ledger.attempts("new", id)
    assert game.ledger.entries().empty


def test_an_unknown_challenge_gets_a_suggestion(game: Game, house: House):
    wrong = house.flawed.name[:-1]
    with pytest.raises(AuditgameError, match=f"did you mean '{house.flawed.name}'"):
        game.card(wrong)
    for name in ("../etc", "", ".building-x", "/"):
        with pytest.raises(AuditgameError, match="unknown challenge"):
            game.open(name, "ada")


def test_the_budget_holds(game: Game, house: House):
    session = game.open(house.flawed.name, "ada")
    session.card = session.card.model_copy(update={"budget": 5})
    with pytest.raises(AuditgameError, match="queries and 5 are left"):
        session.run_tool("predict", examples="0-9")
    assert session.remaining_budget() == 5
    assert session.run_tool("predict", examples="0-3").remaining == 1


def test_an_unknown_tool_or_option_gets_a_suggestion(game: Game, house: House):
    session = game.open(house.flawed.name, "ada")
    with pytest.raises(AuditgameError, match="unknown tool 'predikt'; did you mean 'predict'"):
        session.run_tool("predikt")
    with pytest.raises(AuditgameError, match="unknown option 'example'; did you mean 'examples'"):
        session.run_tool("predict", example="1")
    with pytest.raises(AuditgameError, match="does not fit image models"):
        session.run_tool("logit_lens")
    assert session.remaining_budget() == session.card.budget


def test_the_models_on_the_desk_are_the_bundles(game: Game, house: House):
    session = game.open(house.flawed.name, "ada")
    assert session.specimen is game.open(house.flawed.name, "bob").specimen
    assert session.specimen is not game.open(house.innocent.name, "ada").specimen
    assert len(session.context.references) == 3
    assert len(session.context.examples) == 40 or len(session.context.examples) >= 20


def test_players_and_guests(game: Game):
    assert game.player("Ada").id == game.player("ada").id
    assert game.guest("secret one").id == game.guest("secret one").id
    assert game.guest("secret one").id != game.guest("secret two").id


def test_a_missing_pack_is_an_empty_game(house: House, tmp_path: Path):
    game = Game(packs=[tmp_path / "none"], database=f"sqlite:///{tmp_path / 'l.sqlite3'}")
    assert game.cards() == [] and game.standings().empty


def test_by_default_what_was_built_here_is_on_the_list(house: House):
    assert {card.id for card in Game().cards()} == {house.flawed.name, house.innocent.name}


# ------------------------------------------------------------------- a crowd


def at_once(work, number: int = THREADS) -> list:
    start = threading.Barrier(number)

    def go(index: int):
        start.wait()
        try:
            return work(index)
        except AuditgameError as error:
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(go, range(number)))


def test_sixteen_hand_ins_at_once_never_pass_the_limit(game: Game, house: House, monkeypatch):
    monkeypatch.setattr(referee, "judge", lambda folder, said: SCORE)
    id = house.flawed.name
    most = game.card(id).attempts
    player = game.player("ada")

    def work(index: int):
        return game.submit(id, player, Diagnosis(p_flawed=index / 100))

    came = at_once(work)
    receipts = [one for one in came if not isinstance(one, AuditgameError)]
    assert len(receipts) == most == 10
    assert sorted(receipt.attempt for receipt in receipts) == list(range(1, most + 1))
    assert all("attempts are used" in str(one) for one in came if isinstance(one, Exception))
    assert game.ledger.attempts(player, id) == (most, most)
    assert sum(receipt.counts for receipt in receipts) == 1
    game.ledger.verify_chain()


def test_sixteen_times_the_same_is_one(game: Game, house: House, monkeypatch):
    monkeypatch.setattr(referee, "judge", lambda folder, said: SCORE)
    id, player = house.flawed.name, game.player("ada")
    came = at_once(lambda index: game.submit(id, player, Diagnosis(p_flawed=0.9)))
    assert len({receipt.id for receipt in came}) == 1
    assert game.ledger.attempts(player, id)[0] == 1 and len(game.ledger.entries()) == 1


def test_sixteen_players_do_not_meet(game: Game, house: House, monkeypatch):
    monkeypatch.setattr(referee, "judge", lambda folder, said: SCORE)
    id = house.innocent.name
    came = at_once(lambda index: game.submit(id, f"player {index}", Diagnosis()))
    assert len({receipt.player for receipt in came}) == THREADS
    assert all(receipt.attempt == 1 for receipt in came)


# ---------------------------------------------------------------- null bots


@pytest.mark.parametrize("auditor", ["empty", "always_clean", "coin"])
def test_a_bot_that_does_not_look_gains_nothing(game: Game, house: House, auditor: str):
    """Over a pack of which a third is innocent, as its points there would be."""
    kind = load("auditor", auditor)
    total = 0.0
    for number in range(30):
        folder = house.innocent if number % 3 == 0 else house.flawed
        session = game.open(folder.name, "bot")
        session.card = session.card.model_copy(update={"id": f"case-{number}"})
        said = kind().audit(session)
        assert said.family is None and said.claim is None and not said.units
        total += _worth(said, flawed=number % 3 != 0)
    assert total <= 0


def _worth(said: Diagnosis, flawed: bool) -> float:
    from auditgame.play.scoring import detection

    return detection(said.p_flawed, flawed).points


def test_bots_play_through_the_same_door(game: Game, house: House):
    points = {}
    for auditor in ("empty", "always_clean", "coin"):
        receipts = [game.audit(folder.name, auditor) for folder in (house.flawed, house.innocent)]
        points[auditor] = sum(receipt.score.points for receipt in receipts)
        assert game.player(auditor).bracket == "algorithm"
    assert points["empty"] == 0 and points["always_clean"] == -80
    assert points["coin"] in (2 * 40, 40 - 120, 2 * -120), "each guess wins 40 or loses 120"
    table = standings(game.ledger.entries())
    assert dict(zip(table["player"], table["points"], strict=True)) == pytest.approx(points)


# ------------------------------------------------------------- missing plug-ins


MISSING = {
    "dataset": ("beams", "data set"),
    "model": ("vit", "model"),
    "families": (["patch", "glare"], "flaw"),
}


@pytest.mark.parametrize("field", MISSING)
def test_a_missing_plugin_is_named_and_other_challenges_play(
    copied: House, tmp_path: Path, field: str
) -> None:
    value, label = MISSING[field]
    path = copied.flawed / bundles.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    game = Game(packs=[copied.flawed.parent], database=f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    assert {card.id for card in game.cards()} == {copied.flawed.name, copied.innocent.name}
    name = value if isinstance(value, str) else value[-1]
    words = (
        f"challenge '{copied.flawed.name}' needs the {label} plug-in '{name}', which is not "
        "installed; install the package that provides it"
    )
    for act in (
        lambda: game.open(copied.flawed.name, "ada"),
        lambda: game.audit(copied.flawed.name, "coin"),
        lambda: game.submit(copied.flawed.name, "ada", Diagnosis()),
    ):
        with pytest.raises(Unavailable) as caught:
            act()
        assert str(caught.value) == words
    assert game.ledger.entries().empty
    assert game.audit(copied.innocent.name, "empty").score.points == 0
