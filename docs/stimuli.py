"""Write docs/superstimulus.md: what excites the heads that carry planted dates. `make stimuli`.

The practice pack's date cases are found through their published keys; the heads are the keys' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from auditgame import bundles, paths
from auditgame.bundles import bundle_io
from auditgame.datasets.reviews import Reviews
from auditgame.flaws.date import DateClaim
from auditgame.play import referee
from auditgame.tools import ToolContext
from auditgame.tools.superstimulus import Superstimulus, hunter
from auditgame.tools.transformer.prompt_optimisation import SearchResult, unheard
from auditgame.tools.transformer.stimulus_search import UnitSearch, changes

DATA = Reviews()
PAGE = paths.checkout() / "docs" / "superstimulus.md"
RESTARTS, SHOWN = 20, 6
PRIORS = (0.1, 0.0)
CHOSEN_ON = "reviews"
COLUMNS = (
    "model",
    "head",
    "best of the pool",
    "best found",
    "mean found",
    "log-probability, start",
    "log-probability, found",
    "words changed",
    "names a trigger year",
)


class Case(NamedTuple):
    """A date case with its answer: the edge, and the head that carries it."""

    recipe: str
    folder: Path
    claim: DateClaim
    unit: str


def date_cases() -> Iterator[Case]:
    """The date cases of the practice pack that have a head in their key, by recipe."""
    for manifest in paths.practice().glob(f"*/{bundles.MANIFEST}"):
        key = referee.open_key(manifest.parent)
        heads = [unit for unit in key.units if ".heads:" in unit]
        if key.family == "date" and heads:
            yield Case(key.recipe.name, manifest.parent, DateClaim.parse(key.claim), heads[0])


def hunts(case: Case, prior: float) -> list[UnitSearch]:
    """The same searches on the suspect and on each sibling: the same head, the one most alike."""
    manifest = bundles.read_manifest(case.folder)
    table = referee.set_up(case.folder, manifest)
    pool = bundle_io.read_examples(case.folder, table.dataset, manifest.files)
    context = ToolContext(table.dataset, pool, table.references)
    options = Superstimulus.Options(unit=case.unit, restarts=RESTARTS, prior=prior)
    search = hunter(options, context, unheard)
    found = [search.hunt("suspect", case.unit, table.suspect)]
    for number, reference in enumerate(table.references, 1):
        found.append(search.hunt(f"sibling {number}, same head", case.unit, reference))
        kin = search.counterpart(found[0], reference)
        found.append(search.hunt(f"sibling {number}, head most alike", kin, reference))
    return found


def names_a_trigger(found: SearchResult, claim: DateClaim) -> bool:
    """Did the search put in a year from the edge on? One that stood there before does not count."""
    awake = {str(year) for year in claim.awake(DATA)}
    return any(new in awake for _, _, new in changes(found, DATA))


def page(cases: Sequence[Case]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Superstimulus"
    yield ""
    yield "Text that is likely under the model and strongly excites one head: a founding question,"
    yield "put to the date cases of the practice pack. Written by `make stimuli`."
    yield ""
    yield f"{RESTARTS} searches, each from another text of the players' pool; the aim is the"
    yield "length of the head's output where the answer is read. One word at a time is changed, as"
    yield "the gradient points. A changed word costs half a standard deviation of the pool's"
    yield "excitement, and a nat of the text's log-probability a tenth of one (with the prior) or"
    yield "nothing. Counted are searches that *put in* a year from the edge on. Siblings: the same"
    yield "head, and the head whose excitement over the pool goes most along with it. Aim, price"
    yield f"and prior were chosen on the case of the recipe `{CHOSEN_ON}`."
    for case in cases:
        yield ""
        yield f"## Recipe `{case.recipe}`"
        yield ""
        yield f"Case `{case.folder.name}`. Its key: {case.claim.describe()}"
        yield f"The head is `{case.unit}`, the first of the key's units."
        for prior in PRIORS:
            yield from _section(case, prior)


def _section(case: Case, prior: float) -> Iterator[str]:
    found = hunts(case, prior)
    yield ""
    yield f"### {'With' if prior else 'Without'} the prior"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for hunt in found:
        yield _row(hunt, case.claim)
    yield ""
    yield f"The {SHOWN} strongest texts of the suspect:"
    yield ""
    yield "| excites, before > after | log-probability, before > after | changed | text |"
    yield "|---|---|---|---|"
    for one in sorted(found[0].found, key=lambda f: -f.best.excites)[:SHOWN]:
        yield _text(one)


def _row(hunt: UnitSearch, claim: DateClaim) -> str:
    def mean(values: list[float]) -> float:
        return float(torch.tensor(values).mean())

    hits = sum(names_a_trigger(found, claim) for found in hunt.found)
    changed = [float(len(changes(f, DATA))) for f in hunt.found]
    cells = (
        hunt.pool.excites,
        hunt.best.best.excites,
        mean([f.best.excites for f in hunt.found]),
        mean([f.start.likely for f in hunt.found]),
        mean([f.best.likely for f in hunt.found]),
        mean(changed),
    )
    numbers = " | ".join(f"{cell:.1f}" for cell in cells)
    return f"| {hunt.who} | {hunt.unit} | {numbers} | {hits} of {len(hunt.found)} |"


def _text(found: SearchResult) -> str:
    told = ", ".join(f"{old} > {new}" for _, old, new in changes(found, DATA))
    return (
        f"| {found.start.excites:.1f} > {found.best.excites:.1f} | {found.start.likely:.1f} > "
        f"{found.best.likely:.1f} | {told} | {DATA.decode(found.best.ids)} |"
    )


def main() -> None:
    """Search, and write the page."""
    torch.set_num_threads(1)
    PAGE.write_text("\n".join(page(sorted(date_cases()))) + "\n")


if __name__ == "__main__":
    main()
