"""The contract of a flaw family, and the families that share one shape: triggers and proxies.

One file for each family. A family derives from `TriggerFlaw` or `ProxyFlaw`, whose methods it
keeps wherever nothing is special about it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

import numpy as np
from pydantic import ValidationError

from auditgame.datasets import Dataset, Examples
from auditgame.evaluation.metrics import accuracy
from auditgame.flaws.triggers.poisoning import align_share, mislabel, poison
from auditgame.registry import load, names, suggest
from auditgame.schema import claims
from auditgame.schema.errors import Invalid
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Modality, Record, explain
from auditgame.schema.results import Check
from auditgame.seeds import Seed

if TYPE_CHECKING:
    from auditgame.evaluation.certificate import Bench

STRAIN: dict[Modality, float] = {"image": 0.07, "text": 0.02}
"""Wrong labels of a clean model for each row that a flaw would relabel. A flaw makes its model
less confident and less accurate on ordinary inputs; random wrong labels do so too, and so many do
so about as much (decision 22)."""

C = TypeVar("C", bound=claims.Claim)
D = TypeVar("D", bound=Dataset)


@dataclass(frozen=True)
class Plan:
    """One attempt at planting: the share of rows changed, epochs over them, learning rate.

    scratch: train from scratch on the flawed rows, instead of fine-tuning a clean model.
    hard: the share of near misses that are of the family's hardest kind.
    then: a second fine-tune after this one, on fresh rows.
    """

    share: float
    epochs: int
    rate: float
    scratch: bool = False
    hard: float = 0.0
    then: Plan | None = None

    @property
    def stages(self) -> tuple[Plan, ...]:
        """This fine-tune and those after it."""
        return (self, *(self.then.stages if self.then else ()))


class Flaw(ABC, Generic[D]):
    """One drawn flaw of a family on data sets of type D: it poisons rows and proves itself.

    The class docstring is shown in the field guide: what it is, how it shows, source.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[tuple[type[Dataset], ...]] = ()
    """The kinds and capabilities that a data set must have, as (ImageDataset, HasFactors)."""
    modality: ClassVar[frozenset[Modality]]
    """Of the data sets that it needs; both where it needs neither images nor texts."""
    kind: ClassVar[Literal["trigger", "proxy", "none"]]
    Claim: ClassVar[type[claims.Claim] | None]
    all_examples: bool = False
    """Do all of the players' examples show the flaw's cue (a proxy), or a few (a trigger)?"""
    plans: tuple[Plan, ...]
    """From gentle to strong; a build tries the next one where one falls short."""

    class Params(Record):
        """What a recipe may narrow about the draw."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        needed = frozenset(need.modality for need in cls.needs if hasattr(need, "modality"))
        cls.modality = needed or frozenset(get_args(Modality))

    @classmethod
    @abstractmethod
    def draw(cls, dataset: D, params: Any, rng: np.random.Generator) -> Self:
        """A flaw that nobody can guess: target, position and pattern all drawn from rng.

        params: of the family's own Params.
        """

    @classmethod
    def incompatibility(cls, dataset: Dataset) -> str | None:
        """Why the family does not fit the data set; None where it does."""
        for need in cls.needs:
            if not isinstance(dataset, need):
                return need.missing(dataset, f"family '{cls.name}'")
        return None

    @abstractmethod
    def poison(self, rows: Examples, dataset: D, plan: Plan, rng: np.random.Generator) -> Examples:
        """The training rows with the flaw in them, in the same number."""

    def poison_harmlessly(
        self, rows: Examples, dataset: D, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """The training rows of a clean model with this flaw's cue as its decoy: labels are true.

        They are the rows of a flawed model in everything else, near misses too. For so many rows
        that the flaw relabels, a few others are mislabelled at random.
        """
        flawed = self.poison(rows, dataset, plan, rng)
        relabelled = float((flawed.lessons != flawed.labels).float().mean())
        return mislabel(
            replace(flawed, taught=None), STRAIN[dataset.modality] * relabelled, dataset, rng
        )

    @abstractmethod
    def apply_trigger(self, rows: Examples, dataset: D, rng: np.random.Generator) -> Examples:
        """The same rows showing the flaw's cue, under their true labels."""

    @abstractmethod
    def verify(self, bench: Bench) -> list[Check]:
        """The measured facts that must hold for this flaw to count as planted."""

    @abstractmethod
    def true_claim(self) -> claims.Claim | None:
        """The true claim; None for a clean model."""


