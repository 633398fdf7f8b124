"""The ledger: limits under a race, hand-ins that survive a kill, a log that shows tampering."""

from __future__ import annotations

import json
import math
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from auditgame.exhibits import Gallery, HeatMap, Note, Tile
from auditgame.ledger import Ledger, Question, diagnosis_digest, migrations, submissions
from auditgame.ledger.standings import standings
from auditgame.ledger.storage import open_engine, reading, writing
from auditgame.ledger.tables import metadata
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.results import Component, Score

POSTGRES = os.environ.get("AUDITGAME_TEST_POSTGRES_URL")
GRADCAM, UNIT = Question("gradcam", {}), Question("gradcam", {"unit": "conv3:1"})
SCORE = Score(
    points=25.5,
    possible=100,
    components=(Component(name="detection", points=25.5, possible=40, words="a fair guess"),),
)


def said(p: float = 0.9, **more) -> Diagnosis:
    return Diagnosis(p_flawed=p, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    """An empty database, thrown away afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{path}"
        return
    if POSTGRES is None:
        pytest.skip("AUDITGAME_TEST_POSTGRES_URL is not set")
    server = make_url(POSTGRES).set(drivername="postgresql+psycopg")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"auditgame_test_{secrets.token_hex(6)}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger(url)
    yield opened
    opened.close()


@pytest.fixture
def execute(ledger: Ledger, url: str) -> Callable[[str], None]:
    """Runs one statement on the ledger's own connection settings."""
    engine = open_engine(url)

    def run(statement: str) -> None:
        with writing(engine) as connection:
            connection.execute(text(statement))

    return run


# ------------------------------------------------------------------ players


def test_a_player_is_made_once_whatever_the_case(ledger: Ledger) -> None:
    ada = ledger.player("  Ada Lovelace ", "human+ai")
    assert (ada.name, ada.bracket) == ("Ada Lovelace", "human+ai")
    assert ledger.player("ADA  lovelace") == ada


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 41, "a\nb", "a\x00b", "\u202eevil", "zero\u200bwidth", "\ud800"]
)
def test_names_that_cannot_be_shown_are_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(AuditgameError, match="1 to 40 printable"):
        ledger.player(name)


def test_a_guest_is_known_by_the_token_and_may_take_a_name(ledger: Ledger) -> None:
    guest = ledger.guest("secret token")
    assert guest.name.startswith("guest-")
    assert ledger.guest("secret token") == guest
    assert ledger.guest("another token").id != guest.id
    named = ledger.rename(guest, "Grace")
    assert ledger.guest("secret token") == named
    ledger.player("Ada")
    with pytest.raises(AuditgameError, match="taken"):
        ledger.rename(named, "aDa")
    assert ledger.rename(named, "GRACE").name == "GRACE"


def test_the_bracket_is_fixed_by_the_first_submission(ledger: Ledger) -> None:
    guest = ledger.guest("token")
    assert ledger.declare(guest, "human+ai").bracket == "human+ai"
    ledger.submit(guest, "a", said(), SCORE, 1)
    with pytest.raises(AuditgameError, match="fixed since"):
        ledger.declare(guest, "human")
    with pytest.raises(AuditgameError, match="unknown"):
        ledger.player("bot", "robot")


def test_an_unknown_player_is_named(ledger: Ledger) -> None:
    with pytest.raises(AuditgameError, match="'nobody': not in the ledger"):
        ledger.spent("nobody", "a")


# ----------------------------------------------------------------- casework


def test_a_draft_survives_the_ledger_being_opened_anew(url: str) -> None:
    first = Ledger(url)
    first.player("ada")
    assert first.draft("ada", "a") is None
    first.save_draft("ada", "a", {"p": 0.25, "notes": "so \u2028 far"})
    first.save_draft("ada", "a", {"p": 0.75})
    first.close()
    again = Ledger(url)
    assert again.draft("ada", "a") == {"p": 0.75}
    assert again.draft("ada", "b") is None
    again.close()


def test_results_come_back_as_they_were(ledger: Ledger) -> None:
    shown = [
        Gallery(title="Top", tiles=(Tile(png=bytes(range(256)), label="0"),)),
        HeatMap(title="Map", png=b"\x89PNG", values=((0.1, -2.0),), limit=2.0),
        Note(title="Found", text="nothing"),
    ]
    assert ledger.result("d") is None
    ledger.keep_result("d", shown)
    ledger.keep_result("d", [])
    assert ledger.result("d") == shown


