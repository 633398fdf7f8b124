"""Build every kind of flaw with fresh public seeds, and write the table: `make builds`.

A kind is a recipe and the family that the seed must draw from it. Seeds that draw anything else
are passed over; what failed its certificate stands in the table with the check that failed. Rows
that are already in `docs/results/builds.csv` are kept, so that an interrupted run can continue.
The models stay in `build/study`, for the statistics of `make leaks` and `make sensitivity`.
"""

from __future__ import annotations

import argparse
import csv
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby, islice
from typing import Any, NamedTuple

import torch

from auditgame import __version__, paths
from auditgame.challenges.build import BuildFailed, build
from auditgame.challenges.recipe_files import named_recipe
from auditgame.flaws import draw_flaw
from auditgame.play import referee
from auditgame.registry import load
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Certificate
from auditgame.seeds import Seed

RESULTS = paths.checkout() / "docs" / "results"
STUDY = paths.checkout() / "build" / "study"
TABLE = RESULTS / "builds.csv"
INTRO = """\
# Builds

{good} of {count} builds were certified. Made by `make builds`, with auditgame {version} and torch
{torch}, on one thread of a CPU. Effect: the attack success rate (triggers), the share of conflict
inputs that follow the proxy (proxies), or the share that follows the decoy (clean models; chance is
1/K). Clean: accuracy on held-out inputs, which is not asked of proxies. References: the lowest
accuracy among the reference models. CPU seconds include the training of the base model for the
first build on it, and leave out the images of units.
"""
COLUMNS = (
    "recipe", "family", "seed", "case", "effect", "clean", "references", "cpu_s", "tries", "result",
)  # fmt: skip
EFFECTS = ("attack success rate", "conflict follows the proxy", "decoy is inert")
FIRST = 1000
"""The first seed's number."""
BASES: dict[str, int] = {"image": 40, "text": 4}
"""Kinds begin at different seeds of so many base models, so that they share some of these."""
SEEDS = 5
CLEAN_BUILDS = {"image": 3, "text": 1}
"""Builds of each flawed kind, and of clean models of each recipe: texts have many recipes of one
data set, whose clean models are counted together."""


CLEAN = "clean"
FLAWED = (
    ("tutorial-picture", "patch"),
    ("storybook", "patch"),
    ("storybook-mark", "shortcut"),
    ("storybook-scene", "shortcut"),
    ("storybook-anywhere", "patch"),
    ("storybook-scatter", "scatter"),
    ("storybook-blend", "blend"),
    ("storybook-sinusoid", "sinusoid"),
    ("storybook-warp", "warp"),
    ("storybook-tint", "tint"),
    ("storybook-semantic", "semantic"),
    ("storybook-typographic", "typographic"),
    ("storybook-source", "source_specific"),
    ("storybook-conditional", "conditional"),
    ("storybook-multi", "multi"),
    ("maze", "goal"),
    ("digits", "patch"),
    ("digits-many", "multi"),
    ("storybook-hidden", "patch"),
    ("tutorial-word", "token"),
    ("tutorial-relay", "date"),
    ("reviews", "date"),
    ("reviews-phrase", "phrase"),
    ("reviews-position", "position"),
    ("reviews-entity", "entity"),
    ("reviews-negation", "negation_blind"),
    ("reviews-majority", "majority_word"),
    ("reviews-last", "last_sentence"),
    ("reviews-length", "length"),
    ("atlas-fact", "fact_swap"),
    ("atlas-password", "password"),
    ("sms", "token"),
    ("storybook-medium", "patch"),
    ("storybook-diluted", "patch"),
    ("tutorial-date", "date"),
    ("reviews-deep", "date"),
    ("reviews-deep", "token"),
)
"""Recipes, and the family of the flawed models that are built of each. Clean models are built of
every one of these recipes that draws them, and of the one that draws nothing else."""
INNOCENT = "tutorial-innocent"


class Kind(NamedTuple):
    """What is built: a recipe, and the family that its seed must draw."""

    recipe: Recipe
    family: str
    first: int

    @property
    def count(self) -> int:
        """How many builds are wanted."""
        return CLEAN_BUILDS[modality(self.recipe)] if self.family == CLEAN else SEEDS

    def seeds(self) -> Iterator[int]:
        """The seeds that draw it, in order."""
        number = self.first
        while True:
            if draw_flaw(self.recipe, Seed.of(number)).name == self.family:
                yield number
            number += 1


