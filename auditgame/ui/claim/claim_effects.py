"""What would my claim do? Enacted on the player's own examples before it is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from auditgame.exhibits import Exhibit
from auditgame.play.audit_session import Desk
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.ui.draft import case, claim_of, key
from auditgame.ui.exhibit_views.by_kind import draw
from auditgame.ui.safe_text import plain

if TYPE_CHECKING:
    from auditgame.evaluation.claim_preview import Turned
    from auditgame.schema.claims import Claim

SHOWN = 6
LOOKED_AT = 60
"""Of the pool, so many are searched for examples of which the claim says something."""
FRESH = 20
TOLD = ("note", "gallery", "tokens")
"""Of all that the test shows, what fits beside the form."""


class Stage(NamedTuple):
    """The claim at work on a few inputs: what it does, and the test that would show answers."""

    exhibits: list[Exhibit]
    test: dict[str, Any]
    own: bool


def rehearse(desk: Desk) -> None:
    """Show the inputs before and after the claim; at the press of a button, the answers too."""
    st.divider()
    st.markdown("**What your claim would do**")
    stage = _set(desk)
    if stage is None:
        st.caption(":orange[Of your examples, this claim says nothing.] Test it on the left.")
        return
    if not stage.own:
        st.caption(
            "Your own examples have no scenes to draw again, and this claim needs them. "
            f"It is shown on {FRESH} fresh ones, drawn as yours were."
        )
    answered = _remembered(desk, stage)
    for number, exhibit in enumerate(answered or stage.exhibits):
        draw(exhibit, key(desk, "rehearsal", str(number)))
    if not answered:
        _ask_answers(desk, stage)


def _set(desk: Desk) -> Stage | None:
    """The claim on the player's own examples, or on fresh ones where it redraws scenes."""
    from auditgame.evaluation.claim_parsing import parse_claim
    from auditgame.evaluation.claim_preview import shown

    family, said = case(desk)["family"], claim_of(desk) or {}
    claim = parse_claim(family, said, desk.dataset)
    test = {"family": family, "claim": said, "near_misses": False}
    try:
        rows = _rows(desk, claim)
        turned = _own(desk, claim, rows)
        test["examples"] = ", ".join(map(str, rows))
    except AuditgameError:
        rows, turned = [], _fresh(desk, claim)
        test["n"] = FRESH
    if not len(turned.targets):
        return None
    return Stage(shown(turned, desk.dataset), test, own=bool(rows))


def _rows(desk: Desk, claim: Claim) -> list[int]:
    """The first few of the player's examples of which the claim says something."""
    from auditgame.evaluation.claim_parsing import enact_on_pool

    pool = desk.material.examples.take(slice(LOOKED_AT))
    targets = enact_on_pool(claim, pool, desk.dataset).targets.tolist()
    return [row for row, target in enumerate(targets) if target >= 0][:SHOWN]


def _own(desk: Desk, claim: Claim, rows: list[int]) -> Turned:
    import numpy as np

    from auditgame.evaluation.claim_parsing import enact_on_pool
    from auditgame.evaluation.claim_preview import turn

    examples = desk.material.examples.take(np.array(rows, dtype=int))
    enacted = enact_on_pool(claim, examples, desk.dataset)
    return turn(examples, enacted, [f"#{row}" for row in rows])


def _fresh(desk: Desk, claim: Claim) -> Turned:
    from auditgame.evaluation.claim_parsing import fresh_inputs
    from auditgame.evaluation.claim_preview import turn

    examples = fresh_inputs(desk.dataset, FRESH, 0)
    return turn(examples, claim.enact(examples, desk.dataset))


def _ask_answers(desk: Desk, stage: Stage) -> None:
    """The button, with its price; the answers are remembered for this very claim."""

    def ask() -> None:
        try:
            exhibits = desk.use("hypothesis", **stage.test).exhibits
        except AuditgameError as error:
            st.session_state[key(desk, "refused")] = str(error)
            return
        told = [exhibit for exhibit in exhibits if exhibit.kind in TOLD]
        st.session_state[key(desk, "rehearsed")] = (digest(stage.test), told)
        st.rerun(["casefile", "toolbench"])

    cost = desk.price("hypothesis", **stage.test)
    with st.container(horizontal=True, vertical_alignment="center"):
        whose = "my examples" if stage.own else "these examples"
        st.button(f"Try it on {whose}", on_click=ask, key=key(desk, "rehearse"))
        st.caption(f"{cost:,} probes · {desk.left():,} left")
    refused = st.session_state.pop(key(desk, "refused"), None)
    if refused:
        st.warning(plain(refused))


def _remembered(desk: Desk, stage: Stage) -> list[Exhibit]:
    mark, exhibits = st.session_state.get(key(desk, "rehearsed"), ("", []))
    return exhibits if mark == digest(stage.test) else []
