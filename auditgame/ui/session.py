"""Whose session is this, and which game does it play? The app's only way to the hallway."""

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
def guestbook() -> GuestTokens:
    """The guest book of this host."""
    return GuestTokens(cookie_secret())


@st.cache_resource(max_entries=1, show_spinner=False)
def game() -> Game:
    """The one game of this process."""
    from auditgame.game import Game

    return Game()


def token() -> str:
    """The guest token of this visitor; without cookies, one that lasts as long as the tab."""
    signed = guestbook().read(st.context.cookies.get(COOKIE))
    return signed or st.session_state.setdefault("guest_token", secrets.token_hex(16))


def player() -> Player:
    """The player that this visitor is."""
    return game().guest(token())


def session(challenge: str) -> AuditSession:
    """This visitor's desk at a challenge."""
    return game().open(challenge, player())
