"""The command line: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import House
from PIL import Image
from typer.testing import CliRunner

from auditgame import registry
from auditgame.challenges import build
from auditgame.cli import app
from auditgame.game import Game
from auditgame.play import referee, verification
from auditgame.plugins.descriptions import title
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import EXIT_CODES
from auditgame.schema.results import Certificate, Check, Reveal

FAILING = Certificate(checks=(Check(name="asr", value=0.2, bound=0.95, rule="at least"),))
PASSING = Certificate(checks=(Check(name="asr", value=0.99, bound=0.95, rule="at least"),))


class Shell(NamedTuple):
    """A terminal: run a command, look at the database."""

    house: House
    url: str
    folder: Path

    def __call__(self, *words: Any) -> Any:
        return CliRunner().invoke(app, ["--db", self.url, *map(str, words)])

    def json(self, *words: Any) -> Any:
        result = self(*words, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def id(self) -> str:
        return self.house.flawed.name

    def entries(self) -> int:
        return len(Game(database=self.url).ledger.entries())


@pytest.fixture
def shell(house: House, tmp_path: Path) -> Shell:
    return Shell(house, f"sqlite:///{tmp_path / 'record.sqlite3'}", tmp_path)


def refused(result: Any, *needles: str, code: int | None = None) -> None:
    codes = EXIT_CODES.values() if code is None else [code]
    assert result.exit_code in codes, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n")
    for needle in needles:
        assert needle in result.stderr


# ------------------------------------------------------------------ looking around


def test_list_and_show_tell_the_cards(shell: Shell) -> None:
    found = shell.json("list")
    assert {card["id"] for card in found} == {shell.house.flawed.name, shell.house.innocent.name}
    assert shell.json("show", shell.id)["id"] == shell.id
    assert shell.id in shell("list").stdout
    assert (
        f"{title('model', 'small_cnn')} trained on {title('dataset', 'digits')}"
        in shell("show", shell.id).stdout
    )


def test_bare_command_and_help_name_every_verb() -> None:
    verbs = "play list show tools use submit audit standings reveal build references check new"
    for words in ([], ["--help"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0
        assert all(f" {verb} " in result.stdout for verb in [*verbs.split(), "doctor"])


@pytest.mark.parametrize("verb", [command.name for command in app.registered_commands])
def test_every_option_of_every_verb_is_documented(verb: str) -> None:
    from typer.main import get_command

    command = get_command(app).commands[verb]
    assert command.help.strip()
    assert all(getattr(p, "help", "") for p in command.params if p.name not in ("help", "id"))
    assert "--json" in {name for p in command.params for name in p.opts} or verb == "play"


def test_tools_describe_their_options(shell: Shell) -> None:
    (predict,) = shell.json("tools", "predict")
    assert predict["options"]["properties"]["top"]["maximum"] == 10
    assert {tool["name"] for tool in shell.json("tools")} == set(registry.names("tool"))
    assert "How it misleads:" in shell("tools", "predict").stdout


def test_doctor_has_a_remedy_for_what_is_not_there(shell: Shell, monkeypatch) -> None:
    found = {finding["what"]: finding for finding in shell.json("doctor")}
    assert found["database"]["state"] == "fine" and found["practice pack"]["state"] == "absent"
    assert all(finding["remedy"] for finding in found.values() if finding["state"] != "fine")
    monkeypatch.setenv("AUDITGAME_CONTENT", str(shell.folder / "nowhere"))
    monkeypatch.setenv("AUDITGAME_HOME", str(shell.folder / "nowhere"))
    assert shell("doctor").exit_code == 1


def test_python_m_auditgame_runs(shell: Shell) -> None:
    command = [sys.executable, "-m", "auditgame", "--db", shell.url, "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 2


def test_browsing_leaves_torch_alone(shell: Shell) -> None:
    runs = [["list"], ["standings"], ["show", shell.id], ["--help"], ["nonsense"]]
    code = (
        "import sys\nfrom auditgame.cli import app\ncodes = []\n"
        f"for words in {runs!r}:\n    try:\n        app(['--db', {shell.url!r}, *words])\n"
        "    except SystemExit as end:\n        codes.append(end.code)\n"
        "assert codes == [0, 0, 0, 0, 2], codes\n"
        "assert 'torch' not in sys.modules and 'streamlit' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------ playing


def test_what_reveal_prints_submit_accepts_for_full_points(shell: Shell) -> None:
    first = shell.file("first.json", "{}")
    receipt = shell.json("submit", shell.id, "--player", "ada", "--diagnosis", first)
    assert receipt["score"]["points"] == 0.0 and receipt["attempt"] == 1
    truth = shell("reveal", shell.id, "--player", "ada", "--json").stdout
    said = shell.file("truth.json", truth)
    again = shell.json("submit", shell.id, "--player", "bob", "--diagnosis", said)
    assert again["score"]["points"] == pytest.approx(again["score"]["possible"])
    told = shell.json("reveal", shell.id, "--player", "ada", "--full")
    assert Reveal.model_validate(told).truth == Diagnosis.model_validate_json(truth)
    assert "Certificate" in shell("reveal", shell.id, "--player", "ada").stdout


def test_reveal_before_a_submission_is_refused_and_registers_nobody(shell: Shell) -> None:
    refused(shell("reveal", shell.id, "--player", "ada"), "ada", code=NOT_FOUND)
    assert shell.entries() == 0


def test_use_charges_once_and_writes_pictures(shell: Shell) -> None:
    use = ("use", "predict", shell.id, "-o", "examples=0-3", "-o", "top=2", "--player", "ada")
    told = shell.json(*use)
    assert told["cost"] == 4 and not told["cached"] and len(told["exhibits"][0]["tiles"]) == 4
    again = shell.json(*use, "--out", shell.folder / "seen")
    assert again["cost"] == 0 and again["cached"] and again["remaining"] == told["remaining"]
    names = {Path(path).name for path in again["files"]}
    assert names == {"exhibits.json", "01-predictions.png"}
    assert Image.open(shell.folder / "seen" / "01-predictions.png").width > 4 * 128
    kept = json.loads((shell.folder / "seen" / "exhibits.json").read_text())
    assert kept == again["exhibits"]
    assert "0 queries charged" in shell(*use).stdout
    other = shell.json("use", "predict", shell.id, "-o", "examples=4", "--player", "ada")
    assert other["cost"] == 1 and other["remaining"] == told["remaining"] - 1


def test_use_draws_heat_maps_and_takes_a_picture(shell: Shell) -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(data, "PNG")
    picture = shell.file("mine.png", data.getvalue())
    options = ("-o", "check=false", "--picture", picture)
    told = shell.json("use", "gradcam", shell.id, *options, "--out", shell.folder)
    heat = next(exhibit for exhibit in told["exhibits"] if exhibit["kind"] == "heatmap")
    assert "your image" in heat["title"]
    assert sum(path.endswith(".png") for path in told["files"]) == 2
    assert "strongest" in shell("use", "gradcam", shell.id, *options).stdout


def test_options_are_json_words_or_lists(shell: Shell) -> None:
    claim = json.dumps(referee.reveal(shell.house.flawed).truth.claim)
    options = ("-o", "family=patch", "-o", f"claim={claim}", "-o", "n=20", "-o", "controls=0")
    by_comma = shell.json("use", "ablation", shell.id, "-o", "units=conv3:1,conv3:2", *options)
    by_json = shell.json("use", "ablation", shell.id, "-o", 'units=["conv3:1","conv3:2"]', *options)
    assert by_json["cached"] and by_json["exhibits"] == by_comma["exhibits"]


def test_audit_runs_one_or_all(shell: Shell, monkeypatch) -> None:
    (one,) = shell.json("audit", shell.id, "--auditor", "always_clean")
    assert one["player"] == "always_clean" and one["challenge"] == shell.id
    monkeypatch.setattr(registry, "names", lambda kind: ["coin", "empty"])
    both = shell.json("audit", "--all", "--auditor", "empty")
    assert {receipt["challenge"] for receipt in both} == {card["id"] for card in shell.json("list")}
    assert all(receipt["score"]["points"] == 0 for receipt in both)
    everyone = shell.json("audit", shell.id, "--all")
    assert {receipt["player"] for receipt in everyone} == {"coin", "empty"}


def test_standings_count_the_practice_pack(copied: House, tmp_path: Path) -> None:
    copied.flawed.parent.rename(copied.home / "challenges" / "practice")
    shell = Shell(copied, f"sqlite:///{tmp_path / 'record.sqlite3'}", tmp_path)
    if not (copied.home / "challenges" / "practice" / "published.key").is_file():
        key = copied.home / "leaderboard" / "host.key"
        shutil.copy(key, copied.home / "challenges" / "practice" / "published.key")
    assert shell.json("standings") == []
    shell.json("audit", "--all", "--auditor", "always_clean")
    (row,) = shell.json("standings")
    assert row["player"] == "always_clean" and row["played"] == 2
    assert "always_clean" in shell("standings").stdout


# ------------------------------------------------------------------ bad input


def diagnosis(text: str | bytes) -> Callable[[Shell], tuple[Any, ...]]:
    def words(shell: Shell) -> tuple[Any, ...]:
        path = shell.file("said.json", text)
        return ("submit", shell.id, "--player", "ada", "--diagnosis", path)

    return words


def large(shell: Shell) -> tuple[Any, ...]:
    path = shell.folder / "large.json"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    return ("submit", shell.id, "--player", "ada", "--diagnosis", path)


def picture(shell: Shell) -> tuple[Any, ...]:
    path = shell.file("no.png", b"\x89PNG but not really")
    return ("use", "predict", shell.id, "--picture", path)


def recipe(*lines: str) -> Callable[[Shell], tuple[Any, ...]]:
    head = ["name: x", "title: X", "dataset: digits", "model: small_cnn", "families: [patch]"]
    told = {line.split(":")[0]: line for line in head} | {
        line.split(":")[0]: line for line in lines
    }
    return lambda shell: ("build", shell.file("mine.yaml", "\n".join(told.values()) + "\n"))


def use(tool: str, *options: str) -> Callable[[Shell], tuple[Any, ...]]:
    return lambda shell: ("use", tool, shell.id, *(w for o in options for w in ("-o", o)))


UNITS = json.dumps({"units": [f"conv3:{n}" for n in range(9)]})
BAD: dict[str, tuple[Callable[[Shell], tuple[Any, ...]], tuple[str, ...]]] = {
    "unknown id": (lambda s: ("show", s.id[:-1] + "x"), ("unknown challenge", "did you mean")),
    "unknown verb": (lambda s: ("shwo",), ("shwo",)),
    "missing option": (lambda s: ("submit", s.id), ("--player",)),
    "unknown tool": (use("predcit"), ("unknown tool 'predcit'", "'predict'")),
    "unknown option": (use("predict", "tops=3"), ("unknown option 'tops'", "'top'")),
    "option out of range": (use("predict", "top=11"), ("'top'", "10")),
    "option that is no number": (use("predict", "top=many"), ("'top'",)),
    "option without value": (use("predict", "top"), ("KEY=VALUE",)),
    "option given twice": (use("predict", "top=1", "top=2"), ("twice",)),
    "examples out of range": (use("predict", "examples=9999"), ("9999",)),
    "tool for texts": (use("attention"), ("does not fit image",)),
    "NaN": (diagnosis('{"p_flawed": NaN}'), ("NaN", "finite")),
    "NaN in claim": (diagnosis('{"family": "patch", "claim": {"x": NaN}}'), ("NaN",)),
    "infinity": (diagnosis('{"p_flawed": 1e999}'), ("p_flawed",)),
    "p above 1": (diagnosis('{"p_flawed": 1.5}'), ("p_flawed", "1")),
    "p below 0": (diagnosis('{"p_flawed": -0.1}'), ("p_flawed", "0")),
    "unknown field": (diagnosis('{"p_flaw": 0.5}'), ("p_flaw",)),
    "too many units": (diagnosis(UNITS), ("units", "8")),
    "unit that is none": (diagnosis('{"units": ["conv9:1"]}'), ("conv9",)),
    "unknown family": (diagnosis('{"family": "patsh"}'), ("patsh", "patch")),
    "claim without family": (diagnosis('{"claim": {}}'), ("family",)),
    "class outside": (
        diagnosis('{"family":"patch","claim":{"target":"two hundred"}}'),
        ("claim", "box"),
    ),
    "empty file": (diagnosis(""), ("empty",)),
    "no JSON": (diagnosis("p_flawed: 1"), ("not JSON", "line 1")),
    "no object": (diagnosis("[1]"), ("JSON object",)),
    "nested too deeply": (diagnosis("[" * 200_000), ("nested",)),
    "not UTF-8": (diagnosis(b"\xff\xfe{}"), ("UTF-8",)),
    "100 MB": (large, ("over 1 MB",)),
    "folder": (
        lambda s: ("submit", s.id, "--player", "a", "--diagnosis", s.folder),
        ("is a folder",),
    ),
    "missing file": (
        lambda s: ("submit", s.id, "--player", "a", "--diagnosis", s.folder / "no"),
        ("no such file",),
    ),
    "player without name": (
        lambda s: ("submit", s.id, "--player", " ", "--diagnosis", s.file("e.json", "{}")),
        ("name",),
    ),
    "no picture": (picture, ("picture: cannot be read",)),
    "picture not given": (use("predict", "picture=true"), ("add --picture",)),
    "unknown auditor": (lambda s: ("audit", s.id, "--auditor", "coyn"), ("coyn", "'coin'")),
    "auditor of texts": (lambda s: ("audit", s.id, "--auditor", "word_sweep"), ("does not fit",)),
    "audit of nothing": (lambda s: ("audit",), ("--all",)),
    "check of nothing": (lambda s: ("check",), ("--all",)),
    "check of an empty folder": (lambda s: ("check", s.folder), ("neither",)),
    "leaks of an empty folder": (lambda s: ("leaks", s.folder), ("holds no challenges",)),
    "leaks of a few": (
        lambda s: ("leaks", s.house.flawed.parent),
        ("1 flawed models", "at least 8 are needed"),
    ),
    "check of a missing plug-in": (lambda s: ("check", s.folder / "no.py"), ("no such file",)),
    "recipe field": (recipe("familys: [patch]"), ("mine.yaml", "line 6", "familys")),
    "recipe type": (recipe("budget: lots"), ("mine.yaml", "line 6", "budget")),
    "recipe depth": (recipe("pool: {size: 3}"), ("mine.yaml", "line 6", "pool.size")),
    "recipe YAML": (recipe("title: [x"), ("mine.yaml", "line")),
    "recipe family": (recipe("families: [patsh]"), ("line 5", "patsh", "'patch'")),
    "recipe data set": (recipe("dataset: digts"), ("line 3", "digts", "'digits'")),
    "recipe model": (recipe("model: smal_cnn"), ("line 4", "'small_cnn'")),
    "recipe that does not fit": (recipe("families: [shortcut]"), ("needs factors",)),
    "recipe param": (recipe("params: {patch: {sides: 3}}"), ("sides",)),
    "unknown recipe": (lambda s: ("build", "digts"), ("unknown recipe",)),
    "missing recipe": (lambda s: ("build", s.folder / "no.yaml"), ("no such file",)),
    "references of texts": (lambda s: ("references", "reviews", "small_cnn"), ("needs images",)),
    "unknown kind": (lambda s: ("new", "flow", "x", "--out", s.folder), ("flow", "'flaw'")),
    "bad name": (lambda s: ("new", "flaw", "9x", "--out", s.folder), ("9x",)),
    "bad port": (lambda s: ("play", "--port", "0"), ("port",)),
}


NOT_FOUND, FORBIDDEN = 3, 5
CODES = {
    "100 MB": FORBIDDEN,
    "check of an empty folder": NOT_FOUND,
    "leaks of an empty folder": NOT_FOUND,
    "unknown id": NOT_FOUND,
    "unknown tool": NOT_FOUND,
    "missing file": NOT_FOUND,
    "unknown auditor": NOT_FOUND,
    "check of a missing plug-in": NOT_FOUND,
    "unknown recipe": NOT_FOUND,
    "missing recipe": NOT_FOUND,
}
"""The exit codes that are not 2."""


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_its_exit_code(name: str, shell: Shell) -> None:
    words, needles = BAD[name]
    refused(shell(*words(shell)), *needles, code=CODES.get(name, 2))
    assert shell.entries() == 0


def test_a_word_outside_the_vocabulary_is_refused(shell: Shell) -> None:
    reviews = registry.load("dataset", "reviews")()
    from auditgame.schema.errors import AuditgameError

    with pytest.raises(AuditgameError, match="unknown word"):
        reviews.encode("the zyxxy is good")


@pytest.mark.parametrize("url", ["foo", "mysql://u:sekrit@h/d", "postgresql://u:sekrit@h:x/d"])
def test_a_wrong_database_is_refused_without_its_password(url: str) -> None:
    result = CliRunner().invoke(app, ["--db", url, "list"])
    refused(result, "database")
    assert "sekrit" not in result.output


def test_a_ledger_that_is_no_database_is_refused(shell: Shell) -> None:
    path = shell.file("text.sqlite3", "x" * 5000)
    refused(CliRunner().invoke(app, ["--db", f"sqlite:///{path}", "list"]), "ledger")


def test_a_crash_shows_no_secrets(shell: Shell, monkeypatch) -> None:
    assert not app.pretty_exceptions_enable
    key = referee.open_key(shell.house.flawed)
    assert key.seed not in repr(key) and key.salt not in f"{key}"


# ------------------------------------------------------------------ building and proving


def made(shell: Shell) -> Callable[..., Path]:
    def build(recipe: Any, seed: Any, out: Path, report: Any, **_: Any) -> Path:
        for share in (0.0, 0.001, 0.5, 1.0):
            report("train", share, "training")
        return shutil.copytree(shell.house.flawed, out / shell.id)

    return build


def test_build_reports_line_by_line(shell: Shell, monkeypatch) -> None:
    monkeypatch.setattr(build, "build", made(shell))
    _, path = recipe()(shell)
    progress, out = shell.folder / "progress.jsonl", shell.folder / "out"
    told = shell.json("build", path, "--seed", 3, "--out", out, "--progress", progress)
    assert told["id"] == shell.id and Path(told["path"]).is_dir()
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    assert [line["share"] for line in lines[:-1]] == [0.0, 0.5, 1.0]
    assert lines[-1] == {"done": told["path"]}


def test_build_that_is_not_certified_exits_1(shell: Shell, monkeypatch) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise build.BuildFailed("x: not certified", FAILING)

    monkeypatch.setattr(build, "build", refuse)
    _, path = recipe()(shell)
    progress = shell.folder / "progress.jsonl"
    result = shell("build", path, "--progress", progress, "--json")
    assert result.exit_code == 1 and result.stderr == "auditgame: x: not certified\n"
    assert json.loads(result.stdout)["certificate"]["passed"] is False
    last = json.loads(progress.read_text().splitlines()[-1])
    assert Certificate.model_validate(last["certificate"]) == FAILING


def test_build_tells_bad_input_in_its_progress_too(shell: Shell) -> None:
    progress = shell.folder / "progress.jsonl"
    _, path = recipe("model: nope")(shell)
    refused(shell("build", path, "--progress", progress), "nope")
    assert "nope" in json.loads(progress.read_text())["failed"]


@pytest.mark.parametrize(("found", "code"), [(PASSING, 0), (FAILING, 1)])
def test_check_ends_as_the_certificate_does(
    found: Certificate, code: int, shell: Shell, monkeypatch
) -> None:
    monkeypatch.setattr(verification, "check_bundle", lambda folder: found)
    for target in (shell.id, shell.house.flawed):
        result = shell("check", target, "--json")
        assert result.exit_code == code
        assert json.loads(result.stdout)[shell.id]["passed"] is found.passed
    assert ("FAIL" in shell("check", shell.id).stdout) is not found.passed


def test_check_measures_a_reference_model(shell: Shell) -> None:
    folder = shell.house.home / "challenges" / "references" / "digits.small_cnn" / "0"
    (told,) = shell.json("check", folder).values()
    assert told["passed"] and {check["name"] for check in told["checks"]} >= {"clean accuracy"}


def test_check_of_a_tampered_bundle_is_refused(copied: House, tmp_path: Path) -> None:
    shell = Shell(copied, f"sqlite:///{tmp_path / 'record.sqlite3'}", tmp_path)
    with (copied.flawed / "examples.json").open("a") as file:
        file.write(" ")
    refused(shell("check", copied.flawed), "was changed")


def test_check_all_measures_every_bundle_and_reference_model(shell: Shell, monkeypatch) -> None:
    monkeypatch.setattr(verification, "check_reference", lambda folder: PASSING)
    told = shell.json("check", "--all")
    assert len(told) == 3 and all(proof["passed"] for proof in told.values())


def test_new_recipe_passes_its_check_and_is_not_overwritten(shell: Shell) -> None:
    path = shell.json("new", "recipe", "my-first", "--out", shell.folder)["path"]
    assert shell.json("check", path)["name"] == "my-first"
    refused(shell("new", "recipe", "my-first", "--out", shell.folder), "exists already", code=4)


def test_new_plugin_is_checked_by_its_file(shell: Shell) -> None:
    path = shell.json("new", "auditor", "mine", "--out", shell.folder)["path"]
    told = shell.json("check", path)
    assert told["name"] == "mine" and all(rule["fault"] is None for rule in told["rules"])
    Path(path).write_text(Path(path).read_text().replace('"""Do wrong', '"""', 1))
    Path(path).write_text(Path(path).read_text().replace("frozenset({", "frozenset({'smell', ", 1))
    result = shell("check", path, "--json")
    assert result.exit_code == 1
    assert any(rule["fault"] for rule in json.loads(result.stdout)["rules"])
