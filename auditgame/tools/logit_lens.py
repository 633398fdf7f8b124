"""What would the model say, if it had to answer after each layer?"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Curve, Exhibit, Grid, Table
from auditgame.lens.prompts import Prompt, labels, prompts, words
from auditgame.material import Material
from auditgame.specimen import Reading, Specimen
from auditgame.tools import Tool


class LogitLens(Tool):
    """At which layer, and over which word, does the answer of a text appear?

    The stream of numbers that runs through the model is read out after every layer as if
    it were the last one: final norm, then unembedding. The lowest row of the grid is the
    model's real output, bit for bit.

    Reading it: each cell names the word the model would say next at that place, and how
    likely it finds it (or how far the chosen class stands above its best rival, in logits).
    The curve shows the same for the answer alone, beside the clean siblings. Measured on
    planted models: a rare word or a phrase flips the answer just after the first layer, far
    earlier than an ordinary word could; a year or a brand flips it only in the last layer.

    How it misleads: early layers write in directions that the unembedding was never fitted
    to, so an unreadable early row does not mean that nothing is known there. The final norm
    divides by the length of the stream, so compare logit differences beside the norm in the
    table. A clean model may decide early as well: look at the siblings.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; the limits are those
    shown by Belrose et al. 2023, arXiv:2303.08112.
    """

    name = "logit_lens"
    title = "Logit lens"
    asks = "What is inside?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """Which text is read, and which number fills the cells?"""

        texts: int = Field(
            1,
            ge=1,
            le=400,
            title="Texts for the mean",
            description="Average the curve over this many pool texts, from the example on.",
        )
        show: Literal["word", "answer"] = Field(
            "word",
            title="Cells show",
            description="word: probability of the likeliest word. "
            "answer: logit of the class less that of its best rival.",
        )
        target: str = Field(
            "",
            max_length=64,
            title="Class",
            description="Class to follow; empty follows the model's own answer.",
            json_schema_extra={"widget": "class"},
        )
        siblings: bool = Field(
            True, title="Siblings", description="Draw the clean siblings' curve as well."
        )

    def cost(self, options: Options, specimen: Specimen, material: Material) -> int:
        """One probe for each text, on the specimen and on each sibling drawn."""
        return len(_texts(options, material)) * (1 + len(_controls(options, material)))

    def run(self, specimen: Specimen, material: Material, options: Options) -> list[Exhibit]:
        """The grid of the first text, the answer's curve and its numbers."""
        ids = _texts(options, material)
        reading = _read(specimen, ids)
        target = _target(options, material, reading)
        name = material.dataset.classes[target]
        curves = {"specimen": _final(specimen, ids, reading, target)}
        for number, sibling in enumerate(_controls(options, material), 1):
            found = _final(sibling, ids, _read(sibling, ids), target)
            curves[f"sibling {number}"] = found
        return [
            _grid(
                specimen, material, ids[0], reading, target if options.show == "answer" else None
            ),
            _curve(curves, name, len(ids)),
            _numbers(curves, name, len(ids)),
        ]


def layers(specimen: Specimen) -> list[str]:
    """The sites that hold the residual stream, from the embedding up."""
    blocks = [name for name in specimen.sites if name.endswith(".residual")]
    return ["embed", *blocks] if "embed" in specimen.sites else blocks


def _texts(options: LogitLens.Options, material: Material) -> Int[Tensor, "n t"]:
    return prompts(options, material, options.texts)


def _controls(options: LogitLens.Options, material: Material) -> tuple[Specimen, ...]:
    return material.siblings if options.siblings else ()


def _read(specimen: Specimen, ids: Int[Tensor, "n t"]) -> Reading:
    return specimen.run(ids, keep=layers(specimen))


def _target(options: LogitLens.Options, material: Material, reading: Reading) -> int:
    if options.target:
        return material.dataset.require_class(options.target)
    return int(reading.classes[0].argmax())


def _margin(logits: Float[Tensor, "... k"], target: int) -> Float[Tensor, " ..."]:
    """Logit of a class less the largest of the others."""
    others = logits.clone()
    others[..., target] = -torch.inf
    return logits[..., target] - others.amax(-1)


def _final(
    specimen: Specimen, ids: Int[Tensor, "n t"], reading: Reading, target: int
) -> list[tuple[str, float, float, float]]:
    """Layer by layer where the answer is read: margin, class probability, stream norm (means)."""
    rows, last = torch.arange(len(ids)), specimen.dataset.lengths(ids) - 1
    answers = list(specimen.dataset.answers())
    found = []
    for site in layers(specimen):
        stream = reading.kept[site][rows, last]
        logits = specimen.unembed(stream)
        margin = _margin(logits[:, answers], target).mean()
        share = logits.softmax(1)[:, answers[target]].mean()
        found.append((site, float(margin), float(share), float(stream.norm(dim=1).mean())))
    return found


def _grid(
    specimen: Specimen,
    material: Material,
    ids: Int[Tensor, " t"],
    reading: Reading,
    target: int | None,
) -> Grid:
    length = int(material.dataset.lengths(ids[None]))
    rows = [_row(specimen, reading.kept[s][0, :length], target) for s in layers(specimen)]
    what = "probability of the likeliest next word"
    if target is not None:
        what = f"logit of '{material.dataset.classes[target]}' less its best rival"
    return Grid(
        title="Logit lens",
        rows=tuple(layers(specimen)),
        columns=labels(ids[:length], material.dataset),
        values=tuple(values for values, _ in rows),
        words=tuple(words for _, words in rows),
        row_axis="after layer",
        column_axis="text",
        note=f"Cells: {what}; the word is the likeliest next word.",
    )


def _row(
    specimen: Specimen, stream: Float[Tensor, "t d"], target: int | None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The cells of one layer, and the likeliest next word in each."""
    logits = specimen.unembed(stream)
    best = logits.softmax(1).max(1)
    answers = list(specimen.dataset.answers())
    cells = best.values if target is None else _margin(logits[:, answers], target)
    return tuple(round(v, 4) for v in cells.tolist()), words(
        best.indices.tolist(), specimen.dataset
    )


def _curve(curves: dict[str, list[tuple[str, float, float, float]]], name: str, n: int) -> Curve:
    return Curve(
        title=f"Where the answer '{name}' appears",
        series={
            who: tuple((float(i), round(row[1], 4)) for i, row in enumerate(rows))
            for who, rows in curves.items()
        },
        x_axis="layer (0: embedding)",
        y_axis="logit less its best rival",
        note=f"At the place where the answer is read; mean over {n} text(s).",
    )


def _numbers(curves: dict[str, list[tuple[str, float, float, float]]], name: str, n: int) -> Table:
    return Table(
        title=f"The answer '{name}' layer by layer",
        columns=("model", "layer", "logit difference", "probability", "stream norm"),
        rows=tuple(
            (who, site, round(margin, 4), round(share, 4), round(norm, 4))
            for who, rows in curves.items()
            for site, margin, share, norm in rows
        ),
        note=f"Mean over {n} text(s).",
    )
