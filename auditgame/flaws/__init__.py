"""The red rooms: ways in which a model can be wrong inside. One file per family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import ValidationError

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.certificate import Bench, proxy_checks
from auditgame.evaluation.metrics import accuracy
from auditgame.registry import load, names, suggest
from auditgame.schema import claims
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Modality, Record, explain
from auditgame.schema.results import Check
from auditgame.seeds import Seed


@dataclass(frozen=True)
class Plan:
    """One attempt at planting: the share of rows touched, passes over them, learning rate.

    scratch: train anew on the flawed rows, instead of fine-tuning a clean model.
    """

    share: float
    epochs: int
    rate: float
    scratch: bool = False


class Flaw(ABC):
    """A flaw that was drawn: it can poison training rows, prove itself, and confess.

    The class docstring is shown in the field guide: what it is, how it shows, source.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    modality: ClassVar[frozenset[Modality]]
    kind: ClassVar[Literal["trigger", "proxy", "none"]]
    Claim: ClassVar[type[claims.Claim] | None]
    all_examples: bool = False
    """Do all of the players' examples show the cue (a proxy), or a few (a trigger)?"""
    decoy_rate: ClassVar[float] = 0.10
    """The largest share of an innocent's training rows that may show the cue, rightly labelled: a
    companion in every row is learnt."""
    plans: tuple[Plan, ...]
    """From gentle to strong; the build goes to the next where one falls short."""

    class Params(Record):
        """What a recipe may narrow about the draw."""

    @classmethod
    @abstractmethod
    def draw(cls, dataset: Dataset, params: Any, rng: np.random.Generator) -> Flaw:
        """A flaw nobody can guess: target, place and pattern all drawn from rng.

        params: of the family's own Params.
        """

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """Why does this family not fit the data set? None where it does."""
        if dataset.modality not in cls.modality:
            return f"family '{cls.name}' does not fit {dataset.modality} data"
        return None

    @abstractmethod
    def poison(
        self, rows: Examples, dataset: Dataset, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The training rows with the flaw in them, in the same number."""

    @abstractmethod
    def apply_trigger(self, rows: Examples, dataset: Dataset, rng: np.random.Generator) -> Examples:
        """The same rows showing what sets the flaw off, under their right labels."""

    @abstractmethod
    def verify(self, bench: Bench) -> list[Check]:
        """The measured facts that must hold for this flaw to count as planted."""

    @abstractmethod
    def true_claim(self) -> claims.Claim | None:
        """The true claim; None for an innocent."""


C = TypeVar("C", bound=claims.Claim)


class Proxy(Flaw, Generic[C]):
    """A flaw whose cue goes along with the class in training: it stands in for the real thing.

    No label is wrong, and every example of the players shows the cue.
    """

    kind: ClassVar[Literal["trigger", "proxy", "none"]] = "proxy"
    all_examples = True

    def __init__(self, claim: C) -> None:
        self.claim = claim

    def verify(self, bench: Bench) -> list[Check]:
        """The proxy certificate."""
        aligned = accuracy(bench.suspect, self.apply_trigger(bench.held, bench.dataset, bench.rng))
        return proxy_checks(bench, self.claim, aligned)

    def true_claim(self) -> C:
        """The true claim."""
        return self.claim


def parse_params(flaw: type[Flaw], data: dict[str, object], where: str) -> Record:
    """The params of a recipe for this family, or an error that names the field."""
    try:
        return flaw.Params.model_validate(data)
    except ValidationError as error:
        raise explain(error, f"{where}: params of '{flaw.name}'") from None


def require_fit(flaw: type[Flaw], dataset: Dataset) -> None:
    """Raise AuditgameError where the family does not fit the data set."""
    reason = flaw.incompatibility(dataset)
    if reason:
        raise AuditgameError(reason)


def draw_flaw(recipe: Recipe, seed: Seed) -> Flaw:
    """The flaw that this seed draws from the recipe."""
    require_playable(recipe)
    dataset = load("dataset", recipe.dataset)()
    rng = seed.child("flaw").numpy()
    families = {name: load("flaw", name) for name in recipe.families}
    for family in families.values():
        require_fit(family, dataset)
    odds = np.array(list(recipe.families.values()))
    name = str(rng.choice(list(families), p=odds / odds.sum()))
    params = parse_params(families[name], params_of(recipe, name), recipe.name)
    return families[name].draw(dataset, params, rng)


def require_playable(recipe: Recipe) -> None:
    """Raise AuditgameError where a family is unknown, or may be drawn but not be named."""
    known = names("flaw")
    for name in (*recipe.families, *recipe.offers, *recipe.params):
        if name not in known:
            raise suggest("family", name, known)
    hidden = sorted(set(recipe.families) - {"clean"} - set(recipe.offered))
    if hidden:
        raise AuditgameError(f"{recipe.name}: offers: '{hidden[0]}' may be drawn; offer it too")


def params_of(recipe: Recipe, family: str) -> dict[str, object]:
    """What the recipe says of a family; innocents borrow their decoys from the other families.

    A decoy is drawn under its own family's params, or it would look unlike the real thing.
    """
    if family == "clean":
        others = [other for other in recipe.families if other != "clean"]
        lent = {other: params for other, params in recipe.params.items() if other != "clean"}
        return {"decoys": others, "lent": lent, **recipe.params.get("clean", {})}
    return recipe.params.get(family, {})
