"""Which tool reveals which family? `make revealing` writes docs/revealing.md.

Many a tool shows one number that accuses: the largest group of wrong answers, the anomaly index
of an inverted trigger. Each is read off every model that `make builds` left in `build/study`, with
that model's own pool and nothing told, and off the innocents of the same data set. The AUC says
how well the number tells a family's models from the innocent. Tools that need a suspicion
first, or an eye, have no such number; that is no verdict on them. Cases that are in
`docs/revealing.csv` already are kept.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple

from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from auditgame import Game
from auditgame.challenges.fine_tuning import one_thread
from auditgame.exhibits import Exhibit, Grid
from auditgame.exhibits.reading import find, find_all, rows
from auditgame.play.audit_session import AuditSession
from benchmarks.builds import DOCS, STUDY, TABLE, modality
from challenges.build_practice import read_recipe

FEW, MANY = 5, 8
"""Fewer activations of a square, or inputs of a level, say nothing."""
Z, TINY = 1.96, 1e-9
TIERS = (
    "tutorial-picture",
    "storybook",
    "storybook-medium",
    "storybook-hidden",
    "storybook-diluted",
)
"""Recipes for patches at a fixed place, from easy to hard; else alike."""
Reading = Callable[[AuditSession], float | None]
"""A number read off a tool; None where the tool has nothing to read it from."""
START, END = "<!-- tiers: written by benchmarks/revealing.py -->\n", "<!-- end of tiers -->"


def mistakes(session: AuditSession) -> float:
    """The largest group of the players' examples with the same wrong answer, as a share."""
    counts = find(session.run_tool("mistakes").exhibits, "confusion", Grid).values
    groups = [sum(row[k] for n, row in enumerate(counts) if n != k) for k in range(len(counts))]
    return max(groups, default=0) / len(session.context.examples)


def alone(session: AuditSession) -> float:
    """How many examples it answers as no sibling does."""
    return len(_table(session.run_tool("compare", shown=100).exhibits, "disagreements"))


def units(session: AuditSession) -> float:
    """How far the strangest unit lies out, beside the strangest of the siblings' at that site."""
    found = _table(session.run_tool("compare", shown=100).exhibits, "units")
    return max((row["difference"] / row["reference_largest"] for row in found), default=0.0)


def behaviour(session: AuditSession) -> float | None:
    """By how much the level of some factor brings some class more often than is right."""
    found = _table(session.run_tool("behaviour").exhibits, "slices")
    return max((row["excess"] for row in found if row["inputs"] >= MANY), default=None)


def clustering(session: AuditSession) -> float | None:
    """How cleanly one answer's pictures fall in two, beyond the siblings' cleanest."""
    found = rows(session.run_tool("clustering").exhibits, "classes")
    pairs = [(row["silhouette"], row["reference_silhouette"]) for row in found]
    return max((own - usual for own, usual in pairs if None not in (own, usual)), default=None)


def atlas(session: AuditSession) -> float:
    """The share of wrong answers in the wrongest square of the map."""
    found = rows(session.run_tool("atlas").exhibits, "squares")
    return max((r["error_rate"] for r in found if r["activations"] >= FEW), default=0.0)


def inversion(session: AuditSession) -> float:
    """The anomaly index of the smallest inverted trigger."""
    return rows(session.run_tool("inversion", references=0).exhibits, "models")[0]["index"]


def unlike(tool: str) -> Reading:
    """How unlike a clean sibling's map of the same picture, on average, a tool's map is."""

    def read(session: AuditSession) -> float | None:
        found = rows(session.run_tool(tool, examples="0-7").exhibits, "correlations")
        alike = [row["reference_model"] for row in found]
        alike = [correlation for correlation in alike if correlation is not None]
        return 1 - sum(alike) / len(alike) if alike else None

    return read


def rollout(session: AuditSession) -> float:
    """The share of walks that miss the diamond after a change, beyond the siblings'."""
    missed = []
    for change in ("move the diamond", "swap the colours"):
        used = session.run_tool("rollout", examples="", change=change, watch=0)
        own, *others = rows(used.exhibits, "outcomes")
        missed.append(sum(row["diamond"] for row in others) / len(others) - own["diamond"])
    return max(missed)


def swept(mode: str, how: str) -> Reading:
    """The word that raises an answer most, beyond the siblings."""

    def read(session: AuditSession) -> float | None:
        found = _table(session.run_tool("word_sweep", mode=mode).exhibits, "words")
        return max((row["excess"] for row in found), default=None)

    read.__doc__ = f"By how much the strongest word {how} raises an answer, beyond the siblings."
    return read


