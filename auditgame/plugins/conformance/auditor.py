"""The contract of an auditor."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auditgame.auditors import Auditor
from auditgame.evaluation.mechanism import check_units
from auditgame.ledger import Ledger
from auditgame.play.audit_session import Desk
from auditgame.plugins.conformance.fixtures import material, specimen, undisturbed
from auditgame.registry import load, names
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality
from auditgame.schema.results import Receipt
from auditgame.specimen import Specimen
from auditgame.tools import Material

BUDGET = 10_000_000


class Trial(Desk):
    """A desk at a random model, of which nothing is known and nothing is handed in."""

    table: tuple[Specimen, Material]

    @property
    def specimen(self) -> Specimen:
        """The model on the table."""
        return self.table[0]

    @property
    def material(self) -> Material:
        """The examples and the sibling."""
        return self.table[1]


@contextmanager
def _desk(modality: Modality) -> Iterator[Trial]:
    model = specimen(modality)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'trial.sqlite3'}")
        desk = Trial(_card(model), ledger.player("trial", "algorithm"), ledger, _hand_in)
        desk.table = (model, material(model.dataset))
        yield desk
        ledger.close()


def _card(model: Specimen) -> Card:
    dataset = model.dataset
    families = [load("flaw", name) for name in names("flaw")]
    return Card(
        id=f"trial-{dataset.name}",
        title="Trial",
        brief="",
        dataset=dataset.name,
        model=model.model_name,
        modality=dataset.modality,
        tier="easy",
        mode="practice",
        families=tuple(f.name for f in families if f.Claim and f.refuses(dataset) is None),
        classes=dataset.classes,
        sites=tuple(model.sites.values()),
        budget=BUDGET,
        attempts=1,
        commitment="",
        path="",
    )


def _hand_in(_: Diagnosis) -> Receipt:
    raise AuditgameError("an auditor must not hand in; it returns its diagnosis")


def tells_of_itself(kind: type[Auditor]) -> Iterator[str]:
    """Its docstring says how it decides; its modalities are named."""
    if not inspect.getdoc(kind):
        yield "no docstring; say how it decides, and what it cannot see"
    if not kind.modality <= {"image", "text"} or not kind.modality:
        yield "modality: name image, text or both"


def diagnoses(kind: type[Auditor]) -> Iterator[str]:
    """It gives a diagnosis that the referee would take, without moving a global generator."""
    for modality in sorted(kind.modality):
        with _desk(modality) as desk:
            said: list[Any] = []
            yield from undisturbed(_audit, kind, desk, said)
            yield from _faults(said[0], desk)


def _audit(kind: type[Auditor], desk: Trial, said: list[Any]) -> None:
    said.append(kind().audit(desk))


def _faults(said: Any, desk: Trial) -> Iterator[str]:
    if not isinstance(said, Diagnosis):
        yield f"audit: gives a {type(said).__name__}, not a Diagnosis"
        return
    if said.family is not None and said.family not in (*desk.card.families, "clean"):
        yield f"audit: names family '{said.family}', which was not offered"
        return
    check_units(desk.specimen, said.units)
    if said.claim is not None:
        load("flaw", said.family).Claim.parse(said.claim).check(desk.dataset)


RULES = (tells_of_itself, diagnoses)
