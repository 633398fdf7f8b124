"""A flaw, a tool and an auditor for auditgame."""

from auditgame_example.confidence import Confidence

__all__ = ["Confidence"]
