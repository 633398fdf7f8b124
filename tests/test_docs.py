"""The code in the tutorials and how-to guides runs, and the site says all there is to say."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
from typer.testing import CliRunner

import auditgame
from auditgame.challenges.pack import FixedCase, PackPlan, PlanGroup
from auditgame.cli import app
from auditgame.evaluation import bounds
from auditgame.exhibits import Exhibit
from auditgame.play import scoring
from auditgame.registry import FOLDERS, Kind, load, names
from auditgame.schema.errors import EXIT_CODES, AuditgameError
from auditgame.schema.recipe import Modifiers, Pool, Recipe
from auditgame.ui.glossary import terms
from website import api, architecture, build, command_line
from website.links import dead_links
from website.markdown import escape

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md")) + sorted(
    (ROOT / "docs" / "how-to").glob("*.md")
)
FENCE = re.compile(r'^```(\S*)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
PLAIN = {"text", "toml"}
"""Languages of blocks that nothing can run."""


class Block(NamedTuple):
    """A fenced block: its language, the file it is to be saved as (or ""), and its lines."""

    language: str
    file: str
    code: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; what the game makes goes there, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AUDITGAME_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUDITGAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDITGAME_DATABASE_URL", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.code, page.name, "exec"), names)
        elif block.language == "shell":
            for line in block.code.splitlines():
                run(line, monkeypatch)
        else:
            assert block.language in PLAIN, f"a block of {block.language!r} without a file name"


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of a shell block: an export, or a command of ours in this process."""
    program, *words = shlex.split(line)
    if program == "export":
        monkeypatch.setenv(*words[0].split("=", 1))
    elif words[0] == "play":
        serve(words)
    else:
        assert program == "auditgame"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}: {done.output}"


