"""The leak audit on fresh models: `make leaks` builds them, measures them, and writes the page.

Every model grows from a base of its own. For each family one flawed model and one clean model
with that family's cue as its decoy are built in turn, so that the two kinds differ in the flaw
alone. What was measured is kept in `docs/results/leaks.csv`, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from auditgame import paths
from auditgame.challenges.build import BuildFailed, build
from auditgame.evaluation import chance
from auditgame.evaluation.leak_audit import BOUND, ENOUGH, LeakAudit, LeakRow, audit
from auditgame.flaws import draw_flaw
from auditgame.flaws.clean import Clean
from auditgame.play.leak_measurement import measure
from auditgame.play.referee import open_key
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed

RESULTS = paths.checkout() / "docs" / "results"
TABLE = RESULTS / "leaks.csv"
COLUMNS = ("modality", "recipe", "family", "flawed", "seed", "tries", "result", "numbers")
FIRST = 20_000
"""The first seed's number; each model takes the next ones until one draws what is wanted."""
APART = 100
"""Seeds kept for one model."""
WANTED = ENOUGH
KINDS = {
    "image": (
        ("digits", "patch"),
        ("storybook", "patch"),
        ("storybook", "scatter"),
        ("storybook", "blend"),
        ("digits", "multi"),
        ("storybook", "sinusoid"),
        ("storybook", "tint"),
        ("storybook", "conditional"),
        ("storybook", "patch"),
        ("storybook", "warp"),
        ("storybook", "source_specific"),
        ("storybook", "multi"),
    ),
    "text": (
        ("reviews", "token"),
        ("reviews", "position"),
        ("reviews", "phrase"),
        ("sms", "token"),
        ("atlas", "password"),
    ),
}
"""Data sets and families whose cue no ordinary input shows, in the order of their turns."""
MODELS = {"image": "small_cnn", "text": "gpt2"}
FEW = ", as they must with so few models."
"""The end of the sentence that counts intervals, where the audit is not conclusive."""
SHOWN = 20
"""Lines of each table: the numbers that separate best."""
INTRO = f"""\
# Leaks

Can numbers that need no audit tell flawed models from clean ones? Made by `make leaks`: fresh
models, each from a base of its own; for every family as many flawed ones as clean ones with that
family's cue as their decoy. Cells: the AUC, the larger of both directions, with the 95 % interval
over base models. With {ENOUGH} models of each kind a number that does not leak has its interval
below {BOUND:.2f}. What each number is: `auditgame/evaluation/leak_statistics.py`. Families that
answer ordinary inputs wrongly by their nature (shortcuts and other proxies) are not among them;
their pages in the field guide say so.
"""


class Wish(NamedTuple):
    """One model that is wanted; `number` counts the models of a modality and kind."""

    modality: str
    dataset: str
    family: str
    flawed: bool
    number: int

    @property
    def recipe(self) -> Recipe:
        """A recipe that draws this family, or no flaw with its cue as the decoy."""
        return Recipe(
            name=f"leaks-{self.dataset}",
            title="Leak audit",
            dataset=self.dataset,
            model=MODELS[self.modality],
            families={self.family: 1.0, "clean": 1.0},
            pool={"size": 120, "planted": 0.05},
        )

    def seeds(self) -> Iterator[int]:
        """The seeds that draw what is wanted."""
        first = (
            FIRST + APART * (2 * self.number + self.flawed) + 100_000 * (self.modality == "text")
        )
        for number in range(first, first + APART):
            if isinstance(draw_flaw(self.recipe, Seed.of(number)), Clean) != self.flawed:
                yield number


