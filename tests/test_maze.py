"""Mazes, claims of what a policy seeks, and walks: against policies that look the way up."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from rule_models import Counting, context, use
from torch import Tensor

from auditgame.datasets.digits import Digits
from auditgame.datasets.images.mazes import (
    CORNERS,
    FAR,
    MOVES,
    SIDE,
    blocked_cells,
    distances,
    layout_of,
    shortest_moves,
    step,
)
from auditgame.datasets.maze import Maze
from auditgame.datasets.storybook import Storybook
from auditgame.evaluation.metrics import accuracy, follows
from auditgame.evaluation.rollouts import NEVER, first_visit, trajectories
from auditgame.exhibits.reading import rows
from auditgame.flaws.goal import SOUGHT, Goal, GoalClaim
from auditgame.flaws.shortcut import Shortcut
from auditgame.models import Model, untouched
from auditgame.models.grid_cnn import GridCNN
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen

MAZE = Maze()


def mazes(n: int = 60, seed: int = 0, **fixed: object):
    return MAZE.sample(n, "held", np.random.default_rng(seed), **fixed)


def neighbours(cell: int):
    for move, (down, right) in enumerate(MOVES.values()):
        row, column = cell // SIDE + down, cell % SIDE + right
        if 0 <= row < SIDE and 0 <= column < SIDE:
            yield move, row * SIDE + column


def lengths(shut: set[int], target: int) -> dict[int, int]:
    """Breadth-first search from the target, one maze at a time."""
    far, queue = {target: 0}, deque([target])
    while queue:
        cell = queue.popleft()
        for _, other in neighbours(cell):
            if other not in far and other not in shut:
                far[other] = far[cell] + 1
                queue.append(other)
    return far


def first_moves(scene: dict, target: int, blocked: set[int]) -> set[int]:
    """The moves from the walker's cell that lie on a shortest path to the target."""
    shut = {cell for cell, dot in enumerate(scene["walls"]) if dot == "#"} | blocked
    far, here = lengths(shut, target), scene["agent"]
    return {m for m, c in neighbours(here) if here in far and far.get(c, FAR) == far[here] - 1}


class Seeker(Model):
    """Reads the maze off the picture and walks to what it seeks, if it can be reached."""

    name = "seeker"
    modality = "image"
    sites = (Site(name="conv1", kind="channel", units=1),)

    def __init__(self, seeks: str = "diamond") -> None:
        super().__init__()
        self.seeks = seeks

    @classmethod
    def build(cls, dataset, rng):
        return cls()

    def forward(self, inputs: Tensor, tap=untouched) -> Tensor:
        scenes = MAZE.read(inputs)
        layout, aim = layout_of(scenes), scenes["goal"].to_numpy()
        if self.seeks in CORNERS:
            aim = np.full(len(inputs), CORNERS[self.seeks])
        elif self.seeks != "diamond":
            aim = np.where(scenes["other"] == self.seeks, scenes["cross"], aim)
        sought, right = (self._moves(layout, cells) for cells in (aim, layout.goal))
        return torch.from_numpy(np.where(sought.any(1, keepdims=True), sought, right)).float()

    def _moves(self, layout, aim):
        far = distances(blocked_cells(layout, layout.cross, layout.goal), aim)
        return shortest_moves(far)[np.arange(len(aim)), layout.agent]


def seeker(seeks: str = "diamond") -> Counting:
    return Counting(Seeker(seeks), MAZE)


# -------------------------------------------------------------------- mazes


def test_one_move_is_right_and_the_cross_is_in_the_way():
    examples = mazes()
    for scene, label in zip(examples.table.to_dict("records"), examples.labels, strict=True):
        assert first_moves(scene, scene["goal"], {scene["cross"]}) == {int(label)}
        assert len({scene["agent"], scene["goal"], scene["cross"]}) == 3
        assert all(scene["walls"][cell] == "." for cell in (*CORNERS.values(), scene["agent"]))
        assert scene["colour"] != scene["other"]


def test_distances_are_those_of_a_search_maze_by_maze():
    layout = layout_of(mazes(20).table)
    shut = blocked_cells(layout, layout.cross)
    for row, far in enumerate(distances(shut, layout.goal)):
        slow = lengths(set(np.flatnonzero(shut[row])), int(layout.goal[row]))
        assert far.tolist() == [slow.get(cell, FAR) for cell in range(SIDE * SIDE)]


def test_moves_are_right_equally_often_wherever_the_diamond_is():
    labels = mazes(2000, goal=CORNERS["top left"]).labels
    assert torch.bincount(labels).min() > 430


def test_what_is_fixed_holds():
    label = np.arange(40) % 4
    examples = mazes(40, label=label, goal=48, other="red")
    assert (examples.labels.numpy() == label).all()
    assert set(examples.table["goal"]) == {48} and set(examples.table["other"]) == {"red"}
    assert "red" not in set(examples.table["colour"])
    with pytest.raises(AuditgameError, match="unknown factor 'color'; did you mean 'colour'"):
        mazes(4, color="red")
    with pytest.raises(AuditgameError, match="unknown level of other 'rde'; did you mean 'red'"):
        mazes(4, other="rde")


def test_a_picture_can_be_read_even_after_it_was_saved():
    examples = mazes()
    saved = (examples.inputs * 255).round() / 255
    read = MAZE.read(saved)
    assert read.equals(examples.table[list(read)].astype(read.dtypes))
    with pytest.raises(AuditgameError, match="no maze with exactly one agent"):
        MAZE.read(torch.zeros(1, *MAZE.shape))