def serve(words: list[str]) -> None:
    """Start the server as the line says, but on a free port, and visit its first page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "auditgame", *words, "--port", port]
    server = subprocess.Popen(command, env=environment)
    try:
        for _ in range(120):
            assert server.poll() is None, "the server ended at once"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    assert page.status == 200
                return
            except OSError:
                time.sleep(0.5)
        pytest.fail("the server did not start")
    finally:
        server.terminate()
        server.wait(20)


def test_no_block_is_hidden_from_the_test() -> None:
    for page in PAGES:
        found = blocks(page)
        assert page.read_text().count("\n```") == 2 * len(found), page.name
        assert any(block.language in ("python", "shell") for block in found), page.name
        for block in found:
            assert block.language != "text" or not block.code.startswith("auditgame play")


# ------------------------------------------------------------------ completeness


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """Every generated file of the site, under its path."""
    return build.generated()


def test_every_generated_file_is_shown_somewhere(generated: dict[str, str]) -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    for name in generated:
        shown = name if name.startswith("generated/") else "api/*"
        assert shown in pages, name


def test_every_command_and_option_is_described(generated: dict[str, str]) -> None:
    page = generated["generated/commands.md"].replace("\\|", "|")
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    for name, command in command_line.commands().items():
        assert command.help, name
        for one in command.params:
            option = one.opts[0].startswith("-")
            written = one.opts[0] if option else command_line.argument(one).strip("[]")
            row = re.search(rf"^\| `{re.escape(written)}\b.*$", sections[name], re.M)
            assert row, f"{name}: {written} is not there"
            assert row[0].split(" | ")[-1].strip("| "), f"{name}: {written} has no description"


def test_every_field_of_a_recipe_is_described(generated: dict[str, str]) -> None:
    fields = {**Recipe.model_fields}
    fields |= {f"pool.{name}": field for name, field in Pool.model_fields.items()}
    fields |= {f"modifiers.{name}": field for name, field in Modifiers.model_fields.items()}
    for name, field in fields.items():
        assert f"| `{name}` |" in generated["generated/recipe.md"]
        assert field.description, name


def test_every_field_of_a_plan_is_described(generated: dict[str, str]) -> None:
    parts = generated["generated/pack.md"].split("## ")[1:]
    for kind, part in zip((PackPlan, PlanGroup, FixedCase), parts, strict=True):
        for name, field in kind.model_fields.items():
            assert f"| `{name}` |" in part
            assert field.description and escape(field.description) in part, name


def test_every_bound_and_weight_is_shown(generated: dict[str, str]) -> None:
    shown = generated["generated/bounds.md"].splitlines()[2:]
    assert len(shown) == len(bounds.table())
    for row, bound in zip(shown, bounds.table().values(), strict=True):
        for part in (bound.name, str(bound), bound.meaning):
            assert escape(part) in row
    for name in scoring.Weights.model_fields:
        value = getattr(scoring.WEIGHTS, name)
        assert f"| `{name}` | {value:g} |" in generated["generated/weights.md"]


def test_every_kind_of_exhibit_and_error_is_shown(generated: dict[str, str]) -> None:
    for kind in get_args(get_args(Exhibit)[0]):
        section = generated["generated/exhibits.md"].split(f"## {kind.__name__}\n")[1]
        for field in kind.model_fields:
            assert f"| `{field}` |" in section.split("\n## ")[0]
    for error, code in EXIT_CODES.items():
        if error is not AuditgameError:
            assert f"| {code} | {error.__name__} |" in generated["generated/exit-codes.md"]


PLUGINS = [(kind, name) for kind in get_args(Kind) for name in names(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS, ids=lambda part: part)
def test_every_plugin_has_an_entry(kind: Kind, name: str, generated: dict[str, str]) -> None:
    page = generated[f"generated/{FOLDERS[kind]}.md"]
    entry = page.split(f"({kind}-{name})=\n")[1].split("\n(")[0]
    plugin = load(kind, name)
    assert f"`{name}`" in entry
    settings = getattr(plugin, "Options", None) or getattr(plugin, "Params", None)
    for field in settings.model_fields if settings else ():
        assert f"| `{field}` |" in entry


def test_every_module_of_the_interface_has_a_section(generated: dict[str, str]) -> None:
    text = "".join(page for name, page in generated.items() if name.startswith("reference/api/"))
    found = set(re.findall(r"automodule:: (\S+)", text))
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "auditgame").rglob("*.py")
    }
    folders = tuple(f"auditgame.{folder}." for folder in FOLDERS.values())
    for module in files - found - {"auditgame"}:
        entry = module.split(".")[1]
        plugin = module.startswith(folders) and module.count(".") == 2
        assert entry in api.PROGRAMS or plugin or module.startswith(api.LEFT_OUT), module


def test_every_environment_variable_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "auditgame").rglob("*.py"))
    for name in set(re.findall(r"AUDITGAME_[A-Z_]+", source)):
        assert f"| `{name}` |" in page, name


def test_the_picture_of_the_layers_shows_every_entry(generated: dict[str, str]) -> None:
    graph = architecture.import_graph()
    picture, table = generated["generated/layers.svg"], generated["generated/layers.md"]
    for name in graph:
        assert f">{name}</text>" in picture
        assert f"| `{name}` |" in table
    heights = {name: n for n, row in enumerate(reversed(architecture.rows(graph))) for name in row}
    assert all(heights[a] > heights[b] for a, uses in graph.items() for b in uses)


def test_reduction_leaves_out_only_what_follows() -> None:
    graph = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert architecture.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert architecture.rows(graph) == [["a"], ["b"], ["c"]]


def test_the_glossary_is_in_order_and_shown(generated: dict[str, str]) -> None:
    assert list(terms()) == sorted(terms(), key=str.lower)
    for term, meaning in terms().items():
        assert meaning.endswith("."), term
        assert f"**{term}**" in generated["generated/glossary.md"]


def test_every_paper_that_is_named_stands_in_the_bibliography() -> None:
    listed = (ROOT / "docs" / "reference" / "bibliography.md").read_text()
    known = re.findall(r"arXiv:(\d{4}\.\d{4,5})", listed)
    assert len(known) == len(set(known))
    folders = ("auditgame", "benchmarks", "docs", "website")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in files:
        if path.suffix in (".py", ".md"):
            text = " ".join(path.read_text(encoding="utf-8").split())
            for paper in re.findall(r"arXiv:(\d{4}\.\d{4,5})", text):
                assert paper in known, f"{path}: arXiv:{paper}"


def test_the_citation_names_this_version() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == auditgame.__version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (
        f"## {citation['version']}, {citation['date-released']}"
        in (ROOT / "CHANGELOG.md").read_text()
    )


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#here">1</a><a href="b.html#gone">2</a>'
        '<a href="c.html">3</a><a href="#top">4</a><a href="https://example.org">5</a>'
        '<img src="https://example.org/x.png">'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    found = [(link, reason) for _, link, reason in dead_links(tmp_path)]
    assert found == [
        ("https://example.org/x.png", "is loaded from another host"),
        ("b.html#gone", "there is no such anchor"),
        ("c.html", "there is no such file"),
    ]
