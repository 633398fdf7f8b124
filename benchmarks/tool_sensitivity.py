"""Which tool detects which family of flaws? `make sensitivity`.

Many tools show a number that can serve as a detector: the size of the largest group of wrong
answers, the anomaly index of an inverted trigger. Each is measured on every model that
`make builds` left in `build/study`, with that model's own pool and no other information, and on
the clean models of the same data set. The AUC says how well the number separates a family's models
from clean ones. Tools that need a hypothesis first, or a person's eye, have no such number; that
says nothing against them. Cases that are already in `docs/results/tool-sensitivity.csv` are kept.
Writes docs/results/tool-sensitivity.md.
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
from auditgame.challenges.recipe_files import named_recipe
from auditgame.exhibits import Exhibit, Grid
from auditgame.exhibits.reading import find, find_all, rows
from auditgame.play.audit_session import AuditSession
from benchmarks.builds import RESULTS, STUDY, TABLE, modality

FEW, MANY = 5, 8
"""Squares with fewer activations and levels with fewer inputs are left out."""
Z, TINY = 1.96, 1e-9
TIERS = (
    "tutorial-picture",
    "storybook",
    "storybook-medium",
    "storybook-hidden",
    "storybook-diluted",
)
"""Recipes for patches at a fixed position, from easy to hard, otherwise alike."""
Measure = Callable[[AuditSession], float | None]
"""A number from a tool's exhibits; None where the tool has nothing to take it from."""


def mistakes(session: AuditSession) -> float:
    """The largest group of the players' examples with the same wrong answer, as a share."""
    counts = find(session.run_tool("mistakes").exhibits, "confusion", Grid).values
    groups = [sum(row[k] for n, row in enumerate(counts) if n != k) for k in range(len(counts))]
    return max(groups, default=0) / len(session.context.examples)


def alone(session: AuditSession) -> float:
    """The number of examples that it answers unlike every reference model."""
    return len(_table(session.run_tool("compare", shown=100).exhibits, "disagreements"))


def units(session: AuditSession) -> float:
    """Deviation of the most unusual unit, relative to that of the reference models at its site."""
    found = _table(session.run_tool("compare", shown=100).exhibits, "units")
    return max((row["difference"] / row["reference_largest"] for row in found), default=0.0)


def behaviour(session: AuditSession) -> float | None:
    """The largest excess of an answer over the right share, on one level of a factor."""
    found = _table(session.run_tool("behaviour").exhibits, "slices")
    return max((row["excess"] for row in found if row["inputs"] >= MANY), default=None)


def clustering(session: AuditSession) -> float | None:
    """How clearly one answer's images form two clusters, beyond the reference models' clearest."""
    found = rows(session.run_tool("clustering").exhibits, "classes")
    pairs = [(row["silhouette"], row["reference_silhouette"]) for row in found]
    return max((own - usual for own, usual in pairs if None not in (own, usual)), default=None)


def atlas(session: AuditSession) -> float:
    """The error rate in the square of the map where it is highest."""
    found = rows(session.run_tool("atlas").exhibits, "squares")
    return max((r["error_rate"] for r in found if r["activations"] >= FEW), default=0.0)


def inversion(session: AuditSession) -> float:
    """The anomaly index of the smallest inverted trigger."""
    return rows(session.run_tool("inversion", references=0).exhibits, "models")[0]["index"]


def unlike(tool: str) -> Measure:
    """How much a tool's map differs from a reference model's, on average over images."""

    def read(session: AuditSession) -> float | None:
        found = rows(session.run_tool(tool, examples="0-7").exhibits, "correlations")
        alike = [row["reference_model"] for row in found]
        alike = [correlation for correlation in alike if correlation is not None]
        return 1 - sum(alike) / len(alike) if alike else None

    return read


def rollout(session: AuditSession) -> float:
    """The share of rollouts that miss the diamond after a change, beyond the reference models'."""
    missed = []
    for change in ("move the diamond", "swap the colours"):
        used = session.run_tool("rollout", examples="", change=change, watch=0)
        own, *others = rows(used.exhibits, "outcomes")
        missed.append(sum(row["diamond"] for row in others) / len(others) - own["diamond"])
    return max(missed)


