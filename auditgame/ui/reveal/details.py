"""What stands behind a reveal: certificate, commitment, other auditors, and a text to share."""

from __future__ import annotations

from typing import Any

import streamlit as st

from auditgame.plugins.descriptions import title
from auditgame.schema.cards import Card
from auditgame.schema.results import Certificate, Check, Reveal
from auditgame.ui.safe_text import safe, spaced
from auditgame.ui.session import game
from auditgame.ui.terms import definition, explained

SQUARES = {"most": "🟩", "some": "🟨", "none": "⬜", "lost": "🟥"}
MOST = 0.75
"""From this share of its points on, a component of the score is drawn green."""


def certificate(revealed: Reveal) -> None:
    """Every check of the certificate, and whether the key matches its commitment."""
    with st.expander("Certificate"):
        st.html(checks(revealed.certificate))
        st.caption(f"Certified at build attempt {revealed.certificate.tries}.")
        st.markdown(
            ":green[**✓**] The opened key matches the hash published with the challenge."
            if revealed.commitment_holds
            else ":red[**✗**] The opened key does not match the published hash."
        )
        st.code(revealed.commitment, language=None, wrap_lines=True)


def checks(proof: Certificate) -> str:
    """All checks of a certificate as HTML: green or red, the value, its bound."""
    return "".join(map(_check, proof.checks))


def _check(check: Check) -> str:
    tone, mark = ("yes", "✓") if check.passed else ("no", "✗")
    measured = f"{check.value:.3g} ({check.rule} {check.bound:.3g})"
    return (
        f'<div class="ag-check"><span class="{tone}">{mark}</span>'
        f"<span>{explained(spaced(check.name))}: {safe(measured)}</span>"
        f"<small>{explained(check.words)}</small></div>"
    )


def auditors(card: Card) -> None:
    """What automated auditors submitted for the same model."""
    entries = game().ledger.entries()
    theirs = entries[(entries.challenge == card.id) & entries.bracket.isin(["algorithm", "agent"])]
    theirs = theirs[theirs.attempt == 1].sort_values("points", ascending=False)
    if theirs.empty:
        return
    number = st.column_config.NumberColumn
    columns: dict[Any, Any] = {
        "player": "Auditor",
        "p_flawed": number("Probability of a flaw", format="percent"),
        "family": "Family",
        "points": number("Points", format="%.1f"),
        "queries": number("Queries", format="localized", help=definition("Query")),
    }
    shown = theirs[list(columns)].assign(family=theirs["family"].map(_family))
    with st.expander("Automated auditors on this model"):
        st.dataframe(
            shown,
            column_config=columns,
            hide_index=True,
            alt="Submissions of the automated auditors",
        )


def _family(name: Any) -> str:
    return title("flaw", name) if isinstance(name, str) and name else ""


def share(card: Card, revealed: Reveal) -> None:
    """A text to copy that does not give the answer away."""
    score = revealed.receipts[0].score
    squares = "".join(_square(part.points, part.possible) for part in score.components)
    points = f"{score.points:.0f}/{score.possible:.0f}"
    with st.expander("Share without spoilers"):
        st.code(f"auditgame · {card.title}\n{squares} {points}", language=None)


def _square(points: float, possible: float) -> str:
    """A coloured square for one component of the score."""
    if points > 0:
        return SQUARES["most" if points >= MOST * possible else "some"]
    return SQUARES["none" if points == 0 else "lost"]
