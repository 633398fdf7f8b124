"""Eight people, eight tools, one model: everyone sees what they would see alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from auditgame.datasets.digits import Digits
from auditgame.exhibits import Exhibit
from auditgame.registry import load, names
from auditgame.specimen import Specimen
from auditgame.tools import ToolContext, parse_options

THREADS, CALLS = 8, 200
DIGITS = Digits()
DOT = {"target": "one", "box": {"x": 1, "y": 1, "w": 2, "h": 2}, "pattern": [["#ff0000"]]}
ASKED = {
    "predict": {"examples": "0-1"},
    "mistakes": {},
    "behaviour": {"references": False},
    "examples": {"unit": "conv2:3", "count": 4},
    "gradcam": {"examples": "1", "check": False},
    "compare": {},
    "occlusion": {"examples": "0", "check": False, "window": 8, "stride": 8},
    "hypothesis": {"family": "patch", "claim": DOT, "n": 20, "near_misses": False},
}


def specimen(seed: int) -> Specimen:
    rng = torch.Generator().manual_seed(seed)
    return Specimen(load("model", "small_cnn").build(DIGITS, rng), DIGITS)


@pytest.fixture(scope="module")
def shared() -> tuple[Specimen, ToolContext]:
    examples = DIGITS.sample(4, "pool", np.random.default_rng(0))
    return specimen(0), ToolContext(DIGITS, examples, (specimen(1),))


def use(tool: str, shared: tuple[Specimen, ToolContext]) -> list[Exhibit]:
    kind = load("tool", tool)
    return kind().run(*shared, parse_options(kind, ASKED[tool]))


def test_tools_on_one_specimen_do_not_meet(shared):
    tools = [name for name in ASKED if name in names("tool")]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = {tool: use(tool, shared) for tool in tools}
    start = threading.Barrier(THREADS)

    def play(number: int) -> int:
        start.wait()
        turn = [tools[(number + call) % len(tools)] for call in range(CALLS)]
        return sum(use(tool, shared) != alone[tool] for tool in turn)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = list(pool.map(play, range(THREADS)))
    finally:
        torch.set_num_threads(before)
    assert len(tools) >= 5
    assert wrong == [0] * THREADS


@pytest.mark.parametrize("tool", ASKED)
def test_a_tool_leaves_the_specimen_as_it_was(shared, tool: str):
    if tool not in names("tool"):
        pytest.skip(f"the tool {tool} is not installed")
    suspect = shared[0]
    weights, random = suspect.weights(), torch.get_rng_state()
    numbers = np.random.get_state()[1].copy()
    one, other = use(tool, shared), use(tool, shared)
    assert one == other
    after, model = suspect.weights(), suspect._model
    assert all(torch.equal(after[name], value) for name, value in weights.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert (np.random.get_state()[1] == numbers).all()
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