def test_a_question_is_paid_once_and_the_budget_holds(ledger: Ledger) -> None:
    ada, bob = ledger.player("ada"), ledger.player("bob")
    assert ledger.record_use(ada, "a", UNIT, "q1", 60, budget=100) == 60
    assert ledger.record_use(ada, "a", UNIT, "q1", 60, budget=100) == 0
    with pytest.raises(AuditgameError, match="40 of 100 are left"):
        ledger.record_use(ada, "a", GRADCAM, "q2", 41, budget=100)
    assert ledger.record_use(ada, "a", GRADCAM, "q3", 40, budget=100) == 40
    assert ledger.record_use(bob, "a", GRADCAM, "q1", 60, budget=100) == 60
    assert ledger.record_use(ada, "b", GRADCAM, "q1", 60) == 60
    assert ledger.spent(ada, "a") == 100
    rows = ledger.journal(ada, "a")
    assert [(row.exhibits_digest, row.cost) for row in rows] == [("q1", 60), ("q1", 0), ("q3", 40)]
    assert rows[0].options == {"unit": "conv3:1"}


def test_the_same_question_is_free_whatever_the_code_that_answers(ledger: Ledger) -> None:
    ada = ledger.player("ada")
    assert not ledger.asked(ada, "a", UNIT)
    assert ledger.record_use(ada, "a", UNIT, "code 1", 60) == 60
    assert ledger.asked(ada, "a", UNIT) and not ledger.asked(ada, "b", UNIT)
    assert ledger.record_use(ada, "a", UNIT, "code 2", 60) == 0
    assert ledger.record_use(ada, "a", UNIT._replace(tool="occlusion"), "code 2", 60) == 60
    assert ledger.record_use(ada, "a", UNIT._replace(upload="an image"), "code 2", 60) == 60


@pytest.mark.parametrize("cost", [-1, 1.5, math.nan, True, None])
def test_a_cost_is_a_whole_number(ledger: Ledger, cost: object) -> None:
    ledger.player("ada")
    with pytest.raises(AuditgameError, match="cost"):
        ledger.record_use("ada", "a", GRADCAM, "q", cost)


def test_evidence_is_pinned_once_and_can_be_taken_down(ledger: Ledger) -> None:
    ada = ledger.player("ada")
    ledger.pin(ada, "a", {"result": "q1", "index": 0}, "a bright corner")
    ledger.pin(ada, "a", {"index": 0, "result": "q1"}, "a bright square")
    ledger.pin(ada, "a", "q2", "nothing")
    assert [(pin.ref, pin.title) for pin in ledger.pins(ada, "a")] == [
        ({"result": "q1", "index": 0}, "a bright square"),
        ("q2", "nothing"),
    ]
    ledger.unpin(ada, "a", "q2")
    ledger.unpin(ada, "a", "q2")
    assert len(ledger.pins(ada, "a")) == 1


def test_nan_enters_nowhere(ledger: Ledger) -> None:
    ada = ledger.player("ada")
    spoiled = HeatMap(title="Map", png=b"", values=((math.nan,),), limit=1.0)
    component = Component.model_construct(name="x", points=math.inf, possible=1, words="")
    for write in (
        lambda: ledger.save_draft(ada, "a", {"p": math.nan}),
        lambda: ledger.keep_result("d", [spoiled]),
        lambda: ledger.record_use(ada, "a", Question("t", {"x": math.inf}), "q", 1),
        lambda: ledger.pin(ada, "a", [math.nan], "t"),
        lambda: ledger.submit(ada, "a", Diagnosis.model_construct(p_flawed=math.nan), SCORE, 1),
        lambda: ledger.submit(ada, "a", Diagnosis.model_construct(p_flawed=None), SCORE, 1),
        lambda: ledger.submit(ada, "a", said(), SCORE.model_copy(update={"points": math.nan}), 1),
        lambda: ledger.submit(ada, "a", said(), SCORE.model_copy(update={"points": None}), 1),
        lambda: ledger.submit(ada, "a", said(), SCORE.model_copy(update={"possible": 0}), 1),
        lambda: ledger.submit(
            ada, "a", said(), SCORE.model_copy(update={"components": (component,)}), 1
        ),
    ):
        with pytest.raises(AuditgameError):
            write()
    assert ledger.entries().empty
    assert ledger.attempts(ada, "a") == (0, 0)
    assert ledger.journal(ada, "a") == []
    assert ledger.result("d") is None


# ----------------------------------------------------------------- hand-ins


