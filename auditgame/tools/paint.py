"""Paint on pictures, and see what the model makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field

from auditgame.datasets import HasFactors
from auditgame.evaluation.claim_parsing import fresh_inputs
from auditgame.exhibits import Exhibit
from auditgame.registry import suggest
from auditgame.schema.errors import AuditgameError
from auditgame.schema.graders import Box
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision import image_edits
from auditgame.tools.vision.counterfactuals import ImageEdit, LogitsBeforeAfter, Reaction, shown
from auditgame.tools.vision.image_edits import Pictures
from auditgame.tools.vision.selection import choose

MOST = 16


def _when(*actions: str, **told: Any) -> dict[str, Any]:
    """An option that matters only for these actions."""
    return {"when": {"action": list(actions)}, **told}


class Paint(Tool):
    """If I change this part of a picture, does the answer change with it?

    Cut a part out of one picture and stamp it on others; wipe a part away; turn its colours;
    push it elsewhere; or, where the data set has factors, draw the scene anew with one factor
    changed. The specimen and its clean siblings answer before and after.

    Reading it: red frames are answers that changed. The number is the change in the logit of
    the class you chose, beside the mean change in the siblings. A stamp that carries one
    answer to most pictures on the specimen, and moves the siblings little, is a trigger or a
    part of one; a part whose wiping brings the right answer back is what the wrong one
    rested on.

    How it misleads: every change makes a picture that nobody trained on, and a patch that
    covers the thing turns answers in an honest model as well: that is what the siblings are
    for. Wiping with the mean leaves a grey square, a thing in itself; try the blur. A part cut
    too small leaves a piece of the trigger behind, one cut too large takes the thing along.
    Changed factors are tried on fresh pictures, since yours have no scenes to draw again.

    Source: occlusion, Zeiler and Fergus 2013, arXiv:1311.2901; pasting one picture's part
    into another, Carter et al. 2019, Activation Atlas (doi:10.23915/distill.00015).
    """

    name = "paint"
    title = "Paint and probe"
    asks = "What changes its answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """What to do, where, and to which pictures."""

        action: Literal["stamp", "erase", "recolour", "move", "factor"] = Field(
            "stamp",
            title="Do",
            description="Stamp a part cut out of a picture, erase, recolour or move it, or "
            "change a factor of the scene.",
        )
        source: int = Field(
            0,
            ge=0,
            title="Mark on example",
            description="The box is drawn on this one; a stamp is cut out of it.",
            json_schema_extra=_when("stamp", "erase", "recolour", "move"),
        )
        picture: bool = Field(
            False,
            title="Cut from my picture",
            description="Take the stamp from the uploaded picture instead.",
            json_schema_extra=_when("stamp", widget="picture"),
        )
        box: Box = Field(
            Box(x=0, y=0, w=8, h=8),
            title="Box",
            description="The part, in pixels: left, top, width, height.",
            json_schema_extra=_when(
                "stamp", "erase", "recolour", "move", widget="box", on="source"
            ),
        )
        right: int = Field(
            0,
            ge=-1024,
            le=1024,
            title="Shift right",
            description="Pixels from the box to where it lands; negative for left.",
            json_schema_extra=_when("stamp", "move"),
        )
        down: int = Field(
            0,
            ge=-1024,
            le=1024,
            title="Shift down",
            description="Pixels from the box to where it lands; negative for up.",
            json_schema_extra=_when("stamp", "move"),
        )
        fill: Literal["blur", "mean"] = Field(
            "blur",
            title="Fill with",
            description="What is left behind: its surroundings, blurred, or the pool's mean.",
            json_schema_extra=_when("erase", "move"),
        )
        hue: int = Field(
            120,
            ge=-180,
            le=180,
            title="Turn the hue by",
            description="Degrees of the colour circle; 120 turns red into green.",
            json_schema_extra=_when("recolour"),
        )
        level: str = Field(
            "",
            max_length=140,
            title="Change to",
            description="A factor and its new level, such as 'scene: night'.",
            json_schema_extra=_when("factor", widget="level"),
        )
        examples: str = Field(
            "0-7",
            max_length=400,
            title="Pictures to change",
            description="Numbers and ranges from the pool, such as 0-7, 40. At most 16.",
            json_schema_extra={"widget": "example"},
        )
        label: str = Field(
            "",
            max_length=64,
            title="Class to follow",
            description="Whose logit is compared; empty for each picture's first answer.",
            json_schema_extra={"widget": "class"},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Each picture twice, before and after, on the specimen and on each sibling."""
        return 2 * len(_rows(options, context)) * (1 + len(context.references))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding in words, the pictures before and after, and the numbers."""
        change = _changed(options, context)
        own, *references = (
            LogitsBeforeAfter(model.classify(change.before), model.classify(change.after))
            for model in (specimen, *context.references)
        )
        followed = own.before.argmax(1)
        if options.label:
            followed[:] = specimen.dataset.require_class(options.label, "label")
        return shown(Reaction(change, own, references, followed, specimen.dataset.classes))


# ------------------------------------------------------------------ changes


def _rows(options: Paint.Options, context: ToolContext) -> list[int]:
    rows = choose(options.examples, len(context.examples), "examples")
    if len(rows) > MOST:
        raise AuditgameError(f"examples: {len(rows)} chosen; choose at most {MOST}")
    return rows


def _changed(options: Paint.Options, context: ToolContext) -> ImageEdit:
    rows = _rows(options, context)
    if options.action == "factor":
        return _redrawn(options.level, len(rows), context)
    before, right = context.examples.inputs[rows], context.examples.labels[rows]
    after = PAINTED[options.action](before, options, context)
    return ImageEdit(before, after, right.tolist(), [f"#{row}" for row in rows])


def _redrawn(asked: str, count: int, context: ToolContext) -> ImageEdit:
    """Fresh pictures, since players' own have no scenes; drawn once more at another level."""
    dataset = context.dataset
    factor, _, level = (part.strip() for part in asked.partition(":"))
    if not isinstance(dataset, HasFactors):
        raise AuditgameError(f"action: data set '{dataset.name}' has no factors; choose another")
    if factor not in dataset.factors:
        raise AuditgameError(f"level: {suggest('factor', factor, dataset.factors)}")
    if level not in dataset.factors[factor]:
        raise AuditgameError(f"level: {suggest('level', level, dataset.factors[factor])}")
    fresh = fresh_inputs(dataset, count, 0)
    after = dataset.render(fresh.table.assign(**{factor: level}))
    names = [f"fresh {number}" for number in range(1, count + 1)]
    return ImageEdit(fresh.inputs, after.inputs, fresh.labels.tolist(), names)


