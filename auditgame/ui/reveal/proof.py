"""What backs a reveal: the checks, the commitment, the bots on the same model, a card to share."""

from __future__ import annotations

import streamlit as st

from auditgame.schema.cards import Card
from auditgame.schema.results import Certificate, Check, Reveal
from auditgame.ui.safe_text import safe, tidy
from auditgame.ui.session import game


def certificate(revealed: Reveal) -> None:
    """Every check of the proof, and whether the key is the one that was promised."""
    with st.expander("The proof"):
        st.html("".join(check_line(check) for check in revealed.certificate.checks))
        tries = revealed.certificate.tries
        st.caption(f"Planted at try {tries}.")
        holds = revealed.commitment_holds
        st.markdown(
            ":green[**✓**] The opened key fits the hash published with the challenge."
            if holds
            else ":red[**✗**] The opened key does not fit the published hash."
        )
        st.code(revealed.commitment, language=None, wrap_lines=True)


def check_line(check: Check) -> str:
    """One check as a line of HTML: green or red, the value, its bound."""
    tone, mark = ("yes", "✓") if check.passed else ("no", "✗")
    words = f" · {safe(check.words)}" if check.words else ""
    return (
        f'<div class="ag-check"><span class="{tone}">{mark}</span>'
        f"<span>{safe(tidy(check.name))}: {check.value:.3g} ({check.rule} {check.bound:.3g})</span>"
        f"<small>{words.removeprefix(' · ')}</small></div>"
    )


def checks(proof: Certificate) -> str:
    """All checks of a certificate."""
    return "".join(check_line(check) for check in proof.checks)


def bots(card: Card) -> None:
    """What the automated auditors handed in on the same model."""
    entries = game().ledger.entries()
    theirs = entries[(entries.challenge == card.id) & entries.bracket.isin(["algorithm", "agent"])]
    theirs = theirs[theirs.attempt == 1].sort_values("points", ascending=False)
    if theirs.empty:
        return
    with st.expander("What the bots said"):
        shown = theirs[["player", "p_flawed", "family", "points", "queries"]]
        st.dataframe(shown, hide_index=True, alt="Hand-ins of the automated auditors")


def share(card: Card, revealed: Reveal) -> None:
    """A text without spoilers, to copy."""
    total = revealed.receipts[0].score
    squares = "".join(
        "🟩"
        if c.points >= 0.75 * c.possible
        else "🟨"
        if c.points > 0
        else "⬜"
        if c.points == 0
        else "🟥"
        for c in total.components
    )
    points = f"{total.points:.0f}/{total.possible:.0f}"
    with st.expander("Share, without spoilers"):
        st.code(f"auditgame · {card.title}\n{squares} {points}", language=None)