def swept(mode: str, how: str) -> Measure:
    """The word that raises an answer most, beyond the reference models."""

    def read(session: AuditSession) -> float | None:
        found = _table(session.run_tool("word_sweep", mode=mode).exhibits, "words")
        return max((row["excess"] for row in found), default=None)

    read.__doc__ = (
        f"By how much one {how} word raises an answer at most, beyond the reference models."
    )
    return read


def _unusual(session: AuditSession) -> int:
    """The first example that it answers unlike every reference model; else the first of all."""
    found = _table(session.run_tool("compare").exhibits, "disagreements")
    return int(found[0]["example"]) if found else 0


def attribution(session: AuditSession) -> float:
    """Deviation of the most unusual head or MLP, on the first deviating answer."""
    used = session.run_tool("direct_attribution", example=_unusual(session))
    found = rows(used.exhibits, "parts")
    parts = [row for row in found if row["part"].startswith("block") and ":" in row["part"]]
    return max(abs(row["specimen"] - row["reference_models"]) for row in parts)


def gaze(session: AuditSession) -> float:
    """The largest value-weighted attention to any word, on the first deviating answer."""
    used = session.run_tool("attention", example=_unusual(session), value_weighted=True)
    found = rows(used.exhibits, "strongest_list")
    return float(next(iter(found))["weight"])


def habits(session: AuditSession) -> float:
    """By how much a head score on the pool exceeds that of every reference model."""
    found = rows(session.run_tool("head_scores").exhibits, "models")
    usual: dict[str, float] = {}
    for row in found:
        if row["model"].startswith("reference"):
            usual[row["pattern"]] = max(usual.get(row["pattern"], 0.0), row["pool_highest"])
    own = [row for row in found if row["model"] == "specimen"]
    return max(row["pool_highest"] - usual[row["pattern"]] for row in own)


MEASURES: dict[str, tuple[str, Measure]] = {
    "mistakes: largest group": ("mistakes", mistakes),
    "compare: deviating answers": ("compare", alone),
    "compare: most unusual unit": ("compare", units),
    "behaviour: excess of a level": ("behaviour", behaviour),
    "clustering: silhouette": ("clustering", clustering),
    "atlas: highest error rate": ("atlas", atlas),
    "inversion: anomaly index": ("inversion", inversion),
    "GradCAM: dissimilarity": ("gradcam", unlike("gradcam")),
    "occlusion: dissimilarity": ("occlusion", unlike("occlusion")),
    "rollout: missed goals": ("rollout", rollout),
    "word sweep: insertion": ("word_sweep", swept("insert", "inserted")),
    "word sweep: substitution": ("word_sweep", swept("substitute", "substituted")),
    "direct attribution: most unusual component": ("direct_attribution", attribution),
    "attention: largest weight": ("attention", gaze),
    "head scores: largest excess": ("head_scores", habits),
}
INTRO = """\
# Tool sensitivity

Made by `make builds sensitivity`. How well does one number of a tool detect a flaw before anybody
has a hypothesis? Each cell holds the AUC with which the number separates the models of a recipe
from the clean models of the same data set (whose pools contain decoys), and its 95 % interval
(Newcombe 2006, method 5). 0.5 is chance. What a tool shows to a person who knows what to look for
is another matter.
"""
COLUMNS = ("recipe", "family", "case", *MEASURES)


def _table(exhibits: Sequence[Exhibit], name: str) -> list[dict[str, Any]]:
    """The rows of a table that is not there where there is nothing to list."""
    return rows(exhibits, name) if find_all(exhibits, name) else []


