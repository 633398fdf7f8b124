"""Packs: what public facts say of what was drawn (nothing), and every plan that is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import CHECKOUT, recipe
from scipy.stats import chisquare

from auditgame.challenges.pack import DrawnCase, draw_pack
from auditgame.challenges.pack_files import ReadyPlan, read_plan
from auditgame.challenges.recipe_files import named_recipe
from auditgame.flaws import draw_flaw
from auditgame.flaws.clean import Clean
from auditgame.schema.errors import Invalid, NotFound
from auditgame.schema.recipe import Recipe
from auditgame.seeds import Seed

PLANS = [CHECKOUT / "challenges" / "practice.yaml", CHECKOUT / "benchmarks" / "study.yaml"]
PACKS = 300
"""Pack seeds over which draws are counted."""

ONE = """
name: one
size: 10
groups:
  - recipes: [storybook, storybook-mark]
    count: 4
  - recipes: [reviews]
    weight: 1
"""


def ready(text: str = ONE) -> ReadyPlan:
    return read_plan(text, named_recipe)


def drawn(plan: ReadyPlan, number: int) -> tuple[DrawnCase, ...]:
    return draw_pack(plan.plan, plan.groups, Seed.of(number))


def public(case: DrawnCase) -> tuple[object, ...]:
    """What players see of a case before they open it, its id and title aside."""
    of = case.recipe
    return of.dataset, of.tier, of.model, of.mode, of.brief, of.offered, of.budget, of.pool.size


# ---------------------------------------------------------------------- the draw


def test_a_pack_is_drawn_by_its_seed_alone() -> None:
    plan = ready()
    first, again, other = (
        [(c.recipe, c.family, c.flawed, c.seed.hex()) for c in drawn(plan, n)] for n in (1, 1, 2)
    )
    assert first == again != other
    assert len({seed for *_, seed in first}) == len(first) == plan.plan.size


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_public_facts_say_nothing_of_the_family(path: Path) -> None:
    plan = ready(path.read_text())
    families: dict[tuple[object, ...], Counter[tuple[str, bool]]] = {}
    for number in range(PACKS):
        for case in drawn(plan, number):
            families.setdefault(public(case), Counter())[case.family, case.flawed] += 1
    assert len(families) == len(plan.groups), "of one data set and tier all cases look alike"
    for facts, counts in families.items():
        for flawed in (True, False):
            seen = [counts[family, flawed] for family in facts[5]]
            assert sum(seen) == sum(n for (_, truth), n in counts.items() if truth == flawed)
            assert len(seen) == 1 or chisquare(seen).pvalue > 0.001, (facts, seen)
        truths = [sum(counts[f, truth] for f in facts[5]) for truth in (True, False)]
        assert chisquare(truths).pvalue > 0.001, (facts, truths)


def test_the_number_of_innocents_varies_within_its_range() -> None:
    plan = ready()
    found = Counter(sum(not case.flawed for case in drawn(plan, n)) for n in range(PACKS))
    assert set(found) == {4, 5, 6} == set(plan.plan.innocent_counts)
    assert chisquare(list(found.values())).pvalue > 0.001


def test_no_place_is_innocent_more_often_than_another() -> None:
    plan = ready()
    innocent = Counter(
        n for i in range(PACKS) for n, c in enumerate(drawn(plan, i)) if not c.flawed
    )
    assert chisquare([innocent[n] for n in range(plan.plan.size)]).pvalue > 0.001


def test_groups_are_counted_or_fill_the_rest() -> None:
    for number in range(20):
        sets = Counter(case.recipe.dataset for case in drawn(ready(), number))
        assert sets == {"storybook": 4, "reviews": 6}


def test_a_sub_seed_draws_what_was_drawn() -> None:
    plan, kinds = ready(), set()
    for case in (case for number in range(3) for case in drawn(plan, number)):
        numbered = case.seeds()
        (first, seed), (second, other) = next(numbered), next(numbered)
        assert first < second and seed.hex() != other.hex()
        for one in (seed, other):
            flaw = draw_flaw(case.recipe, one)
            shown = flaw.decoy if isinstance(flaw, Clean) else flaw
            assert isinstance(flaw, Clean) != case.flawed
            assert shown is not None and shown.name == case.family
        kinds.add((case.family, case.flawed))
    assert kinds == {(f, t) for f in ("patch", "shortcut", "token", "date") for t in (True, False)}


def test_a_pack_decides_what_its_cases_offer_and_cost() -> None:
    text = ONE.replace("count: 4", "count: 4\n    budget: 7\n    pool_size: 33")
    group = ready(text).groups[0]
    assert {(r.offered, r.budget, r.pool.size) for r in group.recipes} == {
        (("patch", "shortcut"), 7, 33)
    }
    narrow = ready(ONE.replace("count: 4", "count: 4\n    families: [shortcut]"))
    assert narrow.groups[0].families == ("shortcut",)
    assert all(r.offered == ("shortcut",) for r in narrow.groups[0].recipes)
    assert {c.family for c in drawn(narrow, 1)} <= {"shortcut", "token", "date"}


def test_the_practice_pack_has_its_tutorials() -> None:
    fixed = ready(PLANS[0].read_text())
    assert [one.tier for one in fixed.fixed] == ["tutorial"] * 4
    assert fixed.plan.size + len(fixed.fixed) == 48


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size: 10", "size: 3", r"line 3: field 'size': .*counts of the groups make 4; change"),
        ("weight: 1", "count: 5", r"field 'size': is 10, .* make 9; .*`weight`"),
        ("weight: 1", "weight: 1\n  - {recipes: [digits], count: 6}", "leave no case to the"),
        ("size: 10", "size: ten", "line 3: field 'size': must be a valid integer"),
        ("size: 10", "size: 10\ninnocents: [0.6, 0.4]", "line 4: field 'innocents': no number"),
        ("size: 10", "size: 10\ninnocents: [0.41, 0.42]", "field 'innocents': no number .*widen"),
        ("size: 10", "size: 10\ninnocents: [0.0, 0.5]", "field 'innocents.0': must be greater"),
        ("size: 10", "size: 10\ninnocents: [0.5, 1.0]", "field 'innocents.1': must be less"),
        ("size: 10", "size: 10\ninnocents: [0.01, 0.5]", None),
        ("[reviews]", "[reveiws]", "line 7: field 'groups.1.recipes.0': .*mean 'reviews'"),
        ("-mark]", "]", "field 'groups.0.recipes.1': 'storybook' stands in groups.0.recipes.0"),
        ("[reviews]", "[storybook]", "'storybook' stands in groups.0.recipes.0, too; name it once"),
        ("[reviews]", "[storybook-scene]", "field 'groups.1': has the data set and tier of gr"),
        ("[reviews]", "[reviews, digits]", "'reviews' and 'digits' differ in `dataset`.*own"),
        ("[reviews]", "[reviews, reviews-entity]", r"differ in `tier` \(easy and medium\)"),
        ("[reviews]", "[reviews-deep, reviews-phrase]", "differ in `model`.*of one model"),
        ("[reviews]", "[reviews-date]", "no recipe draws an innocent with a decoy of 'date'; add"),
        ("[reviews]", "[tutorial-word]", "'tutorial-word' is a tutorial; list it under `fixed`"),
        ("weight: 1", "weight: 1\n    families: [patch]", "field 'groups.1.families.0': no recipe"),
        ("count: 4", "count: 4\n    weight: 1", "field 'groups.0': state `count` or `weight`"),
        ("    count: 4\n", "", "field 'groups.0': state `count` or `weight`"),
        ("weight: 1", "weight: 0", "field 'groups.1.weight': must be greater than 0"),
        ("weight: 1", "wieght: 1", "field 'groups.1.wieght': is unknown; leave it out"),
        ("name: one", "nam: one", "field 'name': is missing; add it"),
        ("[reviews]", "[]", "field 'groups.1.recipes'"),
        ("[reviews]", "[reviews", "not YAML"),
    ],
)
def test_a_plan_that_cannot_be_drawn_is_refused(old: str, new: str, words: str | None) -> None:
    text = ONE.replace(old, new, 1)
    assert text != ONE
    if words is None:
        assert ready(text).plan.innocent_counts == range(1, 6)
        return
    with pytest.raises(Invalid, match=words):
        ready(text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{recipe: digits, seed: 1}", "'digits' is no tutorial, .*list it in a group"),
        ("{recipe: tutorial-wrod, seed: 1}", "field 'fixed.0.recipe': .*mean 'tutorial-word'"),
        ("{recipe: tutorial-word, seed: -1}", "field 'fixed.0.seed'"),
        ("{recipe: tutorial-word}", "field 'fixed.0.seed': is missing"),
        (
            "{recipe: tutorial-word, seed: 1}\n  - {recipe: tutorial-word, seed: 2}",
            "field 'fixed.1.recipe': 'The word that decides' is the title of another",
        ),
    ],
)
def test_a_fixed_case_is_a_tutorial(line: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        ready(f"{ONE}fixed:\n  - {line}\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 5}, r"differ in `budget` \(200000 and 5\); state `budget` in the group"),
        ({"pool": {"size": 50}}, r"differ in `pool.size` \(40 and 50\); state `pool_size`"),
        ({"mode": "ranked"}, "differ in `mode`"),
        ({"brief": "A story."}, "differ in `brief`; take recipes without a brief"),
    ],
)
def test_recipes_that_look_different_are_refused(changes: dict[str, object], words: str) -> None:
    both = {"patch": 1.0, "clean": 1.0}
    known = {
        "a": recipe("patch", families=both, name="a"),
        "b": recipe("patch", families=both, name="b", **changes),
    }
    text = yaml.safe_dump({"name": "x", "size": 4, "groups": [{"recipes": ["a", "b"], "count": 4}]})
    with pytest.raises(Invalid, match=words):
        read_plan(text, known.__getitem__)


@pytest.mark.parametrize(
    ("families", "group", "words"),
    [
        ({"clean": 1.0}, {}, "draw no family but `clean`; add a recipe that draws one"),
        ({"patch": 1.0}, {}, "no recipe draws an innocent with a decoy of 'patch'"),
        ({"shortcut": 1.0, "clean": 1.0}, {}, "no recipe draws an innocent .* of 'shortcut'"),
    ],
)
def test_families_without_a_draw_are_refused(families, group, words: str) -> None:
    odd = recipe("patch", families=families, name="a")
    entry = {"recipes": ["a"], "count": 4, **group}
    text = yaml.safe_dump({"name": "x", "size": 4, "groups": [entry]})
    with pytest.raises(Invalid, match=words):
        read_plan(text, lambda _: odd)


def test_a_recipe_of_other_families_than_the_group_s_is_refused() -> None:
    known: dict[str, Recipe] = {
        "a": recipe("patch", families={"patch": 1.0, "clean": 1.0}, name="a"),
        "b": recipe("shortcut", families={"shortcut": 1.0}, name="b"),
    }
    entry = {"recipes": ["a", "b"], "count": 4, "families": ["patch"]}
    text = yaml.safe_dump({"name": "x", "size": 4, "groups": [entry]})
    with pytest.raises(Invalid, match=r"'groups.0.recipes.1': 'b' draws none of the group's"):
        read_plan(text, known.__getitem__)


def test_a_named_recipe_that_is_wrong_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "challenges" / "recipes"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n")
    monkeypatch.setenv("AUDITGAME_HOME", str(tmp_path))
    with pytest.raises(Invalid, match=r"mine\.yaml: line 1: field 'title': is missing"):
        named_recipe("mine")
    with pytest.raises(NotFound, match="unknown recipe 'digts'; did you mean 'digits'"):
        named_recipe("digts")
