"""Chris Olah's auditing game: a flaw is planted in a small model; who finds it, and how?

Public names are imported at first use, so that listing and ranking never load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditgame.game import Game as Game
    from auditgame.schema.diagnosis import Diagnosis as Diagnosis
    from auditgame.schema.errors import AuditgameError as AuditgameError
    from auditgame.schema.recipe import Recipe as Recipe

__version__ = "0.1.0"
__all__ = ["AuditgameError", "Diagnosis", "Game", "Recipe", "__version__"]

_MODULES = {
    "Game": "auditgame.game",
    "Diagnosis": "auditgame.schema.diagnosis",
    "Recipe": "auditgame.schema.recipe",
    "AuditgameError": "auditgame.schema.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'auditgame' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)
