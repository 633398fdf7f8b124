"""The true claim of a reveal applied to new inputs, with the predictions before and after."""

from __future__ import annotations

import numpy as np
import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.results import Reveal

SAMPLED = 40
"""Inputs that are drawn; the claim applies to some of them only."""


def demonstrate(session: AuditSession, revealed: Reveal) -> list[Exhibit]:
    """The true claim on a few held-out inputs; cached for the next visitor."""
    return _computed(session.card.commitment, session, revealed.truth)


@st.cache_data(max_entries=64, show_spinner=False)
def _computed(commitment: str, _session: AuditSession, _truth: Diagnosis) -> list[Exhibit]:
    from auditgame.evaluation.claim_parsing import claim_type
    from auditgame.evaluation.claim_preview import Answers, preview, preview_exhibits

    claim = claim_type(_truth.family).parse(_truth.claim)
    rows = _session.dataset.sample(SAMPLED, "held", np.random.default_rng(0))
    pairs = preview(rows, claim.apply(rows, _session.dataset))
    before, after = pairs.plain.inputs, pairs.changed
    answers = Answers(_session.specimen.predict(before), _session.specimen.predict(after))
    return preview_exhibits(pairs, _session.dataset, answers)
