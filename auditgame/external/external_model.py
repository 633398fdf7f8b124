"""What every network from elsewhere has in common: it comes as it is."""

from __future__ import annotations

import torch

from auditgame.datasets import Dataset
from auditgame.models import Model
from auditgame.schema.errors import AuditgameError


class ExternalModel(Model):
    """A network that somebody else built and trained."""

    name = "foreign"

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> ExternalModel:  # noqa: ARG003
        """Refused: a foreign network comes as it is."""
        raise AuditgameError(
            f"model 'foreign': comes as it is and is not trained on '{dataset.name}'"
        )


class Reader(ExternalModel):
    """A language model from elsewhere. rows: of its embedding; context: its longest text."""

    modality = "text"
    rows: int
    context: int
