"""Class probabilities for chosen inputs."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.datasets.images.pictures import png
from auditgame.exhibits import Exhibit, Gallery, Table, Tile, columns
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality, Record
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.selection import choose


class Predict(Tool):
    """What does the model answer, and how sure is it?

    Reading it: each input stands with its right label, then the likeliest classes with
    their probabilities (a softmax over the class logits). Green: the answer is right;
    red: it is wrong. An uploaded picture or a typed text has no right label.

    How it misleads: a probability is not a confidence you can bank on; small networks say
    0.99 on pictures of nothing. A backdoored model answers ordinary inputs as well as a
    clean one, so that a page of right answers proves nothing.

    Source: none needed; on over-confident probabilities see Guo, Pleiss, Sun and
    Weinberger 2017, arXiv:1706.04599.
    """

    name = "predict"
    title = "Predictions"
    asks = "What does it answer?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})

    class Options(Record):
        """Which inputs, and how many classes each."""

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
                title="Use my picture",
                description="Ask about the uploaded picture instead of the pool.",
                json_schema_extra={"widget": "picture"},
            ),
        ] = False
        text: Annotated[
            str,
            Field(
                title="Text",
                description="Text models: ask about this text instead of the pool.",
                max_length=2000,
                json_schema_extra={"widget": "text"},
            ),
        ] = ""
        top: Annotated[
            int, Field(title="Classes", description="How many classes to name.", ge=1, le=10)
        ] = 3

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe for each input."""
        return len(_inputs(options, specimen.dataset, context)[0])

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """A gallery of pictures, or a table of texts, with the answers."""
        inputs, names, labels = _inputs(options, specimen.dataset, context)
        chances = specimen.classify(inputs).softmax(1)
        if specimen.modality == "image":
            return [_gallery(inputs, names, labels, chances, specimen.dataset, options.top)]
        return [_table(inputs, names, labels, chances, specimen.texts, options.top)]


def _inputs(
    options: Predict.Options, dataset: Dataset, context: ToolContext
) -> tuple[Tensor, list[str], list[int]]:
    """Inputs, a name for each, and its right label (-1 where nobody knows)."""
    if options.text and isinstance(dataset, TextDataset):
        return dataset.encode(options.text)[None], ["your text"], [-1]
    if options.picture and dataset.modality == "image":
        if context.picture is None:
            raise AuditgameError("picture: none is uploaded; add one, or choose from the pool")
        return context.picture[None], ["your picture"], [-1]
    return _from_pool(context.examples, options.examples)


def _from_pool(examples: Examples, text: str) -> tuple[Tensor, list[str], list[int]]:
    rows = choose(text, len(examples), "examples")
    chosen = examples.take(torch.tensor(rows, dtype=torch.long))
    return chosen.inputs, [f"#{row}" for row in rows], chosen.labels.tolist()


def _answers(chances: Float[Tensor, " k"], dataset: Dataset, top: int) -> list[tuple[str, float]]:
    order = chances.argsort(descending=True, stable=True)[:top].tolist()
    return [(dataset.classes[k], float(chances[k])) for k in order]


def _gallery(
    inputs: Float[Tensor, "n 3 h w"],
    names: list[str],
    labels: list[int],
    chances: Float[Tensor, "n k"],
    dataset: Dataset,
    top: int,
) -> Gallery:
    tiles = []
    for image, name, label, row in zip(inputs, names, labels, chances, strict=True):
        said = ", ".join(f"{word} {p:.2f}" for word, p in _answers(row, dataset, top))
        right = "no label" if label < 0 else dataset.classes[label]
        tone = "plain" if label < 0 else "good" if int(row.argmax()) == label else "bad"
        tiles.append(Tile(png=png(image), label=f"{name} {right}", note=said, tone=tone))
    wrong = sum(tile.tone == "bad" for tile in tiles)
    note = f"{wrong} of {len(tiles)} wrong. Label above, answers with probability below."
    return Gallery(name="predictions", title="Predictions", tiles=tuple(tiles), note=note)


def _table(
    inputs: Tensor,
    names: list[str],
    labels: list[int],
    chances: Float[Tensor, "n k"],
    dataset: TextDataset,
    top: int,
) -> Table:
    rows = []
    for ids, name, label, row in zip(inputs, names, labels, chances, strict=True):
        answers = _answers(row, dataset, top)
        right = None if label < 0 else dataset.classes[label]
        others = ", ".join(f"{word} {p:.2f}" for word, p in answers[1:])
        said, chance = answers[0]
        rows.append((name, dataset.decode(ids), right, said, round(chance, 4), others))
    wrong = sum(row[2] is not None and row[2] != row[3] for row in rows)
    return Table(
        name="predictions",
        title="Predictions",
        columns=columns("example", "text", "label", "answer", "probability", ("others", "next")),
        rows=tuple(rows),
        note=f"{wrong} of {len(rows)} wrong.",
    )
