"""The parts of a reveal: score, truth, the flaw at work, the bots, the proof."""

from __future__ import annotations

import streamlit as st

from auditgame.types import Card, Certificate, Check, Diagnosis, Reveal
from auditgame.ui.case import diagnosis
from auditgame.ui.demonstration import demonstrate
from auditgame.ui.docstrings import leaf
from auditgame.ui.drawing import pattern_png
from auditgame.ui.exhibits import draw
from auditgame.ui.places import link
from auditgame.ui.session import desk, game
from auditgame.ui.words import figure, plain, safe, tidy, tiles


def score(revealed: Reveal) -> None:
    """The points of the attempt that counts, part by part."""
    receipt = revealed.receipts[-1]
    total = receipt.score
    st.metric("Your score", f"{total.points:.0f} of {total.possible:.0f}")
    st.html("".join(_bar(c.name, c.points, c.possible, c.words) for c in total.components))
    first = revealed.receipts[0].score
    if len(revealed.receipts) > 1:
        st.caption(
            f"Attempt {receipt.attempt}. On the leaderboard counts the first: {first.points:.0f}."
        )


def _bar(name: str, points: float, possible: float, words: str) -> str:
    share = min(abs(points) / possible, 1.0) if possible else 0.0
    sign = " minus" if points < 0 else ""
    return (
        f'<div class="ag-bar"><b>{safe(tidy(name))}</b>'
        f'<span class="ag-track"><span class="ag-fill{sign}" style="width:{share:.0%}"></span></span>'
        f'<span class="ag-points">{points:.1f} of {possible:.0f}</span>'
        f"<small>{safe(words)}</small></div>"
    )


def truth(card: Card, revealed: Reveal) -> None:
    """What was in the model, in plain words; what the player said stands beside it."""
    st.subheader("What was really in it")
    st.markdown(f"**{plain(leaf('flaw', revealed.family).title)}.** {plain(revealed.confession)}")
    mine = diagnosis(desk(card.id))
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**You said**")
        _said(mine)
    with right.container(border=True, height="stretch"):
        st.markdown("**The key says**")
        _said(revealed.truth)


def _said(said: Diagnosis) -> None:
    st.markdown(f"{said.p_flawed:.0%} flawed")
    st.markdown(plain(leaf("flaw", said.family).title) if said.family else "No family named")
    for name, value in (said.claim or {}).items():
        _field(name, value)
    if said.units:
        st.caption(plain(f"Units {', '.join(said.units)}"))


def _field(name: str, value: object) -> None:
    if name == "pattern" and isinstance(value, list | tuple):
        with st.container(width=110):
            st.html(figure(pattern_png(value), "Pattern"))
    elif isinstance(value, dict):
        pairs = ", ".join(f"{key} {item}" for key, item in value.items())
        st.markdown(f"{plain(tidy(name))}: {plain(pairs)}")
    else:
        st.markdown(f"{plain(tidy(name))}: **{plain(value)}**")


def live(card: Card, revealed: Reveal) -> None:
    """The true claim enacted on fresh inputs: the answers before and after."""
    if revealed.truth.claim is None:
        st.caption("An innocent model has nothing to show.")
        return
    st.subheader("The flaw at work, on fresh inputs")
    with st.spinner("Trying it on the model"):
        exhibits = demonstrate(desk(card.id), revealed)
    for number, exhibit in enumerate(exhibits):
        draw(exhibit, f"live-{number}")


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
        shown = theirs[["player", "p_flawed", "family", "points", "probes"]]
        st.dataframe(shown, hide_index=True, alt="Hand-ins of the automated auditors")


def share(card: Card, revealed: Reveal) -> None:
    """A text without spoilers, to copy."""
    total = revealed.receipts[0].score
    squares = "".join(
        "🟩" if c.points >= 0.75 * c.possible else "🟨" if c.points > 0 else "⬜" if c.points == 0 else "🟥"
        for c in total.components
    )
    points = f"{total.points:.0f}/{total.possible:.0f}"
    with st.expander("Share, without spoilers"):
        st.code(f"auditgame · {card.title}\n{squares} {points}", language=None)


def onward(card: Card) -> None:
    """To the next case, the board, or the workbench again."""
    others = [other for other in game().cards() if other.id != card.id]
    fresh = next((o for o in others if not game().ledger.receipts(desk(card.id).player, o.id)), None)
    with st.container(horizontal=True):
        if fresh:
            link("workbench", "Next case", id=fresh.id)
        link("leaderboard", "Leaderboard")
        link("workbench", "Try again", id=card.id)