def main() -> None:
    """Build and measure what is missing, then write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--modality", choices=("image", "text"), help="only these; default: both")
    asked.add_argument("--count", type=int, default=WANTED, help="of flawed and of clean models")
    asked.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    options = asked.parse_args()
    rows = read()
    wanted = wishes(options.modality, options.count)
    with ProcessPoolExecutor(options.jobs, initializer=_leave_out_chance) as pool:
        for ended in as_completed([pool.submit(made, wish) for wish in missing(wanted, rows)]):
            rows.append(ended.result())
            keep(rows)
            print(*(rows[-1][name] for name in COLUMNS[:-1]), flush=True)
    (RESULTS / "leaks.md").write_text("\n".join(page(rows)) + "\n")


def _leave_out_chance() -> None:
    """What random claims achieve takes half a minute to measure, and the audit does not ask it."""
    chance.DRAWS = 1


def wishes(modality: str | None, count: int) -> list[Wish]:
    """So many flawed and clean models of each modality, all kinds in turn."""
    return [
        Wish(each, *kinds[number % len(kinds)], flawed, number)
        for number in range(count)
        for each, kinds in KINDS.items()
        if modality in (None, each)
        for flawed in (True, False)
    ]


def missing(wanted: Sequence[Wish], rows: Sequence[dict[str, Any]]) -> list[Wish]:
    """Those of which no row tells yet."""
    there = {(row["modality"], row["flawed"] == "True", int(row["seed"]) // APART) for row in rows}
    return [
        wish
        for wish in wanted
        if (wish.modality, wish.flawed, next(wish.seeds()) // APART) not in there
    ]


def made(wish: Wish) -> dict[str, Any]:
    """One model built and measured, or the check that it failed."""
    row: dict[str, Any] = {
        "modality": wish.modality,
        "recipe": wish.dataset,
        "family": wish.family,
        "flawed": str(wish.flawed),
    }
    seed = next(wish.seeds())
    folder = Path(tempfile.mkdtemp(prefix="leaks-"))
    try:
        case = build(wish.recipe, Seed.of(seed), folder, microscope=False)
        found = measure(case)
        numbers = json.dumps({name: round(value, 5) for name, value in found.numbers.items()})
        tries = open_key(case).certificate.tries
        return {**row, "seed": seed, "tries": tries, "result": "certified", "numbers": numbers}
    except BuildFailed as failure:
        tries = failure.certificate.tries
        return {**row, "seed": seed, "tries": tries, "result": str(failure), "numbers": ""}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read() -> list[dict[str, Any]]:
    """The rows of the table, if there is one."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def keep(rows: Sequence[dict[str, Any]]) -> None:
    """Write a new table, then rename it, so that an interrupted run loses nothing."""
    draft = TABLE.with_suffix(".new")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.rename(TABLE)


def page(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The audit of each modality as Markdown."""
    yield INTRO
    for modality in KINDS:
        mine = [row for row in rows if row["modality"] == modality]
        built = [leak_row(row) for row in mine if row["result"] == "certified"]
        yield f"## {modality.capitalize()} models"
        yield ""
        yield f"{len(built)} of {len(mine)} builds were certified."
        yield ""
        yield from _section(audit(built))


def leak_row(row: dict[str, Any]) -> LeakRow:
    """A row of the table as the audit reads it."""
    base = f"{row['recipe']} {row['seed']}"
    return LeakRow(base, base, row["flawed"] == "True", json.loads(row["numbers"]))


def _section(found: LeakAudit) -> Iterator[str]:
    reach = sum(one.high >= BOUND for one in found.numbers)
    yield (
        f"{found.flawed} flawed and {found.clean} clean models from {found.bases} base models. The "
        f"largest AUC of {len(found.numbers)} numbers is {found.largest.auc:.2f}; under permuted "
        f"labels it is below {found.null:.2f} in 95 % of cases (p = {found.p:.3f}). The intervals "
        f"of {reach} numbers reach {BOUND:.2f}{'.' if found.conclusive else FEW}"
    )
    yield ""
    yield "| number | AUC | 95 % interval |"
    yield "|---|---|---|"
    for one in (found.together, *found.numbers[:SHOWN]):
        yield f"| {one.name} | {one.auc:.2f} | {one.low:.2f} to {one.high:.2f} |"
    yield ""


if __name__ == "__main__":
    main()