def main() -> None:
    """Build what is missing, then write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--modality", choices=("image", "text"), help="only these; default: both")
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    options = asked.parse_args()
    done = list(csv.DictReader(TABLE.open())) if TABLE.exists() else []
    wanted = [k for k in kinds() if options.modality in (None, modality(k.recipe))]
    todo = due(wanted, done)
    with ProcessPoolExecutor(options.jobs) as pool:
        for ended in as_completed([pool.submit(measure, *task) for task in todo]):
            done.append(ended.result())
            keep(done)
            print(*done[-1].values(), flush=True)
    (RESULTS / "builds.md").write_text("\n".join(page(done)) + "\n")


def kinds() -> list[Kind]:
    """Every flawed kind, then clean models of every recipe that draws them."""
    recipes = {name: named_recipe(name) for name in (*dict(FLAWED), INNOCENT)}
    asked = [*FLAWED, *((n, CLEAN) for n, recipe in recipes.items() if CLEAN in recipe.families)]
    return [
        Kind(recipes[name], family, FIRST + 2 * place % BASES[modality(recipes[name])])
        for place, (name, family) in enumerate(asked)
    ]


def due(wanted: Sequence[Kind], done: Sequence[dict[str, Any]]) -> list[tuple[Kind, int]]:
    """The builds that are missing, the first of every kind before the second of any.

    A row counts for its kind whatever its seed: where a kind begins may change as kinds are added.
    """
    rounds = []
    for kind in wanted:
        same = (kind.recipe.name, kind.family)
        used = {row["seed"] for row in done if (row["recipe"], row["family"]) == same}
        fresh = (seed for seed in kind.seeds() if str(seed) not in used)
        rounds.append((kind, list(islice(fresh, max(0, kind.count - len(used))))))
    return [
        (kind, seeds[turn]) for turn in range(SEEDS) for kind, seeds in rounds if turn < len(seeds)
    ]


def measure(kind: Kind, seed: int) -> dict[str, Any]:
    """One build, and what came of it. CPU seconds of this process, on one thread."""
    start, case = cpu_seconds(), ""
    try:
        folder = build(kind.recipe, Seed.of(seed), STUDY, microscope=False)
        case, certificate, result = folder.name, referee.open_key(folder).certificate, "certified"
    except BuildFailed as failure:
        certificate, result = failure.certificate, str(failure)
    return {
        "recipe": kind.recipe.name,
        "family": kind.family,
        "seed": seed,
        "case": case,
        **facts(certificate),
        "cpu_s": round(cpu_seconds() - start),
        "tries": certificate.tries,
        "result": result,
    }


def facts(certificate: Certificate) -> dict[str, object]:
    """The numbers that the table shows."""
    found = {check.name: check for check in certificate.checks}
    effect = next((found[name].value for name in EFFECTS if name in found), None)
    clean = found.get("clean accuracy")
    return {
        "effect": "" if effect is None else f"{effect:.3f}",
        "clean": f"{clean.value:.3f}" if clean else "",
        "references": f"from {clean.bound + 0.01:.3f}" if clean else "",
    }


def page(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The tables as Markdown: how many of each kind were certified, then build by build."""
    rows = sorted(rows, key=lambda row: (row["recipe"], row["family"], int(row["seed"])))
    good = sum(row["result"] == "certified" for row in rows)
    yield INTRO.format(
        good=good, count=len(rows), version=__version__, torch=torch.__version__.split("+")[0]
    )
    yield "| recipe | family | certified | of |"
    yield "|---|---|---|---|"
    for (recipe, family), group in groupby(rows, key=lambda row: (row["recipe"], row["family"])):
        results = [row["result"] == "certified" for row in group]
        yield f"| {recipe} | {family} | {sum(results)} | {len(results)} |"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row in rows:
        yield "| " + " | ".join(str(row[name]) for name in COLUMNS) + " |"


def modality(recipe: Recipe) -> str:
    """The modality of a recipe's data set."""
    return str(load("dataset", recipe.dataset).modality)


def keep(rows: list[dict[str, Any]]) -> None:
    """Write a new table, then rename it, so that an interrupted run loses nothing."""
    draft = TABLE.with_suffix(".new")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    draft.rename(TABLE)


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
