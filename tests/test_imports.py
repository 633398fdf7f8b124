"""The import graph in numbers, and what judging loads."""

from __future__ import annotations

import pytest

from benchmarks.imports import Graph, first_submission, import_graph

HEAVY = {"sklearn", "scipy", "torchvision", "sympy", "streamlit", "altair", "transformers"}
"""Packages that judging has no use for, and that take seconds to import."""


def graph(*arrows: tuple[str, str]) -> Graph:
    return Graph(0, frozenset(entry for arrow in arrows for entry in arrow), frozenset(arrows))


def test_layers_are_the_longest_chain() -> None:
    assert graph(("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")).layers == 3


def test_the_package_has_few_entries_and_no_cycle() -> None:
    found = import_graph()
    assert len(found.entries) <= 25
    assert 1 < found.layers <= len(found.entries)
    assert found.arrows


@pytest.mark.parametrize("challenge", ["digits-222bd940", "reviews-aa5af4d5"])
def test_judging_loads_nothing_heavy_that_it_does_not_need(challenge: str, tmp_path) -> None:
    found = first_submission(challenge, tmp_path)
    assert HEAVY & set(found.packages) == set()
    assert found.modules > found.modules_before
    assert "pandas" not in found.packages or challenge.startswith("reviews")
