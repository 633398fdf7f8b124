"""Titles and the commitment to the recipe: public facts of a case say nothing of its recipe."""

from __future__ import annotations

import re

import pytest
from conftest import House, recipe

from auditgame import bundles
from auditgame.bundles.case_names import ADJECTIVES, NOUNS, case_id, case_title
from auditgame.bundles.keys import Key
from auditgame.datasets import HasFactors, HasRareWords, TextDataset
from auditgame.play import referee, verification
from auditgame.registry import load, names
from auditgame.schema.errors import Invalid
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import digest
from auditgame.seeds import Seed

OWN_FILES = {"image_folder", "text_csv"}
"""Data sets of the user's own files, which are not here."""


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_there_are_many_titles() -> None:
    assert len(set(ADJECTIVES)) == len(ADJECTIVES) >= 64
    assert len(set(NOUNS)) == len(NOUNS) >= 64


@pytest.mark.parametrize("name", sorted(set(names("dataset")) - OWN_FILES))
def test_no_title_speaks_of_a_data_set(name: str) -> None:
    dataset = load("dataset", name)()
    told = words(f"{name} {dataset.title} {' '.join(dataset.classes)}")
    if isinstance(dataset, TextDataset):
        told |= set(dataset.words)
    if isinstance(dataset, HasRareWords):
        told |= set(dataset.rare)
    if isinstance(dataset, HasFactors):
        told |= words(str(dataset.factors))
    assert not told & {*ADJECTIVES, *NOUNS}


def test_no_title_speaks_of_a_family() -> None:
    told = {word for name in names("flaw") for word in words(f"{name} {load('flaw', name).title}")}
    assert not told & {*ADJECTIVES, *NOUNS}


def test_a_title_is_drawn_by_the_seed_alone() -> None:
    one, other = recipe("patch"), recipe("clean", name="another", title="Another", tier="hard")
    drawn = [case_title(one, Seed.of(n)) for n in range(200)]
    assert drawn == [case_title(other, Seed.of(n)) for n in range(200)]
    assert len(set(drawn)) > 190
    assert all(re.fullmatch(r"[A-Z][a-z]+ [a-z]+", title) for title in drawn)


def test_a_tutorial_keeps_its_title() -> None:
    taught = recipe("patch", tier="tutorial", title="The first case")
    assert case_title(taught, Seed.of(1)) == "The first case"


def test_an_id_is_drawn_by_the_seed() -> None:
    ids = {case_id(recipe("patch"), Seed.of(n)) for n in range(50)}
    assert len(ids) == 50 and all(re.fullmatch(r"digits-[0-9a-f]{8}", one) for one in ids)


def resealed(key: Key, **changes: object) -> Key:
    return key.model_copy(update=changes)


def test_a_salted_recipe_matches_no_public_one(house: House) -> None:
    key = referee.open_key(house.flawed)
    salted = resealed(key, recipe_salt=Seed.of(1).hex())
    plain = digest(key.recipe.model_dump(mode="json"))
    assert salted.recipe_commitment != plain
    assert salted.recipe_commitment != resealed(key, recipe_salt=Seed.of(2).hex()).recipe_commitment
    other = Recipe.model_validate(key.recipe.model_dump() | {"title": "Another"})
    assert resealed(salted, recipe=other).recipe_commitment != salted.recipe_commitment
    assert salted.title == case_title(key.recipe, Seed.from_hex(key.seed)) != key.recipe.title


def test_an_older_key_keeps_its_dump_its_digest_and_its_title(house: House) -> None:
    key = resealed(referee.open_key(house.flawed), recipe_salt=None)
    assert "recipe_salt" not in key.model_dump(mode="json")
    assert key.recipe_commitment == digest(key.recipe.model_dump(mode="json"))
    assert key.title == key.recipe.title


@pytest.mark.parametrize("field", ["title", "recipe"])
def test_a_manifest_that_says_otherwise_is_refused(house: House, field: str) -> None:
    manifest, key = bundles.read_manifest(house.flawed), referee.open_key(house.flawed)
    setup = referee.set_up(house.flawed, manifest)
    verification.require_own_recipe(manifest, key, setup)
    wrong = manifest.model_copy(update={field: "0" * 64})
    with pytest.raises(Invalid, match=f"'{field}' is not what its recipe asks for"):
        verification.require_own_recipe(wrong, key, setup)
    salted = resealed(key, recipe_salt=Seed.of(1).hex())
    honest = manifest.model_copy(update={"title": salted.title, "recipe": salted.recipe_commitment})
    verification.require_own_recipe(honest, salted, setup)
