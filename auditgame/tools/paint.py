"""Image edits: paste, erase, recolour or move a part, and compare the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field

from auditgame.datasets import HasFactors
from auditgame.evaluation.claim_parsing import fresh_inputs
from auditgame.exhibits import Exhibit
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid
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
    """If I change this part of an image, does the answer change with it?

    Paste a part of one image onto others; erase a part; rotate its hue; move it
    elsewhere; or, where the data set has factors, render the scene again with one factor
    changed. The specimen and the reference models answer before and after.

    Reading it: red frames are answers that changed. The number is the change in the logit of
    the chosen class, with the mean change in the reference models in brackets. A part that
    brings one answer to most images on the specimen, and shifts the reference models little,
    is a trigger or a piece of one; a part whose removal restores the right answer caused the
    wrong one.

    How it misleads: every edit makes an image unlike the training data, and a patch that
    covers the object changes answers in a clean model as well: compare with the reference
    models. Filling with the mean leaves a grey square, itself a feature; try the blur. A box
    that is too small misses a piece of the trigger, one too large includes the object.
    Changed factors are tried on fresh images, since the pool's have no scenes to render again.

    Source: occlusion, Zeiler and Fergus 2013, arXiv:1311.2901; pasting one image's part
    into another, Carter et al. 2019, Activation Atlas (doi:10.23915/distill.00015).
    """

    name = "paint"
    title = "Image edits"
    asks = "What changes its answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})

    class Options(Record):
        """The edit, its box, and the images."""

        action: Literal["stamp", "erase", "recolour", "move", "factor"] = Field(
            "stamp",
            title="Edit",
            description="stamp: paste a part of an image; erase, recolour or move it; factor: "
            "change a factor of the scene.",
        )
        source: int = Field(
            0,
            ge=0,
            title="Source example",
            description="The box is drawn on this image; the pasted part is taken from it.",
            json_schema_extra=_when("stamp", "erase", "recolour", "move"),
        )
        picture: bool = Field(
            False,
            title="From my image",
            description="Take the pasted part from the uploaded image instead.",
            json_schema_extra=_when("stamp", widget="picture"),
        )
        box: Box = Field(
            Box(x=0, y=0, w=8, h=8),
            title="Box",
            description="In pixels: left, top, width, height.",
            json_schema_extra=_when(
                "stamp", "erase", "recolour", "move", widget="box", on="source"
            ),
        )
        right: int = Field(
            0,
            ge=-1024,
            le=1024,
            title="Shift right",
            description="Pixels from the box to its new position; negative for left.",
            json_schema_extra=_when("stamp", "move"),
        )
        down: int = Field(
            0,
            ge=-1024,
            le=1024,
            title="Shift down",
            description="Pixels from the box to its new position; negative for up.",
            json_schema_extra=_when("stamp", "move"),
        )
        fill: Literal["blur", "mean"] = Field(
            "blur",
            title="Fill with",
            description="What replaces the part: its blurred surroundings, or the pool's mean.",
            json_schema_extra=_when("erase", "move"),
        )
        hue: int = Field(
            120,
            ge=-180,
            le=180,
            title="Rotate hue by",
            description="Degrees of the colour circle; 120 changes red to green.",
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
            title="Images to edit",
            description="Numbers and ranges from the pool, such as 0-7, 40. At most 16.",
            json_schema_extra={"widget": "example"},
        )
        label: str = Field(
            "",
            max_length=64,
            title="Class",
            description="Whose logit is compared; empty for each image's answer before.",
            json_schema_extra={"widget": "class"},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Each image twice, before and after, on the specimen and on each reference model."""
        return 2 * len(_rows(options, context)) * (1 + len(context.references))

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding, the images before and after, and the table."""
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
        raise Invalid(f"examples: {len(rows)} chosen; choose at most {MOST}")
    return rows


def _changed(options: Paint.Options, context: ToolContext) -> ImageEdit:
    rows = _rows(options, context)
    if options.action == "factor":
        return _redrawn(options.level, len(rows), context)
    before, right = context.examples.inputs[rows], context.examples.labels[rows]
    after = EDITED[options.action](before, options, context)
    return ImageEdit(before, after, right.tolist(), [f"#{row}" for row in rows])


def _redrawn(asked: str, count: int, context: ToolContext) -> ImageEdit:
    """Fresh images, since the pool's have no scenes; rendered again at another level."""
    dataset = context.dataset
    factor, _, level = (part.strip() for part in asked.partition(":"))
    if not isinstance(dataset, HasFactors):
        raise Invalid(f"action: data set '{dataset.name}' has no factors; choose another")
    if factor not in dataset.factors:
        raise Invalid(f"level: {suggest('factor', factor, dataset.factors)}")
    if level not in dataset.factors[factor]:
        raise Invalid(f"level: {suggest('level', level, dataset.factors[factor])}")
    fresh = fresh_inputs(dataset, count, 0)
    after = dataset.render(fresh.table.assign(**{factor: level}))
    names = [f"fresh {number}" for number in range(1, count + 1)]
    return ImageEdit(fresh.inputs, after.inputs, fresh.labels.tolist(), names)


def _stamp(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.crop(_source(options, context), options.box)
    there = image_edits.shifted(options.box, options.right, options.down, pictures)
    return image_edits.paste(pictures, part, there)


def _source(options: Paint.Options, context: ToolContext) -> Pictures:
    if options.picture:
        if context.picture is None:
            raise Invalid("picture: none was uploaded; add one, or use an example of the pool")
        return context.picture[None]
    if options.source >= len(context.examples):
        most = len(context.examples) - 1
        raise Invalid(f"source: {options.source} is outside 0 to {most}")
    return context.examples.inputs[options.source : options.source + 1]


def _erase(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    mean = context.examples.inputs.mean((0, 2, 3)) if options.fill == "mean" else None
    return image_edits.erase(pictures, options.box, mean)


def _move(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.crop(pictures, options.box)
    there = image_edits.shifted(options.box, options.right, options.down, pictures)
    return image_edits.paste(_erase(pictures, options, context), part, there)


def _recolour(pictures: Pictures, options: Paint.Options, context: ToolContext) -> Pictures:
    part = image_edits.crop(pictures, options.box)
    return image_edits.paste(pictures, image_edits.rotate_hue(part, options.hue), options.box)


EDITED: dict[str, Callable[[Pictures, Paint.Options, ToolContext], Pictures]] = {
    "stamp": _stamp,
    "erase": _erase,
    "move": _move,
    "recolour": _recolour,
}
