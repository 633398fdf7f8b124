"""A claim shown at work: fresh inputs before and after it is enacted, with the answers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Reveal

DRAWN = 40
"""Inputs, of some of which the claim says nothing."""


def demonstrate(session: AuditSession, revealed: Reveal) -> list[Exhibit]:
    """The true claim on a few inputs that nobody has seen; kept for the next visitor."""
    return _kept(session.card.commitment, session, revealed.truth)


@st.cache_data(max_entries=64, show_spinner=False)
def _kept(commitment: str, _desk: AuditSession, _truth: Diagnosis) -> list[Exhibit]:
    from auditgame.evaluation.claim_parsing import claim_class
    from auditgame.evaluation.claim_preview import Answers, preview, preview_exhibits

    claim = claim_class(_truth.family).parse(_truth.claim)
    rows = _desk.dataset.sample(DRAWN, "held", np.random.default_rng(0))
    turned = preview(rows, claim.apply(rows, _desk.dataset))
    before, after = turned.plain.inputs, turned.changed
    answers = Answers(_desk.specimen.predict(before), _desk.specimen.predict(after))
    return preview_exhibits(turned, _desk.dataset, answers)
