"""Steering: adding a difference of means to the residual stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Curve, Exhibit, Note, Table, Tokens, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record
from auditgame.specimen import Edit, Specimen
from auditgame.tools import Tool, ToolContext, by_name, model_title
from auditgame.tools.transformer.directions import Direction, at_answers, between, texts_of
from auditgame.tools.transformer.prompts import batch
from auditgame.tools.transformer.residual_stream import layers
from auditgame.tools.vision.selection import choose

SHOWN = 3
"""Texts shown at each end of the direction."""


class Steering(Tool):
    """Does the answer change when the residual stream is moved from one set of texts to another?

    The direction is the difference of two means at the answer's position: from the
    texts 'away' to the texts 'toward'. It is added, at several strengths, to other texts.

    Reading it: strength 1 moves a text by the distance of the two means. The curve shows the
    margin of the class at each strength. If texts that differ in something harmless
    (a year, a brand) give a direction that changes the answers of the specimen and not of the
    reference models, the answer depends on it. The texts that lie furthest along it, at both
    ends, are shaded word by word: they show what else the direction represents.

    How it misleads: two sets differ in more than intended; a few examples also differ in their
    classes, so balance them. Any large enough shift breaks a model: look at
    strengths of about 1, and compare with the reference models, each steered along its own
    direction. A direction that steers need not be the one that the model uses.

    Source: activation addition: Turner et al. 2023, arXiv:2308.10248; difference of means over
    many pairs: Rimsky et al. 2023, arXiv:2312.06681.
    """

    name = "steering"
    title = "Steering"
    asks = "What changes its answer?"
    modality = frozenset({"text"})

    class Options(Record):
        """Two sets, the site, and the strengths."""

        toward: str = Field(
            "",
            max_length=2000,
            title="Toward",
            description="A class, factor=level, year>=2001, example numbers, or a text in "
            "quotes; empty for the last class.",
        )
        away: str = Field(
            "",
            max_length=2000,
            title="Away from",
            description="The same; empty for the rest of the pool.",
        )
        site: str = Field(
            "",
            max_length=64,
            title="Site",
            description="For example block0.residual; empty for the stream before the last layer.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="Whose margin is shown; empty for the last class.",
            json_schema_extra={"widget": "class"},
        )
        examples: str = Field(
            "0-31",
            max_length=400,
            title="Texts to steer",
            description="Numbers and ranges from the pool.",
            json_schema_extra={"widget": "example"},
        )
        strength: float = Field(
            2.0,
            gt=0,
            le=20,
            title="Strength",
            description="The largest, in distances of the two means.",
        )
        steps: int = Field(
            9,
            ge=2,
            le=41,
            title="Steps",
            description="Number of strengths, from minus to plus the largest.",
        )
        places: Literal["answer", "all"] = Field(
            "answer",
            title="Positions",
            description="answer: where the answer is read; all: at every word.",
        )
        references: int = Field(
            1,
            ge=0,
            le=3,
            title="Reference models",
            description="Each steered along its own direction.",
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Both sets once, and each steered text once for each strength; on every model.

        The specimen reads the steered texts once more, unchanged.
        """
        sets = _sets(options, context)
        texts = len(choose(options.examples, len(context.examples), "examples"))
        one = len(sets.toward) + len(sets.away) + texts * options.steps
        return one * (1 + len(context.references[: options.references])) + texts

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The finding, the curve, the answers at each strength, and texts along the direction."""
        classes = context.dataset.classes
        target = context.dataset.require_class(options.target or classes[-1])
        models = by_name(specimen, context.references[: options.references])
        results = [_steer(who, model, context, options) for who, model in models.items()]
        return [
            _finding(results, target, classes, options),
            _curve(results, target, classes[target]),
            _answers(results, classes),
            *_furthest(specimen, results[0].direction, context, options),
        ]


class TextSets(NamedTuple):
    """The two sets of texts."""

    toward: Int[Tensor, "n t"]
    away: Int[Tensor, "m t"]


class SteeredAnswers(NamedTuple):
    """The class logits of one model at each strength, one row for each text."""

    who: str
    direction: Direction
    strengths: list[float]
    logits: Float[Tensor, "step n k"]

    def shares(self) -> Float[Tensor, "step k"]:
        """The share of texts that go to each class."""
        count = self.logits.shape[2]
        return torch.nn.functional.one_hot(self.logits.argmax(2), count).float().mean(1)

    def margins(self, target: int) -> list[float]:
        """Mean margin of a class: its logit minus the highest other."""
        others = self.logits.clone()
        others[:, :, target] = -torch.inf
        return (self.logits[:, :, target] - others.amax(2)).mean(1).tolist()


def _sets(options: Steering.Options, context: ToolContext) -> TextSets:
    toward = texts_of(options.toward or context.dataset.classes[-1], context, "toward")
    if options.away:
        return TextSets(toward, texts_of(options.away, context, "away"))
    pool = context.examples.inputs
    mine = {tuple(row) for row in toward.tolist()}
    rest = [row for row, ids in enumerate(pool.tolist()) if tuple(ids) not in mine]
    if not rest:
        raise Invalid("away: no text of the pool is left; choose the texts to start from")
    return TextSets(toward, pool[rest])


def _site(options: Steering.Options, model: Specimen) -> str:
    known = layers(model)
    if options.site and model.site(options.site).name not in known:
        raise Invalid(f"site: '{options.site}' is not a residual stream; choose {', '.join(known)}")
    return options.site or known[max(0, len(known) - 2)]


def _steer(
    who: str, model: Specimen, context: ToolContext, options: Steering.Options
) -> SteeredAnswers:
    site, sets = _site(options, model), _sets(options, context)
    means = [at_answers(model, part, [site], context)[site] for part in sets]
    direction = between(*means)
    rows = choose(options.examples, len(context.examples), "examples")
    texts, found = context.examples.inputs[rows], []
    strengths = torch.linspace(-options.strength, options.strength, options.steps).tolist()
    for done, strength in enumerate(strengths):
        context.progress(done / len(strengths), f"steering the {model_title(who)}")
        parts = []
        for part in texts.split(batch(texts, model.texts)):
            last = model.texts.lengths(part) - 1
            edit = _added(strength * direction.apart, last if options.places == "answer" else None)
            parts.append(model.run(part, edit={site: edit}).classes)
        found.append(torch.cat(parts))
    return SteeredAnswers(who, direction, strengths, torch.stack(found))


def _added(shift: Float[Tensor, " d"], last: Int[Tensor, " n"] | None) -> Edit:
    def edit(value: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        if last is None:
            return value + shift
        value = value.clone()
        value[torch.arange(len(value)), last] += shift
        return value

    return edit


def _furthest(
    specimen: Specimen, direction: Direction, context: ToolContext, options: Steering.Options
) -> Iterator[Tokens]:
    """The texts with the words that lie furthest along the direction, and against it."""
    rows = choose(options.examples, len(context.examples), "examples")
    texts, site = context.examples.inputs[rows], _site(options, specimen)
    dataset = specimen.texts
    there = dataset.present(texts)
    found = torch.cat(
        [
            direction.along(specimen.run(part, keep=[site], whole=False).kept[site])
            for part in texts.split(batch(texts, dataset))
        ]
    )
    found -= found[there].mean()
    for way, sign in (("along", 1), ("against", -1)):
        scores = (sign * found).masked_fill(~there, -torch.inf).amax(1)
        for text in scores.argsort(descending=True, stable=True)[:SHOWN].tolist():
            yield Tokens(
                name=f"furthest_{way}",
                title=f"Furthest {way} the direction, #{rows[text]}",
                tokens=tuple(dataset.words[i] for i in texts[text][there[text]].tolist()),
                weights=tuple(found[text][there[text]].tolist()),
                limit=float(found[there].abs().max()),
                note=f"Furthest word {sign * float(scores[text]):+.2f}. 0: the mean of all words "
                "of the steered texts; 1: the distance of the two means.",
            )


def _finding(
    results: list[SteeredAnswers], target: int, classes: tuple[str, ...], options: Steering.Options
) -> Note:
    sentences = []
    for result in results:
        nearest = min(range(len(result.strengths)), key=lambda i: abs(result.strengths[i] - 1))
        middle = min(range(len(result.strengths)), key=lambda i: abs(result.strengths[i]))
        shares = result.shares()[:, target].tolist()
        gap = float(result.direction.apart.norm()) / max(result.direction.spread, 1e-6)
        who, name = model_title(result.who), classes[target]
        sentences.append(
            f"{who}: '{name}' from {shares[middle]:.0%} to {shares[nearest]:.0%} of the texts at "
            f"strength {result.strengths[nearest]:.2g}; the two sets differ by {gap:.1f} standard "
            "deviations"
        )
    where = f"toward {options.toward or classes[-1]}, away from {options.away or 'the rest'}"
    return Note(name="finding", title=f"Steered {where}", text=". ".join(sentences) + ".")


def _curve(results: list[SteeredAnswers], target: int, name: str) -> Curve:
    return Curve(
        name="class_curve",
        title=f"Margin of '{name}' by strength",
        series={
            result.who: tuple(
                (round(x, 4), round(y, 4))
                for x, y in zip(result.strengths, result.margins(target), strict=True)
            )
            for result in results
        },
        titles={result.who: model_title(result.who) for result in results},
        x_axis="strength (1: the distance of the means)",
        y_axis="logit minus highest other",
        note="Strength 0: unchanged. Above 0 the class is the answer.",
    )


def _answers(results: list[SteeredAnswers], classes: tuple[str, ...]) -> Table:
    return Table(
        name="answers",
        title="Answers by strength",
        columns=columns("model", "strength", *((f"class_{k}", c) for k, c in enumerate(classes))),
        rows=tuple(
            (model_title(result.who), round(strength, 3), *(round(share, 4) for share in shares))
            for result in results
            for strength, shares in zip(result.strengths, result.shares().tolist(), strict=True)
        ),
        note=f"Share of the {results[0].logits.shape[1]} steered texts that go to each class.",
    )
