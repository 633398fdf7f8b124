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
from auditgame.play.audit_session import AuditSession
from auditgame.plugins.conformance.fixtures import context, specimen, undisturbed
from auditgame.registry import load, names
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality
from auditgame.schema.results import Receipt
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext

BUDGET = 10_000_000


class RandomModelSession(AuditSession):
    """A desk at a random model, of which nothing is known and nothing is handed in."""

    table: tuple[Specimen, ToolContext]

    @property
    def specimen(self) -> Specimen:
        """The model on the table."""
        return self.table[0]

    @property
    def context(self) -> ToolContext:
        """The examples and the sibling."""
        return self.table[1]


@contextmanager
def _desk(modality: Modality) -> Iterator[RandomModelSession]:
    model = specimen(modality)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'trial.sqlite3'}")
        session = RandomModelSession(
            _card(model), ledger.player("trial", "algorithm"), ledger, _hand_in
        )
        session.table = (model, context(model.dataset))
        yield session
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
        families=tuple(f.name for f in families if f.Claim and f.incompatibility(dataset) is None),
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
        with _desk(modality) as session:
            said: list[Any] = []
            yield from undisturbed(_audit, kind, session, said)
            yield from _faults(said[0], session)


def _audit(kind: type[Auditor], session: RandomModelSession, said: list[Any]) -> None:
    said.append(kind().audit(session))


def _faults(said: Any, session: RandomModelSession) -> Iterator[str]:
    if not isinstance(said, Diagnosis):
        yield f"audit: gives a {type(said).__name__}, not a Diagnosis"
        return
    if said.family is not None and said.family not in (*session.card.families, "clean"):
        yield f"audit: names family '{said.family}', which was not offered"
        return
    check_units(session.specimen, said.units)
    if said.claim is not None:
        load("flaw", said.family).Claim.parse(said.claim).check(session.dataset)


RULES = (tells_of_itself, diagnoses)
