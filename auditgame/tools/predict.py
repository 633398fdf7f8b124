"""Predictions: class probabilities for chosen inputs."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.selection import choose


class Predict(Tool):
    """What does the model answer, and how sure is it?

    Reading it: each input is shown with its label, then the most probable classes with
    their probabilities (a softmax over the class logits). Green: the answer is right;
    red: it is wrong. An uploaded image or a typed text has no label.

    How it misleads: the probabilities are not calibrated; small networks give 0.99 on images
    of nothing. A backdoored model answers ordinary inputs as well as a clean one, so right
    answers on ordinary inputs prove nothing.

    Source: none needed; on over-confident probabilities see Guo, Pleiss, Sun and
    Weinberger 2017, arXiv:1706.04599.
    """

    name = "predict"
    title = "Predictions"
    asks = "What does it answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})

    class Options(Record):
        """Inputs, and how many classes are shown for each."""

        examples: Annotated[
            str,
            Field(
                title="Examples",
                description="Numbers and ranges from the pool, such as 0-11, 40; empty for all.",
                max_length=400,
                json_schema_extra={"widget": "example"},
            ),
        ] = "0-15"
        picture: Annotated[
            bool,
            Field(
                title="Use my image",
                description="Predict the uploaded image instead of the pool.",
                json_schema_extra={"widget": "picture"},
            ),
        ] = False
        text: Annotated[
            str,
            Field(
                title="Text",
                description="Text models: predict this text instead of the pool.",
                max_length=2000,
                json_schema_extra={"widget": "text"},
            ),
        ] = ""
        top: Annotated[
            int, Field(title="Classes", description="How many classes are shown.", ge=1, le=10)
        ] = 3

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query for each input."""
        return len(_inputs(options, specimen.dataset, context)[0])

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A gallery of images, or a table of texts, with the answers."""
        inputs, names, labels = _inputs(options, specimen.dataset, context)
        probabilities = specimen.classify(inputs).softmax(1)
        if specimen.modality == "image":
            return [_gallery(inputs, names, labels, probabilities, specimen.dataset, options.top)]
        return [_table(inputs, names, labels, probabilities, specimen.texts, options.top)]


def _inputs(
    options: Predict.Options, dataset: Dataset, context: ToolContext
) -> tuple[Tensor, list[str], list[int]]:
    """Inputs, a name for each, and its label (-1 where it is unknown)."""
    if options.text and isinstance(dataset, TextDataset):
        return dataset.encode(options.text)[None], ["your text"], [-1]
    if options.picture and dataset.modality == "image":
        if context.picture is None:
            raise Invalid("picture: none was uploaded; add one, or choose from the pool")
        return context.picture[None], ["your image"], [-1]
    return _from_pool(context.examples, options.examples)


def _from_pool(examples: Examples, text: str) -> tuple[Tensor, list[str], list[int]]:
    rows = choose(text, len(examples), "examples")
    chosen = examples.take(torch.tensor(rows, dtype=torch.long))
    return chosen.inputs, [f"#{row}" for row in rows], chosen.labels.tolist()


def _answers(
    probabilities: Float[Tensor, " k"], dataset: Dataset, top: int
) -> list[tuple[str, float]]:
    order = probabilities.argsort(descending=True, stable=True)[:top].tolist()
    return [(dataset.classes[k], float(probabilities[k])) for k in order]


def _gallery(
    inputs: Float[Tensor, "n 3 h w"],
    names: list[str],
    labels: list[int],
    probabilities: Float[Tensor, "n k"],
    dataset: Dataset,
    top: int,
) -> Gallery:
    tiles = []
    for image, name, label, row in zip(inputs, names, labels, probabilities, strict=True):
        answers = ", ".join(f"{word} {p:.2f}" for word, p in _answers(row, dataset, top))
        right = "no label" if label < 0 else dataset.classes[label]
        tone = "plain" if label < 0 else "good" if int(row.argmax()) == label else "bad"
        tiles.append(Tile(png=png(image), label=f"{name} {right}", note=answers, tone=tone))
    wrong = sum(tile.tone == "bad" for tile in tiles)
    note = f"{wrong} of {len(tiles)} wrong. Above: label; below: answers with probability."
    return Gallery(name="predictions", title="Predictions", tiles=tuple(tiles), note=note)


def _table(
    inputs: Tensor,
    names: list[str],
    labels: list[int],
    probabilities: Float[Tensor, "n k"],
    dataset: TextDataset,
    top: int,
) -> Table:
    rows = []
    for ids, name, label, row in zip(inputs, names, labels, probabilities, strict=True):
        answers = _answers(row, dataset, top)
        right = None if label < 0 else dataset.classes[label]
        others = ", ".join(f"{word} {p:.2f}" for word, p in answers[1:])
        answer, probability = answers[0]
        rows.append((name, dataset.decode(ids), right, answer, round(probability, 4), others))
    wrong = sum(row[2] is not None and row[2] != row[3] for row in rows)
    return Table(
        name="predictions",
        title="Predictions",
        columns=columns(
            "example", "text", "label", "answer", "probability", ("others", "other classes")
        ),
        rows=tuple(rows),
        note=f"{wrong} of {len(rows)} wrong.",
    )
