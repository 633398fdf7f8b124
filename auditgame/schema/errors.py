"""The errors that a person may see: one line each, of one of five kinds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class AuditgameError(ValueError):
    """What was wrong, where, and what to do about it, in one line."""


class Invalid(AuditgameError):
    """A value, an option or a file that was given is wrong; another one may be right."""


class NotFound(AuditgameError):
    """What was named does not exist here."""


class Conflict(AuditgameError):
    """What was asked for contradicts what exists already: a name taken, all attempts used."""


class Forbidden(AuditgameError):
    """What was asked for is refused: it is not this player's, or it could do harm."""


class Unavailable(AuditgameError):
    """Something that is needed is missing, busy or broken; the request itself is in order."""


EXIT_CODES: Mapping[type[AuditgameError], int] = MappingProxyType(
    {AuditgameError: 2, Invalid: 2, NotFound: 3, Conflict: 4, Forbidden: 5, Unavailable: 6}
)
"""How the command line ends on each kind. 1: a certificate or a contract failed."""
HTTP_STATUS: Mapping[type[AuditgameError], int] = MappingProxyType(
    {AuditgameError: 400, Invalid: 422, NotFound: 404, Conflict: 409, Forbidden: 403}
    | {Unavailable: 503}
)
"""The status of a response that reports each kind."""


def exit_code(error: AuditgameError) -> int:
    """The exit code of the command line for this error."""
    return EXIT_CODES[_kind(error)]


def http_status(error: AuditgameError) -> int:
    """The HTTP status for this error."""
    return HTTP_STATUS[_kind(error)]


def _kind(error: AuditgameError) -> type[AuditgameError]:
    """The nearest kind that the error is an instance of."""
    return next(kind for kind in type(error).__mro__ if kind in EXIT_CODES)
