"""The files of a bundle: weights as safetensors, players' examples as an image grid or as text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from PIL import Image
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from auditgame.bundles import COLUMNS, LABELS, PICTURES, WEIGHTS, read_file
from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record, canonical, explain
from auditgame.specimen import Specimen

if TYPE_CHECKING:
    import pandas as pd


class ExampleTable(Record):
    """The content of examples.json: right labels, the texts if any, and the named factors."""

    labels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=4096)]
    texts: tuple[str, ...] | None = None
    factors: dict[str, tuple[str, ...]] = {}


def pack_model(model: Model, dataset: Dataset) -> dict[str, bytes]:
    """The model's files. Weights are stored as float16, whatever they were, without metadata."""
    tensors = {
        name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()
    }
    return {WEIGHTS: safetensors.torch.save(tensors), **model.companions(dataset)}


def unpack_model(weights: bytes, name: str, dataset: Dataset, where: str) -> Specimen:
    """The specimen in a model.safetensors.

    Raises AuditgameError unless every tensor is there, finite and of its shape.
    """
    try:
        tensors = safetensors.torch.load(weights)
    except SafetensorError:
        raise Invalid(f"{where}: {WEIGHTS} is damaged; fetch it again") from None
    model = load("model", name).build(dataset, None)
    for key, value in model.state_dict().items():
        if key not in tensors:
            raise Invalid(f"{where}: {WEIGHTS} lacks the tensor '{key}' of model '{name}'")
        if tensors[key].shape != value.shape or not tensors[key].isfinite().all():
            shape = tuple(value.shape)
            raise Invalid(f"{where}: tensor '{key}' is not finite or not of shape {shape}")
    unknown = sorted(tensors.keys() - model.state_dict().keys())
    if unknown:
        raise Invalid(f"{where}: {WEIGHTS} has an unknown tensor '{unknown[0]}'")
    model.load_state_dict({key: value.float() for key, value in tensors.items()})
    return Specimen(model, dataset)


def read_specimen(folder: Path, model: str, dataset: Dataset, files: dict[str, str]) -> Specimen:
    """The model of a bundle or of a reference model, its digest checked."""
    return unpack_model(read_file(folder, WEIGHTS, files), model, dataset, folder.name)


def pack_examples(examples: Examples, dataset: Dataset) -> dict[str, bytes]:
    """The examples' files. They hold the named factors, and nothing else of the scenes."""
    columns = () if examples.scenes is None else examples.scenes.columns
    public = [name for name in dataset.factors if name in columns]
    table = ExampleTable(
        labels=tuple(examples.labels.tolist()),
        texts=(
            tuple(map(dataset.decode, examples.inputs))
            if isinstance(dataset, TextDataset)
            else None
        ),
        factors={name: tuple(examples.table[name].astype(str)) for name in public},
    )
    files = {LABELS: canonical(table.model_dump(mode="json")) + b"\n"}
    if dataset.modality == "image":
        files[PICTURES] = _grid(examples.inputs)
    return files


def read_examples(folder: Path, dataset: Dataset, files: dict[str, str]) -> Examples:
    """The players' examples; their scenes hold the named factors only."""
    try:
        table = ExampleTable.model_validate_json(read_file(folder, LABELS, files))
    except ValidationError as error:
        raise explain(error, f"{folder.name}/{LABELS}") from None
    labels = torch.tensor(table.labels, dtype=torch.long)
    columns = [
        *table.factors.values(),
        *([table.texts or ()] if dataset.modality == "text" else []),
    ]
    if any(len(column) != len(labels) for column in columns):
        raise Invalid(f"{folder.name}/{LABELS}: labels do not fit the examples")
    if isinstance(dataset, TextDataset):
        inputs = pad([dataset.encode(text) for text in table.texts or ()])
    else:
        grid = read_file(folder, PICTURES, files)
        inputs = _split_grid(grid, dataset.shape, f"{folder.name}/{PICTURES}")[: len(labels)]
    if len(inputs) != len(labels) or int(labels.max()) >= len(dataset.classes):
        raise Invalid(f"{folder.name}/{LABELS}: labels do not fit the examples")
    return Examples(inputs, labels, _scenes(table.factors))


def _scenes(factors: dict[str, tuple[str, ...]]) -> pd.DataFrame | None:
    if not factors:
        return None
    import pandas as pd

    return pd.DataFrame(factors)


def pad(rows: list[Tensor]) -> Tensor:
    """Token rows of different lengths as one matrix `n t`, padded with 0 on the right."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _grid(pictures: Float[Tensor, "n 3 h w"]) -> bytes:
    n, _, height, width = pictures.shape
    rows = -(-n // COLUMNS)
    grid = np.zeros((rows * height, COLUMNS * width, 3), np.uint8)
    for k, picture in enumerate((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1)):
        y, x = k // COLUMNS * height, k % COLUMNS * width
        grid[y : y + height, x : x + width] = picture.numpy()
    out = io.BytesIO()
    Image.fromarray(grid).save(out, "PNG", optimize=True)
    return out.getvalue()


def _split_grid(data: bytes, shape: tuple[int, ...], where: str) -> Float[Tensor, "n 3 h w"]:
    _, height, width = shape
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width != COLUMNS * width or image.height > 4096 * height:
                raise Invalid(f"{where}: {image.size} is not the size of an image grid")
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).float() / 255
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Invalid(f"{where} is not a readable PNG: {type(error).__name__}") from None
    cells = pixels.unfold(0, height, height).unfold(1, width, width)
    return cells.flatten(0, 1).contiguous()
