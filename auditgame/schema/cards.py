"""Cards: what is public about a challenge before it is opened."""

from __future__ import annotations

from typing import Literal

from auditgame.schema.records import Modality, Mode, Record, Tier


class Site(Record):
    """A named point of a model whose activations can be read, and its units."""

    name: str
    kind: Literal["channel", "head", "neuron", "vector", "pattern"]
    units: int


class Card(Record):
    """What a player sees of a challenge before opening it: no weights, no answer."""

    id: str
    title: str
    brief: str
    dataset: str
    model: str
    modality: Modality
    tier: Tier
    mode: Mode
    families: tuple[str, ...]
    classes: tuple[str, ...]
    sites: tuple[Site, ...]
    budget: int
    attempts: int
    commitment: str
    path: str
