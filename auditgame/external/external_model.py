"""What every network from elsewhere has in common: it comes as it is."""

from __future__ import annotations

import torch

from auditgame.datasets import Dataset
from auditgame.models import Model, TextModel
from auditgame.schema.errors import AuditgameError


class ExternalModel(Model):
    """A network that somebody else built and trained."""

    name = "foreign"
    title = "Your own network"

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> ExternalModel:  # noqa: ARG003
        """Refused: a foreign network comes as it is."""
        raise AuditgameError(
            f"model 'foreign': comes as it is and is not trained on '{dataset.name}'"
        )


class Reader(ExternalModel, TextModel):
    """A language model from elsewhere. rows: of its embedding; context: its longest text."""

    rows: int
    context: int
