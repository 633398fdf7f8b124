"""The builds: stage, progress, certificate, and a link to the challenge that was built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from auditgame.challenges import build_jobs
from auditgame.ui.navigation import link
from auditgame.ui.reveal.details import checks
from auditgame.ui.safe_text import plain, spaced
from auditgame.ui.session import game

COLOURS: dict[build_jobs.State, Any] = {
    "running": "blue",
    "done": "green",
    "failed": "red",
    "cancelled": "gray",
    "died": "red",
}


def build_list() -> None:
    """Draw the list of builds; it is refreshed every second while one is running."""
    running = any(job.state == "running" for job in build_jobs.jobs())
    st.fragment(_list, run_every=1.0 if running else None)(running)


def _list(was_running: bool) -> None:
    found = build_jobs.jobs()
    if was_running and not any(job.state == "running" for job in found):
        st.rerun()
    if found:
        st.subheader("Builds")
    for job in found:
        _job(job)


def _job(job: build_jobs.Job) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(job.recipe.title)}**", width="content")
            st.badge(job.state, color=COLOURS[job.state])
            st.space("stretch")
            _actions(job)
        if job.state == "running":
            st.progress(
                min(max(job.share, 0.0), 1.0), f"{plain(spaced(job.stage))}: {plain(job.words)}"
            )
        elif job.state == "died":
            st.caption("The build process exited unexpectedly; see log.txt in its folder.")
        else:
            st.caption(plain(job.words))
        if job.certificate:
            st.html(checks(job.certificate))
        elif job.challenge and job.recipe.mode == "practice":
            _certificate(job.challenge)


def _certificate(challenge: str) -> None:
    """The checks that the challenge passed, for an author who does not want to play it."""
    if st.toggle("Show the certificate, which reveals the answer", key=f"proof {challenge}"):
        from auditgame.play import referee

        folder = Path(game().card(challenge).path)
        st.html(checks(referee.reveal(folder).certificate))


def _actions(job: build_jobs.Job) -> None:
    if job.state == "running":
        cancel = partial(build_jobs.cancel, job.id)
        st.button("Cancel", key=f"cancel {job.id}", on_click=cancel)
        return
    if job.challenge:
        link("workbench", "Play it", id=job.challenge)
    forget = partial(build_jobs.forget, job.id)
    help = "Removes this entry. The challenge stays."
    st.button("Remove", key=f"forget {job.id}", type="tertiary", on_click=forget, help=help)