def main() -> None:
    """Measure what is missing, then write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    built = [row for row in csv.DictReader(TABLE.open()) if (STUDY / row["case"]).is_dir()]
    built = [row for row in built if row["case"]]
    if not built:
        sys.exit("there is no study; run `make builds` first")
    table = RESULTS / "tool-sensitivity.csv"
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
    (RESULTS / "tool-sensitivity.md").write_text("\n".join(page(done)) + "\n")


def read(built: dict[str, str]) -> dict[str, Any]:
    """Every number of one model; empty where there is none."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        game = Game(packs=[STUDY], database=f"sqlite:///{folder}/reading.db")
        session = game.open(built["case"], game.player("reader", "algorithm"))
        fitting = session.tools()
        found = {
            name: _written(measure(session)) if tool in fitting else ""
            for name, (tool, measure) in MEASURES.items()
        }
        game.ledger.close()
    return {"recipe": built["recipe"], "family": built["family"], "case": built["case"], **found}


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


class Separation(NamedTuple):
    """The AUC of flawed against clean models, and its 95 % interval."""

    auc: float
    low: float
    high: float


def separation(flawed: Sequence[float], innocent: Sequence[float]) -> Separation:
    """How well does a number separate flawed from clean models?

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
    """The page: for each kind of flaw, and for each tier, how well each number detects it."""
    yield INTRO
    for name, (tool, measure) in MEASURES.items():
        yield f"- **{name}** ({tool}): {_words(measure)}"
    for title, kind in (("Image models", "image"), ("Text models", "text")):
        yield from ("", f"## {title}", "")
        yield from _matrix([row for row in done if modality(named_recipe(row["recipe"])) == kind])
    yield from ("", "## Tiers and modifiers", "")
    yield "The same numbers on patches, from easy to hard. The pool shows the trigger in so many of"
    yield "the players' examples; obfuscation and dilution are the recipe's modifiers."
    yield ""
    yield from tiers(done)


def _matrix(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    names = [name for name in MEASURES if any(row[name] for row in done)]
    yield "| recipe | family | models | " + " | ".join(names) + " |"
    yield "|" + "---|" * (3 + len(names))
    kinds = sorted({(r["recipe"], r["family"]) for r in done if r["family"] != "clean"})
    for recipe, family in kinds:
        own = [row for row in done if (row["recipe"], row["family"]) == (recipe, family)]
        cells = [_cell(name, own, _clean(own, done)) for name in names]
        yield f"| {recipe} | {family} | {len(own)} | " + " | ".join(cells) + " |"


def tiers(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row for each of TIERS."""
    rows = [row for row in done if row["recipe"] in TIERS and row["family"] == "patch"]
    names = [name for name in MEASURES if any(row[name] for row in rows)]
    yield (
        "| recipe | tier | examples with trigger | obfuscation | dilution | "
        + " | ".join(names)
        + " |"
    )
    yield "|" + "---|" * (5 + len(names))
    for recipe in map(named_recipe, TIERS):
        own = [row for row in rows if row["recipe"] == recipe.name]
        if own:
            cells = [_cell(name, own, _clean(own, done)) for name in names]
            params = (f"{recipe.pool.planted:.0%}", *recipe.modifiers.model_dump().values())
            told = " | ".join(map(str, (recipe.name, recipe.tier, *params, *cells)))
            yield f"| {told} |"


def _words(measure: Measure) -> str:
    first = (
        measure.__doc__
        or "how much its map differs from a reference model's, on average over images"
    ).strip()
    return f"{first[0].lower()}{first[1:].rstrip('.')}."


def _clean(own: Sequence[dict[str, Any]], done: Sequence[dict[str, Any]]) -> list[dict]:
    dataset = own[0]["case"].rsplit("-", 1)[0]
    return [row for row in done if row["family"] == "clean" and row["case"].startswith(dataset)]


def _cell(name: str, own: Sequence[dict], clean: Sequence[dict]) -> str:
    ours, theirs = ([float(r[name]) for r in some if r[name]] for some in (own, clean))
    if not ours or not theirs:
        return ""
    found = separation(ours, theirs)
    return f"{found.auc:.2f} ({found.low:.2f} to {found.high:.2f})"


if __name__ == "__main__":
    main()
