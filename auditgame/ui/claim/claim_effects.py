"""What the player's claim does to inputs, shown before the diagnosis is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import AuditSession
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.ui.draft import claim_of, key, read_draft
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import plain

if TYPE_CHECKING:
    from auditgame.evaluation.claim_preview import BeforeAfter
    from auditgame.schema.claims import Claim

SHOWN = 6
SEARCHED = 60
"""Examples of the pool that are searched for some to which the claim applies."""
FRESH = 20
COMPACT = ("note", "gallery", "tokens")
"""Kinds of exhibits of the full test that fit beside the form."""


class ClaimEffects(NamedTuple):
    """The claim applied to a few inputs: exhibits, and the options of the full test on them.

    own: the inputs are the player's own examples.
    """

    exhibits: list[Exhibit]
    test: dict[str, Any]
    own: bool


def show_effects(session: AuditSession) -> None:
    """Show inputs before and after the claim; at the press of a button, the predictions too."""
    st.divider()
    st.markdown("**Preview of your claim**")
    effects = _effects(session)
    if effects is None:
        st.caption(
            ":orange[The claim applies to none of your examples.] Test it on new inputs with the "
            "tool on the left."
        )
        return
    if not effects.own:
        st.caption(
            "This claim redraws scenes, and your examples record none. It is shown on "
            f"{FRESH} new inputs from the same distribution."
        )
    tested = _remembered(session, effects)
    for number, exhibit in enumerate(tested or effects.exhibits):
        draw(exhibit, key(session, "preview", str(number)))
    if not tested:
        _test_button(session, effects)


def _effects(session: AuditSession) -> ClaimEffects | None:
    """The claim on the player's own examples, or on new inputs where it has to redraw scenes."""
    from auditgame.evaluation.claim_parsing import parse_claim
    from auditgame.evaluation.claim_preview import preview_exhibits

    family, values = read_draft(session)["family"], claim_of(session) or {}
    claim = parse_claim(family, values, session.dataset)
    test = {"family": family, "claim": values, "near_misses": False}
    try:
        rows = _rows(session, claim)
        pairs = _on_pool(session, claim, rows)
        test["examples"] = ", ".join(map(str, rows))
    except AuditgameError:
        rows, pairs = [], _on_new_inputs(session, claim)
        test["n"] = FRESH
    if not len(pairs.targets):
        return None
    return ClaimEffects(preview_exhibits(pairs, session.dataset), test, own=bool(rows))


def _rows(session: AuditSession, claim: Claim) -> list[int]:
    """The first few of the player's examples to which the claim applies."""
    from auditgame.evaluation.claim_parsing import apply_to_pool

    pool = session.context.examples.take(slice(SEARCHED))
    targets = apply_to_pool(claim, pool, session.dataset).targets.tolist()
    return [row for row, target in enumerate(targets) if target >= 0][:SHOWN]


def _on_pool(session: AuditSession, claim: Claim, rows: list[int]) -> BeforeAfter:
    import numpy as np

    from auditgame.evaluation.claim_parsing import apply_to_pool
    from auditgame.evaluation.claim_preview import preview

    examples = session.context.examples.take(np.array(rows, dtype=int))
    applied = apply_to_pool(claim, examples, session.dataset)
    return preview(examples, applied, [f"#{row}" for row in rows])


def _on_new_inputs(session: AuditSession, claim: Claim) -> BeforeAfter:
    from auditgame.evaluation.claim_parsing import fresh_inputs
    from auditgame.evaluation.claim_preview import preview

    examples = fresh_inputs(session.dataset, FRESH, 0)
    return preview(examples, claim.apply(examples, session.dataset))


def _test_button(session: AuditSession, effects: ClaimEffects) -> None:
    """The button with its price; the result is remembered for exactly this claim."""

    def test() -> None:
        try:
            exhibits = session.run_tool("hypothesis", **effects.test).exhibits
        except AuditgameError as error:
            st.session_state[key(session, "test failed")] = str(error)
            return
        compact = [exhibit for exhibit in exhibits if exhibit.kind in COMPACT]
        st.session_state[key(session, "tested")] = (digest(effects.test), compact)
        st.rerun(["casefile", "toolbench"])

    cost = session.price("hypothesis", **effects.test)
    with st.container(horizontal=True, vertical_alignment="center"):
        inputs = "my examples" if effects.own else "these inputs"
        st.button(f"Test it on {inputs}", on_click=test, key=key(session, "test claim"))
        st.caption(f"{cost:,} queries · {session.remaining_budget():,} left")
    failure = st.session_state.pop(key(session, "test failed"), None)
    if failure:
        st.warning(plain(failure))


def _remembered(session: AuditSession, effects: ClaimEffects) -> list[Exhibit]:
    tested, exhibits = st.session_state.get(key(session, "tested"), ("", []))
    return exhibits if tested == digest(effects.test) else []