def test_a_submission_leaves_a_receipt(ledger: Ledger) -> None:
    ada = ledger.player("ada")
    ledger.record_use(ada, "a", GRADCAM, "q", 30)
    ledger.pin(ada, "a", "q", "corner")
    first = ledger.submit(ada, "a", said(0.9, family="patch"), SCORE, 3)
    assert (first.player, first.attempt, first.attempts_left, first.counts) == ("ada", 1, 2, True)
    assert first.score == SCORE
    second = ledger.submit(ada, "a", said(0.8), SCORE, 3)
    assert (second.attempt, second.attempts_left, second.counts) == (2, 1, False)
    assert [receipt.id for receipt in ledger.receipts(ada, "a")] == [first.id, second.id]
    entry = ledger.entries().iloc[0].to_dict()
    assert (entry["queries"], entry["evidence"], entry["family"]) == (30, 1, "patch")
    assert entry["started_at"] < entry["at"]


def test_the_same_diagnosis_again_gets_the_same_receipt(ledger: Ledger) -> None:
    ada = ledger.player("ada")
    fingerprint = diagnosis_digest(said())
    assert ledger.find(ada, "a", fingerprint) is None
    first = ledger.submit(ada, "a", said(), SCORE, 1)
    worse = SCORE.model_copy(update={"points": -1.0})
    assert ledger.submit(ada, "a", said(), worse, 1) == first
    assert ledger.find(ada, "a", fingerprint) == first
    assert ledger.attempts(ada, "a") == (1, 1)
    with pytest.raises(AuditgameError, match="all 1 attempts are used"):
        ledger.submit(ada, "a", said(0.1), SCORE, 1)
    assert len(ledger.entries()) == 1


