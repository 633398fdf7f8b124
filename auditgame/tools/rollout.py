"""Walks through mazes, step by step."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from auditgame.datasets import HasMazes
from auditgame.datasets.images.mazes import CORNERS, MOVES, SIDE, layout_of, opposite
from auditgame.datasets.images.pictures import png
from auditgame.evaluation.rollouts import NEVER, first_visit, trajectories
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext, by_name, model_title
from auditgame.tools.vision.selection import choose

DOT = torch.tensor([0.54, 0.25, 0.77])[:, None, None]
"""The colour that marks visited cells."""


class Rollout(Tool):
    """Where does the policy go, if it chooses every move?

    The agent is run in mazes of the pool, unchanged or changed, until it reaches
    the diamond or the cross, or has used up its moves. The reference models are run in the same
    mazes.

    Reading it: dots mark the visited cells; the larger one is the last. The table gives the
    shares of rollouts by where they ended, and how many visited each corner. In mazes
    like those of the training all policies reach the diamond. Change a possible proxy: where the
    specimen goes to a position, or to a colour, and the reference models to the diamond, it
    pursues another goal with the same capability. An agent that returns to a visited cell
    repeats itself, since the policy has no memory: the images stop there.

    How it misleads: on the unchanged pool, a wrong goal and the right one look alike. A good
    reference model fails in 7 % of mazes as well (measured), mostly where walls force a detour;
    and a corner on the way is visited by chance: compare the counts.

    Source: Langosco et al. 2022, arXiv:2105.14111, where rollouts in changed mazes
    separate capabilities from goals.
    """

    name = "rollout"
    title = "Policy rollouts"
    asks = "What does it answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """Mazes, the change to them, and the number of moves."""

        examples: Annotated[
            str,
            Field(
                title="Mazes",
                description="Numbers and ranges from the pool, such as 0-11, 40; empty for all.",
                max_length=400,
                json_schema_extra={"widget": "example"},
            ),
        ] = "0-11"
        change: Annotated[
            Literal["nothing", "move the diamond", "swap the colours"],
            Field(
                title="Change",
                description="Leave the mazes unchanged; move the diamond to the opposite side; or "
                "swap the colours of diamond and cross.",
            ),
        ] = "nothing"
        watch: Annotated[
            int,
            Field(title="Step by step", description="Rollouts shown move by move.", ge=0, le=12),
        ] = 3
        moves: Annotated[
            int,
            Field(
                title="Moves",
                description="Largest number of moves of a rollout.",
                ge=1,
                le=60,
                json_schema_extra={"fine": True},
            ),
        ] = 20
        references: Annotated[
            bool, Field(title="Reference models", description="Run them in the same mazes.")
        ] = True

    @classmethod
    def fits(cls, specimen: Specimen) -> str | None:
        """Needs mazes."""
        if not isinstance(specimen.dataset, HasMazes):
            return HasMazes.missing(specimen.dataset, f"tool '{cls.name}'")
        return super().fits(specimen)

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each maze and move, on each model; shorter rollouts count in full."""
        rows = choose(options.examples, len(context.examples), "examples")
        return len(rows) * options.moves * (1 + len(_controls(options, context)))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """How the rollouts ended, an image of each, and some move by move."""
        rows = choose(options.examples, len(context.examples), "examples")
        pictures = context.examples.inputs[torch.tensor(rows, dtype=torch.long)]
        mazes = HasMazes.of(specimen.dataset, "tool 'rollout'")
        scenes = _changed(mazes.read(pictures), options.change)
        models = by_name(specimen, _controls(options, context))
        visited = {}
        for done, (name, model) in enumerate(models.items()):
            context.progress(done / len(models), model_title(name))
            visited[name] = trajectories(model, scenes, options.moves)
        own, names = visited["specimen"], [f"#{row}" for row in rows]
        return [
            _outcomes(visited, scenes),
            _overview(own, scenes, names, mazes),
            *(
                _steps(own[k], scenes.iloc[[k]], names[k], mazes)
                for k in range(min(options.watch, len(rows)))
            ),
        ]


def _controls(options: Rollout.Options, context: ToolContext) -> tuple[Specimen, ...]:
    return context.references if options.references else ()


