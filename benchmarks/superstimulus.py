"""What excites the heads that carry planted dates? `make stimuli`.

The practice pack's date cases are found through their published keys; the heads are the
keys' own. Writes docs/results/superstimulus.md.
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
from auditgame.tools.superstimulus import Superstimulus, stimulus_search
from auditgame.tools.transformer.prompt_optimisation import SearchResult, silent
from auditgame.tools.transformer.stimulus_search import UnitSearch, changes

DATA = Reviews()
PAGE = paths.checkout() / "docs" / "results" / "superstimulus.md"
RESTARTS, SHOWN = 20, 6
PRIORS = (0.1, 0.0)
CHOSEN_ON = "reviews"
INTRO = """\
# Superstimulus

Does a search for text that is likely under the model and strongly excites one head name the
trigger? Measured on the date challenges of the practice pack (`make stimuli`).

{restarts} searches start from different texts of the players' pool and maximise the length of the
head's output at the position where the answer is read. Each step changes one word, as the
gradient suggests. A changed word costs half a standard deviation of the activation over the pool;
with the prior, a nat of log-probability costs a tenth of one. A search names a trigger year if it
*inserted* one. The same searches run on the reference models: on the same head, and on the head
whose activation over the pool correlates best with it. Objective, cost and prior were chosen on
the challenge of the recipe `{chosen_on}`."""
COLUMNS = (
    "model",
    "head",
    "pool maximum",
    "search maximum",
    "search mean",
    "log-probability, start",
    "log-probability, end",
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
    """The same searches on the model and each reference: its same head, its most similar head."""
    manifest = bundles.read_manifest(case.folder)
    table = referee.set_up(case.folder, manifest)
    pool = bundle_io.read_examples(case.folder, table.dataset, manifest.files)
    context = ToolContext(table.dataset, pool, table.references)
    options = Superstimulus.Options(unit=case.unit, restarts=RESTARTS, prior=prior)
    search = stimulus_search(options, context, silent)
    found = [search.on("model under audit", case.unit, table.suspect)]
    for number, reference in enumerate(table.references, 1):
        found.append(search.on(f"reference {number}, same head", case.unit, reference))
        similar = search.counterpart(found[0], reference)
        found.append(search.on(f"reference {number}, most similar head", similar, reference))
    return found


def names_a_trigger(found: SearchResult, claim: DateClaim) -> bool:
    """Did the search put in a year from the edge on? One that stood there before does not count."""
    awake = {str(year) for year in claim.awake(DATA)}
    return any(new in awake for _, _, new in changes(found, DATA))


def page(cases: Sequence[Case]) -> Iterator[str]:
    """The page."""
    yield INTRO.format(restarts=RESTARTS, chosen_on=CHOSEN_ON)
    for case in cases:
        yield ""
        yield f"## Recipe `{case.recipe}`"
        yield ""
        yield f"Challenge `{case.folder.name}`. Its answer: {case.claim.describe()}"
        yield f"The head is `{case.unit}`, the first of the units in the key."
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
    yield f"The {SHOWN} texts that excite the head most:"
    yield ""
    yield "| activation, before > after | log-probability, before > after | changed words | text |"
    yield "|---|---|---|---|"
    for one in sorted(found[0].found, key=lambda f: -f.best.activation)[:SHOWN]:
        yield _text(one)


def _row(hunt: UnitSearch, claim: DateClaim) -> str:
    def mean(values: list[float]) -> float:
        return float(torch.tensor(values).mean())

    hits = sum(names_a_trigger(found, claim) for found in hunt.found)
    changed = [float(len(changes(f, DATA))) for f in hunt.found]
    cells = (
        hunt.pool.activation,
        hunt.best.best.activation,
        mean([f.best.activation for f in hunt.found]),
        mean([f.start.log_probability for f in hunt.found]),
        mean([f.best.log_probability for f in hunt.found]),
        mean(changed),
    )
    numbers = " | ".join(f"{cell:.1f}" for cell in cells)
    return f"| {hunt.who} | {hunt.unit} | {numbers} | {hits} of {len(hunt.found)} |"


def _text(found: SearchResult) -> str:
    start, best = found
    edits = ", ".join(f"{old} > {new}" for _, old, new in changes(found, DATA))
    return (
        f"| {start.activation:.1f} > {best.activation:.1f} | {start.log_probability:.1f} > "
        f"{best.log_probability:.1f} | {edits} | {DATA.decode(best.ids)} |"
    )


def main() -> None:
    """Search, and write the page."""
    torch.set_num_threads(1)
    PAGE.write_text("\n".join(page(sorted(date_cases()))) + "\n")


if __name__ == "__main__":
    main()
