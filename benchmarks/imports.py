"""The import graph of the package in numbers, and what a first submission loads and costs.

    python -m benchmarks.imports [CHALLENGE ...]

Entries are the modules and packages at the top of `auditgame`; an arrow joins two entries if a
module of one imports a module of the other (imports for type checkers left out); layers are the
entries on the longest chain of arrows. Each challenge is judged in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "auditgame"
CHALLENGES = ("digits-222bd940", "storybook-237ceea2", "reviews-aa5af4d5")
FIRST_SUBMISSION = """
import json, resource, sys
from auditgame.game import Game
from auditgame.schema.diagnosis import Diagnosis

def seconds():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])

def loaded():
    return {name for name in sys.modules if name.split(".")[0] == "auditgame"}

game = Game(database=sys.argv[1])
before, start = loaded(), seconds()
if sys.argv[2]:
    game.submit(sys.argv[2], "first", Diagnosis(p_flawed=0.9))
packages = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([len(before), len(loaded()), start, seconds(), packages]))
"""


class Graph(NamedTuple):
    """The package's import graph: its top entries, and the arrows between them."""

    modules: int
    entries: frozenset[str]
    arrows: frozenset[tuple[str, str]]

    @property
    def layers(self) -> int:
        """The number of entries on the longest chain of arrows."""
        below = defaultdict(set)
        for entry, imported in self.arrows:
            below[entry].add(imported)

        @cache
        def height(entry: str) -> int:
            return 1 + max(map(height, below[entry]), default=0)

        return max(map(height, self.entries))


class FirstSubmission(NamedTuple):
    """Modules of ours and CPU seconds of a process, before and after its first submission."""

    modules_before: int
    modules: int
    seconds_before: float
    seconds: float
    packages: list[str]


def import_graph() -> Graph:
    """The import graph of the package as it is installed here."""
    import grimp

    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    entries = {name: _entry(name) for name in graph.modules if name != PACKAGE}
    arrows = {
        (entry, entries[other])
        for name, entry in entries.items()
        for other in graph.find_modules_directly_imported_by(name)
        if other in entries and entries[other] != entry
    }
    return Graph(len(graph.modules), frozenset(entries.values()), frozenset(arrows))


def _entry(name: str) -> str:
    return name.split(".")[1]


def first_submission(challenge: str, folder: Path) -> FirstSubmission:
    """A submission to this challenge in a fresh process, on a database that exists already."""
    database = f"sqlite:///{folder / f'{challenge}.sqlite3'}"
    for target in ("", challenge):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_SUBMISSION, database, target],
            stdout=subprocess.PIPE,
            check=True,
        )
    return FirstSubmission(*json.loads(done.stdout))


def report(challenges: tuple[str, ...]) -> Iterator[str]:
    """The lines that the command prints."""
    graph = import_graph()
    yield f"modules {graph.modules}, entries at the top {len(graph.entries)}"
    yield f"layers {graph.layers}, arrows {len(graph.arrows)}"
    with tempfile.TemporaryDirectory() as folder:
        for challenge in challenges:
            found = first_submission(challenge, Path(folder))
            yield (
                f"first submission to {challenge}: {found.modules} modules of ours loaded "
                f"({found.modules - found.modules_before} by the submission), "
                f"{found.seconds:.1f} CPU s ({found.seconds - found.seconds_before:.1f} of them)"
            )


if __name__ == "__main__":
    for line in report(tuple(sys.argv[1:]) or CHALLENGES):
        print(line)
