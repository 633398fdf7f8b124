"""External models: networks that were built and trained elsewhere."""

from __future__ import annotations

import torch

from auditgame.datasets import Dataset
from auditgame.models import Model, TextModel
from auditgame.schema.errors import Invalid


class ExternalModel(Model):
    """A network that was built and trained elsewhere. It cannot be built from scratch here."""

    name = "external"
    title = "Your own network"

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> ExternalModel:  # noqa: ARG003
        """Always raises: an external network is loaded, not built."""
        raise Invalid(
            f"model 'external': is loaded as it is and cannot be trained on '{dataset.name}'"
        )


class ExternalLanguageModel(ExternalModel, TextModel):
    """A language model that was built and trained elsewhere.

    embedding_rows: of its embedding. context_length: its longest text, in tokens.
    """

    embedding_rows: int
    context_length: int