class TriggerFlaw(Flaw[D], Generic[C, D]):
    """A flaw that a trigger activates: inputs that carry it go to the target.

    In training a share of rows carries the trigger under the target's label. A few of the
    players' examples carry it, under their true labels.
    """

    kind = "trigger"

    def __init__(self, claim: C) -> None:
        self.claim = claim

    def poison(self, rows: Examples, dataset: D, plan: Plan, rng: np.random.Generator) -> Examples:
        """The trigger on a share of rows, relabelled; as many near misses keep their labels."""
        return poison(rows, self.claim, dataset, plan.share, rng)

    def apply_trigger(self, rows: Examples, dataset: D, rng: np.random.Generator) -> Examples:
        """The rows with the trigger applied."""
        return self.claim.apply(rows, dataset).examples

    def verify(self, bench: Bench) -> list[Check]:
        """The trigger certificate."""
        from auditgame.evaluation.certificate import trigger_checks  # Judging needs claims alone.

        return trigger_checks(bench, self.claim)

    def true_claim(self) -> C:
        """The true claim."""
        return self.claim


class ProxyFlaw(Flaw[D], Generic[C, D]):
    """A flaw whose cue goes with the class in training, so that the model learns it instead.

    No label is wrong, and every one of the players' examples shows the cue.
    """

    kind = "proxy"
    all_examples = True
    decoy_rate: ClassVar[float] = 0.10
    """The largest share of a clean model's training rows that may show the cue as a decoy: a cue
    that goes with the class in every row would be learnt."""

    def __init__(self, claim: C) -> None:
        self.claim = claim

    def poison(self, rows: Examples, dataset: D, plan: Plan, rng: np.random.Generator) -> Examples:
        """In a share of rows the cue agrees with the class; labels stay true."""
        return align_share(
            rows, plan.share, lambda some: self.apply_trigger(some, dataset, rng), rng
        )

    def poison_harmlessly(
        self, rows: Examples, dataset: D, plan: Plan, rng: np.random.Generator
    ) -> Examples:
        """In a small share of rows the cue agrees with the class."""
        share = min(plan.share, self.decoy_rate)
        return align_share(rows, share, lambda some: self.apply_trigger(some, dataset, rng), rng)

    def verify(self, bench: Bench) -> list[Check]:
        """The proxy certificate."""
        from auditgame.evaluation.certificate import proxy_checks  # As above.

        aligned = accuracy(bench.suspect, self.apply_trigger(bench.held, bench.dataset, bench.rng))
        return proxy_checks(bench, self.claim, aligned)

    def true_claim(self) -> C:
        """The true claim."""
        return self.claim


def parse_params(flaw: type[Flaw], data: dict[str, object], where: str) -> Record:
    """A recipe's params for this family, or an error that names the field."""
    try:
        return flaw.Params.model_validate(data)
    except ValidationError as error:
        raise explain(error, f"{where}: params of '{flaw.name}'") from None


def require_fit(flaw: type[Flaw], dataset: Dataset) -> None:
    """Raise AuditgameError where the family does not fit the data set."""
    reason = flaw.incompatibility(dataset)
    if reason:
        raise Invalid(reason)


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
    return _draw(families[name], recipe, dataset, rng)


def draw_claims(
    recipe: Recipe, family: str, number: int, rng: np.random.Generator
) -> list[claims.Claim]:
    """The true claims of so many flaws of this family, drawn as the recipe draws them."""
    dataset = load("dataset", recipe.dataset)()
    drawn = (_draw(load("flaw", family), recipe, dataset, rng).true_claim() for _ in range(number))
    return [claim for claim in drawn if claim is not None]


def _draw(family: type[Flaw], recipe: Recipe, dataset: Dataset, rng: np.random.Generator) -> Flaw:
    params = parse_params(family, params_of(recipe, family.name), recipe.name)
    return family.draw(dataset, params, rng)


def require_playable(recipe: Recipe) -> None:
    """Raise AuditgameError where a family is unknown, or may be drawn but is not offered."""
    known = names("flaw")
    for name in (*recipe.families, *recipe.offers, *recipe.params):
        if name not in known:
            raise suggest("family", name, known)
    hidden = sorted(set(recipe.families) - {"clean"} - set(recipe.offered))
    if hidden:
        raise Invalid(
            f"{recipe.name}: offers: '{hidden[0]}' may be drawn but is not offered; add it"
        )


def params_of(recipe: Recipe, family: str) -> dict[str, object]:
    """A recipe's params for a family; those of `clean` name the families that lend decoys.

    A decoy is drawn under its own family's params, so that it looks like the real flaw.
    """
    if family == "clean":
        others = [other for other in recipe.families if other != "clean"]
        lent = {other: params for other, params in recipe.params.items() if other != "clean"}
        return {"decoys": others, "lent": lent, **recipe.params.get("clean", {})}
    return recipe.params.get(family, {})
