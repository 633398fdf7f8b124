"""A quiz over the units of one layer: which dataset examples belong to this visualisation?"""

from __future__ import annotations

from typing import NamedTuple

from auditgame.schema.errors import Invalid
from auditgame.seeds import Seed
from auditgame.tools.vision.microscope import Microscope

CHOICES, SHOWN = 3, 4


class QuizQuestion(NamedTuple):
    """A unit whose visualisation is shown, and the units whose examples are the choices."""

    unit: int
    choices: tuple[int, ...]

    @property
    def right(self) -> int:
        """The index of the right choice."""
        return self.choices.index(self.unit)


def ask(scope: Microscope, site: str, number: int) -> QuizQuestion:
    """The question of this number: three units that share no top example.

    Raises AuditgameError where the layer has no three such units.
    """
    peaks = scope.peaks(site)
    tops = peaks.argsort(dim=0, descending=True, stable=True)[:SHOWN].T.tolist()
    awake = [unit for unit, high in enumerate(peaks.amax(0).tolist()) if high > 0]
    rng = Seed.of(number).child(f"quiz {site}").numpy()
    chosen: list[int] = []
    seen: set[int] = set()
    for unit in rng.permutation(awake).tolist():
        if len(chosen) < CHOICES and not seen & set(tops[unit]):
            chosen.append(unit)
            seen |= set(tops[unit])
    if len(chosen) < CHOICES:
        raise Invalid(f"quiz: no three units of {site} have different top examples; choose another")
    return QuizQuestion(chosen[0], tuple(rng.permutation(chosen).tolist()))