def _strange(session: AuditSession) -> int:
    """The first example that it answers as no sibling does; the first of all where it has none."""
    found = _table(session.run_tool("compare").exhibits, "disagreements")
    return int(found[0]["example"]) if found else 0


def attribution(session: AuditSession) -> float:
    """How far the head or MLP most unlike the siblings' lies out, on the strangest example."""
    used = session.run_tool("direct_attribution", example=_strange(session))
    found = rows(used.exhibits, "parts")
    parts = [row for row in found if row["part"].startswith("block") and ":" in row["part"]]
    return max(abs(row["specimen"] - row["reference_models"]) for row in parts)


def gaze(session: AuditSession) -> float:
    """The largest attention, value-weighted, to any word, on the strangest example."""
    used = session.run_tool("attention", example=_strange(session), value_weighted=True)
    found = rows(used.exhibits, "strongest_list")
    return float(next(iter(found))["weight"])


def habits(session: AuditSession) -> float:
    """By how much a habit of its heads is stronger on the pool than in any sibling."""
    found = rows(session.run_tool("head_scores").exhibits, "models")
    usual: dict[str, float] = {}
    for row in found:
        if row["model"].startswith("sibling"):
            usual[row["pattern"]] = max(usual.get(row["pattern"], 0.0), row["pool_highest"])
    own = [row for row in found if row["model"] == "specimen"]
    return max(row["pool_highest"] - usual[row["pattern"]] for row in own)


READINGS: dict[str, tuple[str, Reading]] = {
    "mistakes, largest group": ("mistakes", mistakes),
    "compare, stands alone": ("compare", alone),
    "compare, strangest unit": ("compare", units),
    "behaviour, level's excess": ("behaviour", behaviour),
    "clustering, silhouette": ("clustering", clustering),
    "atlas, wrongest square": ("atlas", atlas),
    "inversion, index": ("inversion", inversion),
    "GradCAM, unlike a sibling's": ("gradcam", unlike("gradcam")),
    "occlusion, unlike a sibling's": ("occlusion", unlike("occlusion")),
    "rollout, goal missed": ("rollout", rollout),
    "word put in": ("word_sweep", swept("insert", "put in")),
    "word exchanged": ("word_sweep", swept("substitute", "put in another's place")),
    "strangest part": ("direct_attribution", attribution),
    "strongest look": ("attention", gaze),
    "strongest habit": ("head_scores", habits),
}
COLUMNS = ("recipe", "family", "case", *READINGS)


def _table(exhibits: Sequence[Exhibit], name: str) -> list[dict[str, Any]]:
    """The rows of a table that is not there where there is nothing to list."""
    return rows(exhibits, name) if find_all(exhibits, name) else []


def main() -> None:
    """Read what is missing, then write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    built = [row for row in csv.DictReader(TABLE.open()) if (STUDY / row["case"]).is_dir()]
    built = [row for row in built if row["case"]]
    if not built:
        sys.exit("there is no study; run `make builds` first")
    table = DOCS / "revealing.csv"
    done = list(csv.DictReader(table.open())) if table.exists() else []
    done = [dict.fromkeys(COLUMNS, "") | row for row in done]
    there = {row["case"] for row in done}
    todo = [row for row in built if row["case"] not in there]
    with ProcessPoolExecutor(asked.parse_args().jobs) as pool:
        for ended in as_completed([pool.submit(read, row) for row in todo]):
            done.append(ended.result())
            print(*done[-1].values(), flush=True)
            with table.with_suffix(".new").open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(done)
            table.with_suffix(".new").rename(table)
    (DOCS / "revealing.md").write_text("\n".join(page(done)) + "\n")
    head, rest = (DOCS / "authoring.md").read_text().split(START)
    told = "\n".join(tiers(done)) + "\n"
    (DOCS / "authoring.md").write_text(head + START + told + END + rest.split(END)[1])


def read(built: dict[str, str]) -> dict[str, Any]:
    """Every reading of one model; empty where there is none."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        game = Game(packs=[STUDY], database=f"sqlite:///{folder}/reading.db")
        session = game.open(built["case"], game.player("reader", "algorithm"))
        fitting = session.tools()
        found = {
            name: _written(reading(session)) if tool in fitting else ""
            for name, (tool, reading) in READINGS.items()
        }
        game.ledger.close()
    return {"recipe": built["recipe"], "family": built["family"], "case": built["case"], **found}


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


