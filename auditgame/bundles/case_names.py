"""Ids and titles of cases: drawn from the secret seed, so that neither says what was drawn."""

from __future__ import annotations

from auditgame.schema.recipe import Recipe
from auditgame.schema.records import digest
from auditgame.seeds import Seed

_ADJECTIVES = """
airy ample apt bold brave calm cheerful civil cordial cosy curious daring distant eager famous
fearless festive fond friendly gentle graceful grand hardy hearty helpful humble jolly jovial
keen homely lasting lively lofty loyal lucid mellow merry mild modest nimble noble patient
peaceful playful polite prompt proud restful robust rustic serene sociable spry steady swift
tender thrifty tidy timely tranquil upbeat valiant wise witty worthy
"""
ADJECTIVES = tuple(_ADJECTIVES.split())
"""First words of titles. None names a colour, a data set, its classes and words, or a flaw."""

_NOUNS = """
almanac anchor anthem apron arcade attic ballad balcony banquet beacon bonnet bakery brook cabin
canal candle canoe canvas carnival cellar chapel charter chorus cinder cobbler cottage courtyard
cradle dairy dome duet easel errand feast ferry fiddle flute forge fountain gallery garland
gazebo granary grove hamlet hammock harp hearth inlet journal ladder lantern lodge loom luncheon
mantel market melody mill minuet mortar oar parade parlour pebble picnic pier pillow plaza porch
quarry quilt rafter reed saddle sonnet teapot valley veranda viola voyage waltz wharf
"""
NOUNS = tuple(_NOUNS.split())
"""Second words of titles, chosen alike."""


def case_id(recipe: Recipe, seed: Seed) -> str:
    """The public id of a case: its data set, and eight hex digits that only the seed gives."""
    secret = seed.child(f"id {digest(recipe.model_dump(mode='json'))}").hex()
    return f"{recipe.dataset.replace('_', '-')}-{secret[:8]}"


def case_title(recipe: Recipe, seed: Seed) -> str:
    """The title of a case: two words that the seed draws. A tutorial keeps its recipe's title."""
    if recipe.tier == "tutorial":
        return recipe.title
    rng = seed.child("title").numpy()
    first, second = rng.integers(len(ADJECTIVES)), rng.integers(len(NOUNS))
    return f"{ADJECTIVES[first].capitalize()} {NOUNS[second]}"
