"""What would my claim do? Enacted on the player's own examples before it is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.ui.draft import case, claim_of, key
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import plain

if TYPE_CHECKING:
    from auditgame.evaluation.claim_preview import BeforeAfter
    from auditgame.schema.claims import Claim

SHOWN = 6
LOOKED_AT = 60
"""Of the pool, so many are searched for examples of which the claim says something."""
FRESH = 20
TOLD = ("note", "gallery", "tokens")
"""Of all that the test shows, what fits beside the form."""


class ClaimEffects(NamedTuple):
    """The claim at work on a few inputs: what it does, and the test that would show answers."""

    exhibits: list[Exhibit]
    test: dict[str, Any]
    own: bool


def rehearse(session: AuditSession) -> None:
    """Show the inputs before and after the claim; at the press of a button, the answers too."""
    st.divider()
    st.markdown("**What your claim would do**")
    stage = _set(session)
    if stage is None:
        st.caption(":orange[Of your examples, this claim says nothing.] Test it on the left.")
        return
    if not stage.own:
        st.caption(
            "Your own examples have no scenes to draw again, and this claim needs them. "
            f"It is shown on {FRESH} fresh ones, drawn as yours were."
        )
    answered = _remembered(session, stage)
    for number, exhibit in enumerate(answered or stage.exhibits):
        draw(exhibit, key(session, "rehearsal", str(number)))
    if not answered:
        _ask_answers(session, stage)


def _set(session: AuditSession) -> ClaimEffects | None:
    """The claim on the player's own examples, or on fresh ones where it redraws scenes."""
    from auditgame.evaluation.claim_parsing import parse_claim
    from auditgame.evaluation.claim_preview import preview_exhibits

    family, said = case(session)["family"], claim_of(session) or {}
    claim = parse_claim(family, said, session.dataset)
    test = {"family": family, "claim": said, "near_misses": False}
    try:
        rows = _rows(session, claim)
        turned = _own(session, claim, rows)
        test["examples"] = ", ".join(map(str, rows))
    except AuditgameError:
        rows, turned = [], _fresh(session, claim)
        test["n"] = FRESH
    if not len(turned.targets):
        return None
    return ClaimEffects(preview_exhibits(turned, session.dataset), test, own=bool(rows))


def _rows(session: AuditSession, claim: Claim) -> list[int]:
    """The first few of the player's examples of which the claim says something."""
    from auditgame.evaluation.claim_parsing import apply_to_pool

    pool = session.context.examples.take(slice(LOOKED_AT))
    targets = apply_to_pool(claim, pool, session.dataset).targets.tolist()
    return [row for row, target in enumerate(targets) if target >= 0][:SHOWN]


def _own(session: AuditSession, claim: Claim, rows: list[int]) -> BeforeAfter:
    import numpy as np

    from auditgame.evaluation.claim_parsing import apply_to_pool
    from auditgame.evaluation.claim_preview import preview

    examples = session.context.examples.take(np.array(rows, dtype=int))
    applied = apply_to_pool(claim, examples, session.dataset)
    return preview(examples, applied, [f"#{row}" for row in rows])


def _fresh(session: AuditSession, claim: Claim) -> BeforeAfter:
    from auditgame.evaluation.claim_parsing import fresh_inputs
    from auditgame.evaluation.claim_preview import preview

    examples = fresh_inputs(session.dataset, FRESH, 0)
    return preview(examples, claim.apply(examples, session.dataset))


def _ask_answers(session: AuditSession, stage: ClaimEffects) -> None:
    """The button, with its price; the answers are remembered for this very claim."""

    def ask() -> None:
        try:
            exhibits = session.run_tool("hypothesis", **stage.test).exhibits
        except AuditgameError as error:
            st.session_state[key(session, "refused")] = str(error)
            return
        told = [exhibit for exhibit in exhibits if exhibit.kind in TOLD]
        st.session_state[key(session, "rehearsed")] = (digest(stage.test), told)
        st.rerun(["casefile", "toolbench"])

    cost = session.price("hypothesis", **stage.test)
    with st.container(horizontal=True, vertical_alignment="center"):
        whose = "my examples" if stage.own else "these examples"
        st.button(f"Try it on {whose}", on_click=ask, key=key(session, "rehearse"))
        st.caption(f"{cost:,} probes · {session.remaining_budget():,} left")
    refused = st.session_state.pop(key(session, "refused"), None)
    if refused:
        st.warning(plain(refused))


def _remembered(session: AuditSession, stage: ClaimEffects) -> list[Exhibit]:
    mark, exhibits = st.session_state.get(key(session, "rehearsed"), ("", []))
    return exhibits if mark == digest(stage.test) else []
