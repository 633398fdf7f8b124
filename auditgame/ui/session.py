"""The visitor of this browser session, and the game that all visitors share."""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING

import streamlit as st

from auditgame.host import cookie_secret
from auditgame.ui.identity import COOKIE, GuestTokens

if TYPE_CHECKING:
    from auditgame.game import Game
    from auditgame.ledger import Player
    from auditgame.play.audit_session import AuditSession


@functools.cache
def guest_tokens() -> GuestTokens:
    """The guest tokens of this host."""
    return GuestTokens(cookie_secret())


@st.cache_resource(max_entries=1, show_spinner=False)
def game() -> Game:
    """The game of this process."""
    from auditgame.game import Game

    return Game()


def token() -> str:
    """This visitor's guest token; without cookies, one that lasts as long as the browser tab."""
    signed = guest_tokens().read(st.context.cookies.get(COOKIE))
    return signed or st.session_state.setdefault("guest_token", secrets.token_hex(16))


def player() -> Player:
    """This visitor as a player."""
    return game().guest(token())


def session(challenge: str) -> AuditSession:
    """This visitor's audit session on a challenge."""
    return game().open(challenge, player())
