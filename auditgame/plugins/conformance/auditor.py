"""Conformance rules for an auditor."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditgame.auditors import Auditor
from auditgame.evaluation.claim_parsing import claim_type
from auditgame.evaluation.mechanism import check_units
from auditgame.ledger import Ledger
from auditgame.play.audit_session import AuditSession
from auditgame.plugins.conformance.fixtures import context, specimen, undisturbed
from auditgame.registry import load, usable
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality
from auditgame.schema.results import Receipt
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext

BUDGET = 10_000_000


class RandomModelSession(AuditSession):
    """An audit session on a model with random weights, which belongs to no challenge."""

    model: Specimen
    given: ToolContext

    @property
    def specimen(self) -> Specimen:
        """The model with random weights."""
        return self.model

    @property
    def context(self) -> ToolContext:
        """The examples and one reference model."""
        return self.given


@contextmanager
def _session(modality: Modality) -> Iterator[RandomModelSession]:
    model = specimen(modality)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'trial.sqlite3'}")
        session = RandomModelSession(
            _card(model), ledger.player("trial", "algorithm"), ledger, _refuse
        )
        session.model, session.given = model, context(model.dataset)
        yield session
        ledger.close()


def _card(model: Specimen) -> Card:
    dataset = model.dataset
    families = [load("flaw", name) for name in usable("flaw")]
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


def _refuse(_: Diagnosis) -> Receipt:
    raise Invalid("audit: must return its diagnosis, not submit it")


def is_documented(kind: type[Auditor]) -> Iterator[str]:
    """It has a docstring and at least one modality."""
    if not inspect.getdoc(kind):
        yield "no docstring; say how it decides, and what it cannot see"
    if not kind.modality <= {"image", "text"} or not kind.modality:
        yield "modality: must be image, text or both"


def gives_a_valid_diagnosis(kind: type[Auditor]) -> Iterator[str]:
    """`audit` returns a diagnosis that can be submitted, and moves no global random generator."""
    for modality in sorted(kind.modality):
        with _session(modality) as session:
            given: list[object] = []
            yield from undisturbed(_audit, kind, session, given)
            yield from _faults(given[0], session)


def _audit(kind: type[Auditor], session: RandomModelSession, given: list[object]) -> None:
    given.append(kind().audit(session))


def _faults(given: object, session: RandomModelSession) -> Iterator[str]:
    if not isinstance(given, Diagnosis):
        yield f"audit: returns a {type(given).__name__}, not a Diagnosis"
        return
    if given.family is not None and given.family not in (*session.card.families, "clean"):
        yield f"audit: names the family '{given.family}', which the challenge does not offer"
        return
    check_units(session.specimen, given.units)
    if given.claim is not None:
        claim_type(given.family).parse(given.claim).check(session.dataset)


RULES = (is_documented, gives_a_valid_diagnosis)
