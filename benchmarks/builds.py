"""Build every recipe with fresh public seeds and write the table: `make builds`.

What failed its certificate stands in the table with the check that failed. Rows that are in
`docs/builds.csv` already are kept, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml

from auditgame import __version__, places, referee
from auditgame.generate import BuildFailed, build
from auditgame.seeds import Seed
from auditgame.types import Certificate, Recipe

DOCS = places.home() / "docs"
COLUMNS = ("recipe", "seed", "family", "effect", "clean", "siblings", "cpu_s", "tries", "result")
EFFECTS = ("attack success rate", "conflict follows the proxy", "decoy is inert")


def main() -> None:
    """Build what is missing, then write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=3, help="builds of each recipe")
    asked.add_argument("--first", type=int, default=1000, help="the first seed's number")
    options = asked.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    table = DOCS / "builds.csv"
    done = list(csv.DictReader(table.open())) if table.exists() else []
    there = {(row["recipe"], row["seed"]) for row in done}
    with table.open("w", newline="") as file, tempfile.TemporaryDirectory() as out:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(done)
        for path in sorted(places.recipes().glob("*.yaml")):
            recipe = Recipe.model_validate(yaml.safe_load(path.read_text()))
            for seed in seeds:
                if (recipe.name, str(seed)) not in there:
                    done.append(measure(recipe, seed, Path(out)))
                    writer.writerow(done[-1])
                    file.flush()
                    print(*done[-1].values(), flush=True)
    (DOCS / "builds.md").write_text("\n".join(page(done)) + "\n")


def measure(recipe: Recipe, seed: int, out: Path) -> dict[str, object]:
    """One build, and what came of it. CPU seconds of this process, on one thread."""
    start = cpu_seconds()
    try:
        folder = build(recipe, Seed.of(seed), out)
        key = referee.open_key(folder)
        family, certificate, result = key.family, key.certificate, "certified"
    except BuildFailed as failure:
        family, certificate, result = "?", failure.certificate, str(failure)
    return {
        "recipe": recipe.name,
        "seed": seed,
        "family": family,
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
        "siblings": f"from {clean.bound + 0.01:.3f}" if clean else "",
    }


def page(rows: list[dict[str, object]]) -> Iterator[str]:
    """The table as Markdown."""
    good = sum(row["result"] == "certified" for row in rows)
    yield "# Builds"
    yield ""
    yield f"{good} of {len(rows)} builds were certified. Made by `make builds`, with auditgame"
    yield f"{__version__} and torch {torch.__version__.split('+')[0]}, on one thread of a CPU."
    yield "Effect: attack success rate (triggers), share of conflict inputs that follow the proxy"
    yield "(shortcuts), share that follows the decoy (innocents; chance is 1/K). Siblings: the"
    yield "lowest clean accuracy among them. Shortcuts are not asked for clean accuracy. CPU"
    yield "seconds include the training of the base."
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for row in rows:
        yield "| " + " | ".join(str(row[name]) for name in COLUMNS) + " |"


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
