"""What lies in a bundle: weights as safetensors, the players' examples as a sheet or as text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
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
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Record, canonical, explain
from auditgame.specimen import Specimen


class ExampleTable(Record):
    """examples.json: right labels, texts where there are any, and the named factors of each."""

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
    """The specimen in a model.safetensors; every tensor must be there, finite and of its shape."""
    try:
        tensors = safetensors.torch.load(weights)
    except SafetensorError as error:
        raise AuditgameError(f"{where}: {WEIGHTS} is damaged: {error}") from None
    model = load("model", name).build(dataset, None)
    for key, value in model.state_dict().items():
        if key not in tensors:
            raise AuditgameError(f"{where}: {WEIGHTS} lacks the tensor '{key}' of model '{name}'")
        if tensors[key].shape != value.shape or not tensors[key].isfinite().all():
            raise AuditgameError(f"{where}: tensor '{key}' is not finite or not {value.shape}")
    surplus = sorted(tensors.keys() - model.state_dict().keys())
    if surplus:
        raise AuditgameError(f"{where}: {WEIGHTS} has a tensor '{surplus[0]}' that is not known")
    model.load_state_dict({key: value.float() for key, value in tensors.items()})
    return Specimen(model, dataset)


def read_specimen(folder: Path, model: str, dataset: Dataset, files: dict[str, str]) -> Specimen:
    """The model of a bundle or reference, its digest checked."""
    return unpack_model(read_file(folder, WEIGHTS, files), model, dataset, folder.name)


def pack_examples(examples: Examples, dataset: Dataset) -> dict[str, bytes]:
    """The examples' files. Named factors are told, the scenes themselves are not."""
    scenes = pd.DataFrame() if examples.scenes is None else examples.scenes
    told = [name for name in dataset.factors if name in scenes]
    sheet = ExampleTable(
        labels=tuple(examples.labels.tolist()),
        texts=(
            tuple(map(dataset.decode, examples.inputs))
            if isinstance(dataset, TextDataset)
            else None
        ),
        factors={name: tuple(scenes[name].astype(str)) for name in told},
    )
    files = {LABELS: canonical(sheet.model_dump(mode="json")) + b"\n"}
    if dataset.modality == "image":
        files[PICTURES] = _sheet(examples.inputs)
    return files


def read_examples(folder: Path, dataset: Dataset, files: dict[str, str]) -> Examples:
    """The players' examples again; scenes hold the named factors only."""
    try:
        sheet = ExampleTable.model_validate_json(read_file(folder, LABELS, files))
    except ValidationError as error:
        raise explain(error, f"{folder.name}/{LABELS}") from None
    labels = torch.tensor(sheet.labels, dtype=torch.long)
    columns = [
        *sheet.factors.values(),
        *([sheet.texts or ()] if dataset.modality == "text" else []),
    ]
    if any(len(column) != len(labels) for column in columns):
        raise AuditgameError(f"{folder.name}/{LABELS}: labels do not fit the examples")
    if isinstance(dataset, TextDataset):
        inputs = pad([dataset.encode(text) for text in sheet.texts or ()])
    else:
        where = f"{folder.name}/{PICTURES}"
        inputs = _cut(read_file(folder, PICTURES, files), dataset.shape, where)[: len(labels)]
    if len(inputs) != len(labels) or int(labels.max()) >= len(dataset.classes):
        raise AuditgameError(f"{folder.name}/{LABELS}: labels do not fit the examples")
    return Examples(inputs, labels, pd.DataFrame(sheet.factors) if sheet.factors else None)


def pad(rows: list[Tensor]) -> Tensor:
    """Token rows of different length as one matrix, padded with 0 on the right."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _sheet(pictures: Float[Tensor, "n 3 h w"]) -> bytes:
    n, _, height, width = pictures.shape
    rows = -(-n // COLUMNS)
    sheet = np.zeros((rows * height, COLUMNS * width, 3), np.uint8)
    for k, picture in enumerate((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1)):
        y, x = k // COLUMNS * height, k % COLUMNS * width
        sheet[y : y + height, x : x + width] = picture.numpy()
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "PNG", optimize=True)
    return out.getvalue()


def _cut(data: bytes, shape: tuple[int, ...], where: str) -> Float[Tensor, "n 3 h w"]:
    _, height, width = shape
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width != COLUMNS * width or image.height > 4096 * height:
                raise AuditgameError(f"{where}: {image.size} is not the size of a sheet")
            sheet = torch.from_numpy(np.array(image.convert("RGB"))).float() / 255
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise AuditgameError(f"{where} is no readable PNG: {error}") from None
    grid = sheet.unfold(0, height, height).unfold(1, width, width)
    return grid.flatten(0, 1).contiguous()