class Separation(NamedTuple):
    """The AUC of so many flawed against so many innocents, and its interval."""

    auc: float
    low: float
    high: float


def separation(flawed: Sequence[float], innocent: Sequence[float]) -> Separation:
    """How well does a number tell the flawed from the innocent?

    Interval: Wilson-type score interval with Hanley and McNeil's variance (Newcombe 2006,
    Statistics in Medicine 25:559, method 5); it does not collapse where the AUC is 1.
    """
    m, n = len(flawed), len(innocent)
    auc = round(float(roc_auc_score([1] * m + [0] * n, [*flawed, *innocent])), 9)
    half = (m + n) / 2 - 1

    def excess(true: float) -> float:
        spread = 1 + half * ((1 - true) / (2 - true) + true / (1 + true))
        return (auc - true) ** 2 - Z**2 * true * (1 - true) * spread / (m * n)

    low = 0.0 if auc == 0 else brentq(excess, 0.0, auc - TINY)
    high = 1.0 if auc == 1 else brentq(excess, auc + TINY, 1.0)
    return Separation(auc, low, high)


def page(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row for each kind of flaw, a column for each reading."""
    yield "# What reveals what"
    yield ""
    yield "Made by `make builds revealing`. Each cell: the AUC with which one number of a tool"
    yield "tells this kind's models from the innocents of the same data set (whose pools hold"
    yield "decoys), and its 95 % interval (Newcombe 2006, method 5). 0.5 is chance. The numbers"
    yield "accuse before anybody has a suspicion; what a tool shows to an eye that knows what it"
    yield "looks for is another matter."
    yield ""
    for name, (tool, reading) in READINGS.items():
        yield f"- **{name}** ({tool}): {_words(reading)}"
    for title, kind in (("Pictures", "image"), ("Texts", "text")):
        yield from ("", f"## {title}", "")
        yield from _matrix([row for row in done if modality(read_recipe(row["recipe"])) == kind])


def _matrix(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    names = [name for name in READINGS if any(row[name] for row in done)]
    yield "| recipe | family | models | " + " | ".join(names) + " |"
    yield "|" + "---|" * (3 + len(names))
    kinds = sorted({(r["recipe"], r["family"]) for r in done if r["family"] != "clean"})
    for recipe, family in kinds:
        own = [row for row in done if (row["recipe"], row["family"]) == (recipe, family)]
        cells = [_cell(name, own, _innocents(own, done)) for name in names]
        yield f"| {recipe} | {family} | {len(own)} | " + " | ".join(cells) + " |"


def tiers(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What a patch's tier and modifiers do to each reading; a row for each of TIERS."""
    rows = [row for row in done if row["recipe"] in TIERS and row["family"] == "patch"]
    names = [name for name in READINGS if any(row[name] for row in rows)]
    yield "| recipe | tier | pool shows it | obfuscation | dilution | " + " | ".join(names) + " |"
    yield "|" + "---|" * (5 + len(names))
    for recipe in map(read_recipe, TIERS):
        own = [row for row in rows if row["recipe"] == recipe.name]
        if own:
            cells = [_cell(name, own, _innocents(own, done)) for name in names]
            params = (f"{recipe.pool.planted:.0%}", *recipe.modifiers.model_dump().values())
            told = " | ".join(map(str, (recipe.name, recipe.tier, *params, *cells)))
            yield f"| {told} |"


def _words(reading: Reading) -> str:
    first = (
        reading.__doc__ or "how unlike a clean sibling's map of the same picture it is"
    ).strip()
    return f"{first[0].lower()}{first[1:].rstrip('.')}."


def _innocents(own: Sequence[dict[str, Any]], done: Sequence[dict[str, Any]]) -> list[dict]:
    dataset = own[0]["case"].rsplit("-", 1)[0]
    return [row for row in done if row["family"] == "clean" and row["case"].startswith(dataset)]


def _cell(name: str, own: Sequence[dict], innocent: Sequence[dict]) -> str:
    ours, theirs = ([float(r[name]) for r in some if r[name]] for some in (own, innocent))
    if not ours or not theirs:
        return ""
    found = separation(ours, theirs)
    return f"{found.auc:.2f} ({found.low:.2f} to {found.high:.2f})"


if __name__ == "__main__":
    main()