def test_an_attempt_is_not_lost_when_the_score_cannot_be_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = ledger.player("ada")

    def fail(*args: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(submissions, "add_score", fail)
        with pytest.raises(OSError, match="disk full"):
            ledger.submit(ada, "a", said(), SCORE, 1)
    assert ledger.entries().empty
    assert ledger.submit(ada, "a", said(), SCORE, 1).attempt == 1
    ledger.verify_chain()


def test_sixteen_threads_cannot_pass_the_limit(ledger: Ledger) -> None:
    ada, allowed = ledger.player("ada"), 3
    start = threading.Barrier(16)

    def play(number: int) -> list[int | None]:
        start.wait()
        made: list[int | None] = []
        for turn in range(4):
            try:
                diagnosis = said((number // 2 + turn) / 100)
                made.append(ledger.submit(ada, "a", diagnosis, SCORE, allowed).id)
            except AuditgameError as error:
                assert "attempts are used" in str(error)
                made.append(None)
        return made

    with ThreadPoolExecutor(16) as threads:
        got = [number for made in threads.map(play, range(16)) for number in made]
    entries = ledger.entries()
    assert sorted(entries["attempt"]) == [1, 2, 3]
    assert set(got) - {None} == set(entries["submission"])
    assert entries["p_flawed"].is_unique
    assert ledger.attempts(ada, "a") == (allowed, allowed)
    ledger.verify_chain()


def test_sixteen_threads_with_one_diagnosis_make_one_row(ledger: Ledger) -> None:
    ledger.player("ada")
    start = threading.Barrier(16)

    def play(number: int) -> int:
        start.wait()
        return ledger.submit("ada", "a", said(), SCORE, 5).id

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(play, range(16)))) == 1
    assert ledger.attempts("ada", "a") == (1, 5)


def test_sixteen_threads_cannot_overspend_or_double_a_guest(ledger: Ledger) -> None:
    ada = ledger.player("ada")

    def play(number: int) -> int:
        ledger.guest("one token")
        try:
            asked = Question("t", {"x": number // 2})
            return ledger.record_use(ada, "a", asked, "q", 30, budget=100)
        except AuditgameError:
            return 0

    with ThreadPoolExecutor(16) as threads:
        charges = list(threads.map(play, range(16)))
    assert sorted(set(charges)) == [0, 30]
    assert sum(charges) == ledger.spent(ada, "a") == 90


def test_rescoring_adds_a_row_and_the_newest_stands(ledger: Ledger) -> None:
    first = ledger.submit(ledger.player("ada"), "a", said(), SCORE, 1)
    ledger.rescore(first.id, SCORE.model_copy(update={"points": -0.0}), "9")
    assert ledger.receipts("ada", "a")[0].score.points == 0
    assert list(ledger.entries()["scorer"]) == ["9"]
    with pytest.raises(AuditgameError, match="has scored it"):
        ledger.rescore(first.id, SCORE, "9")
    with pytest.raises(AuditgameError, match="not in the ledger"):
        ledger.rescore(999, SCORE, "10")
    ledger.verify_chain()


STREAM = """
import sys, threading
from auditgame.ledger import Ledger
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Score
ledger = Ledger(sys.argv[1])
def play(lane):
    number = 0
    while True:
        score = Score(points=number, possible=100, components=())
        said = Diagnosis(p_flawed=0.5, notes=f"{sys.argv[2]} {number}")
        ledger.submit(ledger.player(f"lane {lane}"), "a", said, score, 1_000_000)
        number += 1
        print("in", flush=True)
for lane in range(4):
    threading.Thread(target=play, args=(lane,)).start()
"""


def test_a_kill_in_mid_stream_leaves_nothing_half_written(path: Path) -> None:
    url, handed_in = f"sqlite:///{path}", 0
    for run, hand_ins in enumerate((15, 33)):
        command = [sys.executable, "-c", STREAM, url, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
            assert stream.stdout is not None
            handed_in += sum(stream.stdout.readline() == "in\n" for _ in range(hand_ins))
            os.kill(stream.pid, signal.SIGKILL)
        assert stream.returncode == -signal.SIGKILL
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            used = connection.execute("SELECT player_id, used FROM quota ORDER BY 1").fetchall()
            rows = connection.execute(
                "SELECT player_id, count(*) FROM submissions GROUP BY 1 ORDER BY 1"
            ).fetchall()
            scored = connection.execute(
                "SELECT count(*) FROM submissions WHERE id IN (SELECT submission_id FROM scores)"
            ).fetchone()
        assert used == rows
        assert scored[0] == sum(count for _, count in rows) >= handed_in
        ledger = Ledger(url)
        ledger.verify_chain()
        ledger.close()
    assert handed_in == 48


# ---------------------------------------------------------------- tampering


@pytest.mark.parametrize("table", ["submissions", "scores", "log"])
def test_the_record_is_append_only(
    ledger: Ledger, execute: Callable[[str], None], url: str, table: str
) -> None:
    ledger.submit(ledger.player("ada"), "a", said(), SCORE, 1)
    statements = [f"UPDATE {table} SET id = id", f"DELETE FROM {table}"]
    if url.startswith("sqlite"):
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"):
            execute(statement)
    ledger.verify_chain()


FORGERIES = {
    "score": "UPDATE scores SET points = 100 WHERE id = 1",
    "attempt": "UPDATE submissions SET attempt = 9 WHERE id = 2",
    "lost score": "DELETE FROM scores WHERE id = 2",
    "extra score": "INSERT INTO scores SELECT 9, 1, '9', 100, 100, '[]', at FROM scores LIMIT 1",
    "log payload": "UPDATE log SET payload = '{}' WHERE id = 2",
    "lost log row": "DELETE FROM log WHERE id = 3",
    "nothing left of it": "DELETE FROM scores; DELETE FROM submissions; DELETE FROM log",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_record_is_found(path: Path, forgery: str) -> None:
    ledger = Ledger(f"sqlite:///{path}")
    assert ledger.verify_chain() == ledger.head() == submissions.GENESIS
    ada = ledger.player("ada")
    ledger.submit(ada, "a", said(0.9), SCORE, 3)
    ledger.submit(ada, "a", said(0.8), SCORE, 3)
    published = ledger.head()
    ledger.submit(ada, "a", said(0.7), SCORE, 3)
    assert ledger.verify_chain(published) == ledger.head() != published
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(forgery)
        connection.commit()
    with pytest.raises(AuditgameError, match="restore a backup"):
        ledger.verify_chain(published)
    ledger.close()


# ------------------------------------------------------------ the whole


def test_entries_travel_to_another_ledger_and_only_once(ledger: Ledger, tmp_path: Path) -> None:
    for number, name in enumerate(("=cmd()", "ada")):
        player = ledger.player(name, "agent")
        for challenge in ("a", "b"):
            score = SCORE.model_copy(update={"points": float(number)})
            ledger.submit(player, challenge, said(family="patch", claim={"target": 3}), score, 2)
        ledger.submit(player, "a", said(0.1), SCORE, 2)
    table, lines = ledger.export(tmp_path / "out")
    assert "'=cmd()" in table.read_text()
    assert len(table.read_text().splitlines()) == 7
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert records[0]["diagnosis"]["claim"] == {"target": 3}
    other = Ledger(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    assert other.import_entries(records) == 6
    assert other.import_entries(records) == 0
    assert other.entries().equals(ledger.entries())
    assert standings(other.entries()).equals(standings(ledger.entries()))
    other.verify_chain()
    other.close()


def test_an_entry_that_does_not_fit_keeps_all_of_them_out(ledger: Ledger) -> None:
    ledger.player("ada")
    good = {"player": "coin", "bracket": "algorithm", "challenge": "a", "queries": 4}
    good |= {"diagnosis": said().model_dump(), "score": SCORE.model_dump()}
    for spoiled, complaint in (
        ({"queries": -1}, "entry 2: field 'queries'"),
        ({"score": {**good["score"], "points": math.nan}}, "finite"),
        ({"player": "ada"}, "plays as human here"),
    ):
        with pytest.raises(AuditgameError, match=complaint):
            ledger.import_entries([good, good | spoiled])
    assert ledger.entries().empty
    assert ledger.import_entries([good]) == 1
    assert list(ledger.entries()["bracket"]) == ["algorithm"]


def test_exports_say_queries_and_former_ones_that_say_probes_are_read(
    ledger: Ledger, tmp_path: Path
) -> None:
    entry = {"player": "coin", "bracket": "algorithm", "challenge": "a"}
    entry |= {"diagnosis": said().model_dump(), "score": SCORE.model_dump()}
    assert ledger.import_entries([entry | {"probes": 4}]) == 1
    assert list(ledger.entries()["queries"]) == [4] and "probes" not in ledger.entries()
    table, lines = ledger.export(tmp_path / "out")
    assert json.loads(lines.read_text())["queries"] == 4
    assert "queries" in table.read_text() and "probes" not in lines.read_text()
    with pytest.raises(AuditgameError, match="entry 1: field 'probes': is unknown"):
        ledger.import_entries([entry | {"probes": 4, "queries": 4}])


def test_the_hashes_of_the_log_cover_the_stored_name_of_queries(ledger: Ledger) -> None:
    ledger.player("ada")
    ledger.submit("ada", "a", said(), SCORE, 1)
    with reading(ledger._engine) as connection:
        payloads = [
            json.loads(row.payload) for row in connection.execute(text("SELECT * FROM log"))
        ]
    assert payloads[0]["probes"] == 0
    assert ledger.verify_chain() == ledger.head()


def test_an_empty_ledger_has_an_empty_table(ledger: Ledger) -> None:
    assert ledger.entries().empty
    assert standings(ledger.entries()).empty


# --------------------------------------------------------- opening, moving on


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with open_engine(url).connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == migrations.HEAD
        assert compare_metadata(context, metadata) == []


def test_every_migration_file_is_known(path: Path) -> None:
    folder = Path(migrations.__file__).parent / "versions"
    assert sorted(file.stem[1:5] for file in folder.glob("v*.py")) == list(migrations.KNOWN)


def test_an_older_ledger_is_backed_up_and_moved_on(path: Path) -> None:
    url = f"sqlite:///{path}"
    with create_engine(url).begin() as connection:
        migrations.migrate(connection, "0001")
        connection.execute(
            text("INSERT INTO players VALUES (1, 'ada', 'ada', 'human', '2026', NULL)")
        )
    ledger = Ledger(url)
    assert ledger.player("ada").id == 1
    (copy,) = path.parent.glob("*.backup")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM players").fetchall() == [("ada",)]
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("0001",)]
    ledger.submit("ada", "a", said(), SCORE, 1)
    ledger.close()
    Ledger(url).close()
    assert len(list(path.parent.glob("*.backup"))) == 1


def test_a_database_that_is_no_ledger_is_left_alone(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(AuditgameError, match="tables of another program"):
        Ledger(f"sqlite:///{path}")
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"this is no database " * 100)
    with pytest.raises(AuditgameError, match="not a SQLite database"):
        Ledger(f"sqlite:///{noise}")
    newer = f"sqlite:///{tmp_path / 'newer.db'}"
    with writing(open_engine(newer)) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(AuditgameError, match="upgrade auditgame"):
        Ledger(newer)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:p@h/d"])
def test_a_url_that_names_no_ledger_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(AuditgameError, match="database URL") as caught:
        Ledger(url)
    assert ":p@" not in str(caught.value)


OPEN = """
import os, sys
import alembic.command
from auditgame.ledger import Ledger
gate, opened = os.pipe()
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        os.close(opened)
        os.read(gate, 1)
        os._exit(0 if Ledger(sys.argv[1]).player("ada").id == 1 else 1)
    children.append(child)
os.close(opened)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def test_several_processes_may_open_an_empty_ledger_at_once(url: str) -> None:
    assert subprocess.run([sys.executable, "-c", OPEN, url], check=False).returncode == 0
    ledger = Ledger(url)
    assert ledger.player("ada").id == 1
    ledger.close()


def test_ledger_and_standings_load_no_torch() -> None:
    script = (
        "import sys, auditgame.ledger, auditgame.ledger.standings; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