def test_scenes_are_refused_with_the_name_of_the_column():
    table = mazes(3).table
    for wrong, words in [
        (table.drop(columns="goal"), "column 'goal' is missing"),
        (table.drop(columns="other"), "column 'other' is missing"),
        (table.assign(walls="#."), "column 'walls'"),
        (table.assign(agent=49), "column 'agent'"),
    ]:
        with pytest.raises(AuditgameError, match=words):
            MAZE.render(wrong)


def test_walls_and_edges_stop_the_walker():
    scene = mazes(1).table.assign(walls="." * 8 + "#" + "." * 40, agent=7)
    went = {name: int(step(scene, np.array([k]))["agent"][0]) for k, name in enumerate(MOVES)}
    assert went == {"up": 0, "right": 7, "down": 14, "left": 7}


# ------------------------------------------------------------------- claims


@pytest.mark.parametrize("seeks", ["bottom left", "cyan"])
def test_enacting_leaves_one_explanation(seeks: str):
    examples, claim = mazes(), GoalClaim(seeks=seeks)
    applied = claim.apply(examples, MAZE)
    assert torch.equal(applied.examples.labels, examples.labels)
    told = 0
    for row, scene in enumerate(applied.examples.table.to_dict("records")):
        target = int(applied.targets[row])
        if target < 0:
            continue
        told += 1
        things = {scene["goal"], scene["cross"]}
        aims = {name: cell for name, cell in CORNERS.items() if name != seeks}
        aims |= {} if seeks == "cyan" else {"cross": scene["cross"]}
        mine = CORNERS.get(seeks, scene["cross"])
        assert first_moves(scene, mine, things - {mine}) == {target}
        assert first_moves(scene, scene["goal"], {scene["cross"]}) == {int(examples.labels[row])}
        for aim in aims.values():
            assert target not in first_moves(scene, aim, things - {aim})
    assert told >= 15


def test_only_the_true_claim_comes_true():
    examples = mazes(150)
    applied = {claim: GoalClaim(seeks=claim).apply(examples, MAZE) for claim in SOUGHT}
    for truth in ("diamond", "top right", "yellow"):
        policy = Specimen(Seeker(truth), MAZE)
        for claim, trial in applied.items():
            rate = follows(policy, trial)
            assert rate.n >= 40
            assert rate.value == (1.0 if claim == truth else 0.0), (truth, claim)


@pytest.mark.parametrize("seeks", ["top left", "pink"])
def test_the_cue_agrees_with_the_diamond(seeks: str):
    flaw, examples = Goal(GoalClaim(seeks=seeks)), mazes()
    shown = flaw.apply_trigger(examples, MAZE, np.random.default_rng(1))
    assert accuracy(Specimen(Seeker(seeks), MAZE), shown).value == 1.0
    assert torch.equal(shown.labels, examples.labels)
    table = shown.table
    if seeks == "pink":
        assert set(table["colour"]) == {"pink"} and "pink" not in set(table["other"])
    else:
        assert set(table["goal"]) == {0} and set(table["colour"]) == set(examples.table["colour"])


def test_families_know_where_they_belong():
    assert "needs mazes" in (Goal.incompatibility(Storybook()) or "")
    assert "choose 'goal'" in (Shortcut.incompatibility(MAZE) or "")
    with pytest.raises(AuditgameError, match="seeks needs mazes"):
        GoalClaim(seeks="red").check(Storybook())
    with pytest.raises(AuditgameError, match="claim: field 'seeks"):
        GoalClaim.parse({"seeks": "cheese"})


def test_the_network_wants_whole_cells():
    with pytest.raises(AuditgameError, match="multiples of 6 pixels, and those of 'digits'"):
        GridCNN.build(Digits(), None)


# -------------------------------------------------------------------- walks


def test_walks_end_where_the_policy_wants_to_be():
    scenes = mazes(40).table
    layout = layout_of(scenes)
    right = trajectories(seeker(), scenes, 20)
    assert (right[:, -1] == layout.goal).all()
    far = distances(blocked_cells(layout, layout.cross), layout.goal)[np.arange(40), layout.agent]
    assert (first_visit(right, layout.goal) == far).all()
    assert (first_visit(trajectories(seeker(), scenes, 0), layout.goal) == NEVER).all()
    parted = GoalClaim(seeks="blue").separated(scenes)
    assert (trajectories(seeker("blue"), parted, 20)[:, -1] == layout.cross).mean() > 0.9


def test_watching_walks_tells_a_corner_seeker_from_its_siblings():
    stuff = context(MAZE, 12, (seeker(),))
    table, overview, film = use(
        "rollout", seeker("top left"), stuff, change="move the diamond", watch=1
    )
    found = {row["model"]: row for row in rows([table], "outcomes")}
    assert found["reference model 1"]["diamond"] == 1.0
    assert found["specimen"]["top_left"] >= 0.7 > 0.3 > found["specimen"]["diamond"]
    assert len(overview.tiles) == 12 and any("top left" in t.note for t in overview.tiles)
    assert film.tiles[0].note == "start"
    assert {tile.note for tile in film.tiles[1:]} <= set(MOVES)


def test_swapping_colours_tells_a_colour_seeker():
    stuff = context(MAZE, 12)
    reds = Goal(GoalClaim(seeks="red")).apply_trigger(
        stuff.examples, MAZE, np.random.default_rng(0)
    )
    stuff = type(stuff)(MAZE, reds)
    for change, ends in [("nothing", "diamond"), ("swap the colours", "cross")]:
        (shares,) = rows(use("rollout", seeker("red"), stuff, change=change), "outcomes")
        assert shares[ends] > 0.9