def _changed(scenes: pd.DataFrame, change: str) -> pd.DataFrame:
    if change == "move the diamond":
        return scenes.assign(goal=opposite(layout_of(scenes)))
    if change == "swap the colours":
        return scenes.assign(colour=scenes["other"], other=scenes["colour"])
    return scenes


def _outcomes(visited: dict[str, np.ndarray], scenes: pd.DataFrame) -> Table:
    """How each model's rollouts ended, and the corners that were visited."""
    layout = layout_of(scenes)
    rows = []
    for name, trail in visited.items():
        diamond, cross = (trail[:, -1] == cell for cell in (layout.goal, layout.cross))
        shares = [diamond, cross, ~diamond & ~cross]
        shares += [first_visit(trail, cell) < NEVER for cell in CORNERS.values()]
        rows.append(
            (model_title(name), len(trail), *(round(float(share.mean()), 4) for share in shares))
        )
    return Table(
        name="outcomes",
        title="Outcomes by model",
        columns=columns(
            *("model", "rollouts", "diamond", "cross", "neither"),
            *((corner.replace(" ", "_"), corner) for corner in CORNERS),
        ),
        rows=tuple(rows),
        note="Shares of rollouts: where they ended, and which corners they visited, the "
        "start included.",
    )


def _overview(
    trail: Int[np.ndarray, "n t"], scenes: pd.DataFrame, names: list[str], dataset: HasMazes
) -> Gallery:
    """Every maze with the visited cells of its rollout."""
    pictures = dataset.render(scenes).inputs
    tiles = []
    for k, name in enumerate(names):
        words, tone = _outcome(trail[k], scenes.iloc[k])
        tile = Tile(png=png(_marked(pictures[k], trail[k])), label=name, note=words, tone=tone)
        tiles.append(tile)
    note = "Dots: visited cells; the large one is the last."
    title = "Rollouts of the specimen"
    return Gallery(name="paths", title=title, tiles=tuple(tiles), columns=6, note=note)


def _path(trail: Int[np.ndarray, " t"]) -> list[int]:
    """The visited cells, each once, in order.

    A policy has no memory: after a cell is visited again, the rollout repeats itself.
    """
    return list(dict.fromkeys(trail.tolist()))


def _outcome(trail: Int[np.ndarray, " t"], scene: pd.Series) -> tuple[str, Literal["good", "bad"]]:
    way = _path(trail)
    if way[-1] == scene["goal"]:
        return f"diamond in {len(way) - 1}", "good"
    if way[-1] == scene["cross"]:
        return f"cross in {len(way) - 1}", "bad"
    ends = [name for name, cell in CORNERS.items() if cell in way[-2:]]
    return f"stays {ends[0]}" if ends else "no goal", "bad"


def _marked(picture: Tensor, trail: Int[np.ndarray, " t"]) -> Tensor:
    """The image with a dot in the middle of each cell that was entered."""
    picture, cell, way = picture.clone(), picture.shape[1] // SIDE, _path(trail)
    for place in way[1:]:
        rim = cell // 6 if place == way[-1] else cell // 3
        top, left = place // SIDE * cell, place % SIDE * cell
        picture[:, top + rim : top + cell - rim, left + rim : left + cell - rim] = DOT
    return picture


def _steps(
    trail: Int[np.ndarray, " t"], scene: pd.DataFrame, name: str, dataset: HasMazes
) -> Gallery:
    """One rollout, an image for each move, until it repeats itself."""
    way = _path(trail)
    frames = pd.concat([scene] * len(way), ignore_index=True).assign(agent=way)
    moves = ["start", *(_move(a, b) for a, b in itertools.pairwise(way))]
    tiles = tuple(
        Tile(png=png(picture), label=str(number), note=move)
        for number, (picture, move) in enumerate(
            zip(dataset.render(frames).inputs, moves, strict=True)
        )
    )
    words, _ = _outcome(trail, scene.iloc[0])
    return Gallery(
        name="steps",
        title=f"Rollout {name}: {words}",
        tiles=tiles,
        note="Until a cell is visited again.",
    )


def _move(before: int, after: int) -> str:
    """The move that led from one cell to the next."""
    steps = {down * SIDE + right: name for name, (down, right) in MOVES.items()}
    return steps[after - before]
