"""Where does it walk, if not to the diamond?"""

from __future__ import annotations

from collections.abc import Iterator

from auditgame.auditors.detectors import (
    Clues,
    Lead,
    Suspect,
    Tried,
    attempt,
    best,
)
from auditgame.flaws.goal import SOUGHT


def follow(clues: Clues) -> Iterator[Tried]:
    """Every corner, and every colour."""
    suspects = (Suspect("goal", {"seeks": sought}) for sought in SOUGHT)
    yield from best(attempt(clues.desk, suspect) for suspect in suspects)


GOALS = Lead(frozenset({"goal"}), follow)