def _stamp(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.cut(_source(options, context), options.box)
    there = image_edits.shifted(options.box, options.right, options.down, pictures)
    return image_edits.lay(pictures, part, there)


def _source(options: Paint.Options, context: ToolContext) -> Pictures:
    if options.picture:
        if context.picture is None:
            raise AuditgameError("picture: none is uploaded; add one, or cut from the pool")
        return context.picture[None]
    if options.source >= len(context.examples):
        most = len(context.examples) - 1
        raise AuditgameError(f"source: {options.source} is outside 0 to {most}")
    return context.examples.inputs[options.source : options.source + 1]


def _erase(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    mean = context.examples.inputs.mean((0, 2, 3)) if options.fill == "mean" else None
    return image_edits.wipe(pictures, options.box, mean)


def _move(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.cut(pictures, options.box)
    there = image_edits.shifted(options.box, options.right, options.down, pictures)
    return image_edits.lay(_erase(pictures, options, context), part, there)


def _recolour(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.cut(pictures, options.box)
    return image_edits.lay(pictures, image_edits.turn_hue(part, options.hue), options.box)


PAINTED: dict[str, Callable[[Pictures, Paint.Options, ToolContext], Pictures]] = {
    "stamp": _stamp,
    "erase": _erase,
    "move": _move,
    "recolour": _recolour,
}
