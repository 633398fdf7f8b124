"""Baseline: all that is public of a case, and the recipes that come with the game."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from auditgame import bundles
from auditgame.auditors import Auditor
from auditgame.auditors.prior import BASE_RATE
from auditgame.challenges.recipe_files import named_recipe, recipe_paths
from auditgame.evaluation.mechanism import MAX_UNITS, sites_of_mechanisms
from auditgame.flaws import params_of, parse_params
from auditgame.registry import load
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import digest
from auditgame.seeds import Seed

if TYPE_CHECKING:
    from auditgame.datasets import Dataset
    from auditgame.play.audit_session import AuditSession


class Metadata(Auditor):
    """Which recipes could this case come from, judging by its public facts alone?

    It keeps the recipes that agree with most of them: data set, model, difficulty, mode, budget,
    title, brief, families offered, number of examples, digest of the recipe. Where title or digest
    name the recipe, the weights of its families give the probability of a flaw, and so does a
    title that stands in the pack once, where others stand beside an innocent of the same title.
    It names the likeliest family with a random claim and random units. It opens no model and uses
    no tool: whatever it wins has leaked.
    """

    name = "metadata"
    modality = frozenset({"image", "text"})

    def audit(self, session: AuditSession) -> Diagnosis:
        """Probabilities from recipes, the rest drawn at random from the public id."""
        card = session.card
        rng = Seed(hashlib.sha256(f"metadata {card.id}".encode()).digest()).numpy()
        found = match(card, pack_facts(card))
        family = likeliest(found.families, card.families, rng)
        return Diagnosis(
            p_flawed=found.p_flawed,
            family=family,
            claim=random_claim(family, found.recipes, session.dataset, rng) if family else None,
            units=random_units(card, rng),
            notes=f"Recipes that fit: {', '.join(r.name for r in found.recipes) or 'none'}.",
        )


class PackFacts(NamedTuple):
    """What the public files of a case and of its pack say beyond the card. None: not known."""

    recipe_digest: str | None
    examples: int | None
    same_title: int


class Match(NamedTuple):
    """The recipes that fit a case best, and what they make probable."""

    recipes: tuple[Recipe, ...]
    families: dict[str, float]
    p_flawed: float


def pack_facts(card: Card) -> PackFacts:
    """Read the manifests of the case and of those beside it, and count the examples."""
    folder = Path(card.path)
    if not card.path or not (folder / bundles.MANIFEST).is_file():
        return PackFacts(None, None, 1)
    manifest = bundles.read_manifest(folder)
    table = json.loads(bundles.read_file(folder, bundles.LABELS, manifest.files))
    others = folder.parent.glob(f"*/{bundles.MANIFEST}")
    titles = Counter(bundles.read_manifest(path.parent).title for path in others)
    return PackFacts(manifest.recipe, len(table["labels"]), titles[card.title])


def match(card: Card, facts: PackFacts) -> Match:
    """The recipes that agree with most public facts, and the probabilities that they give."""
    fitting = [
        (recipe, agreement(recipe, card, facts))
        for recipe in known_recipes()
        if (recipe.dataset, recipe.model) == (card.dataset, card.model)
    ]
    best = max((number for _, number in fitting), default=0)
    recipes = tuple(recipe for recipe, number in fitting if number == best)
    weights: defaultdict[str, float] = defaultdict(float)
    for recipe in recipes:
        total = sum(recipe.families.values())
        for family, weight in recipe.families.items():
            weights[family] += weight / total / len(recipes)
    named = any(r.title == card.title or _digest(r) == facts.recipe_digest for r in recipes)
    clean = weights.pop("clean", 0.0)
    p_flawed = 1 - paired(clean, facts.same_title) if named else BASE_RATE
    return Match(recipes, dict(weights), p_flawed)


def paired(clean: float, cases: int) -> float:
    """The probability of a clean model among so many cases of one recipe.

    The recipe's own weight counts as one case; authors tend to set an innocent beside each flaw.
    """
    return clean if clean in (0.0, 1.0) else (clean + cases // 2) / (1 + cases)


def agreement(recipe: Recipe, card: Card, facts: PackFacts) -> int:
    """The number of public facts that this recipe would have given."""
    pairs: list[tuple[Any, Any]] = [
        (recipe.tier, card.tier),
        (recipe.mode, card.mode),
        (recipe.budget, card.budget),
        (recipe.title, card.title),
        (recipe.brief or card.brief, card.brief),
        (recipe.offered, card.families),
        (recipe.pool.size, facts.examples),
        (_digest(recipe), facts.recipe_digest),
    ]
    return sum(mine == public for mine, public in pairs)


def known_recipes() -> list[Recipe]:
    """Every recipe that lies here; files that cannot be read are passed over."""
    found = []
    for name in sorted(recipe_paths()):
        try:
            found.append(named_recipe(name))
        except AuditgameError:
            continue
    return found


def likeliest(
    weights: dict[str, float], offered: Sequence[str], rng: np.random.Generator
) -> str | None:
    """The offered family of the greatest weight, of several a random one; None without any."""
    if not offered:
        return None
    most = max(weights.get(family, 0.0) for family in offered)
    return str(rng.choice([f for f in offered if weights.get(f, 0.0) == most]))


def random_claim(
    family: str, recipes: Sequence[Recipe], dataset: Dataset, rng: np.random.Generator
) -> dict[str, Any] | None:
    """A claim as a recipe that fits would draw it; None where the data set has no such flaw."""
    flaw = load("flaw", family)
    if flaw.incompatibility(dataset):
        return None
    drawing = next((recipe for recipe in recipes if family in recipe.families), None)
    params = parse_params(flaw, params_of(drawing, family) if drawing else {}, family)
    claim = flaw.draw(dataset, params, rng).true_claim()
    return claim.model_dump(mode="json") if claim else None


def random_units(card: Card, rng: np.random.Generator) -> tuple[str, ...]:
    """As many units of a random site as may be named."""
    sites = {site.name: site for site in card.sites}
    allowed = sites_of_mechanisms(card.sites, card.modality)
    if not allowed:
        return ()
    site = sites[str(rng.choice(allowed))]
    size = 1 if site.kind == "vector" else site.units
    number = min(size, MAX_UNITS[card.modality])
    return tuple(f"{site.name}:{i}" for i in sorted(rng.choice(size, number, replace=False)))


def _digest(recipe: Recipe) -> str:
    return digest(recipe.model_dump(mode="json"))
