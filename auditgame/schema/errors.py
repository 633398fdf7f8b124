"""The errors that a person may see: one line each."""

from __future__ import annotations


class AuditgameError(ValueError):
    """What was wrong, where, and what to do about it, in one line."""
