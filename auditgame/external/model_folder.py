"""Folders of language models in Hugging Face's format: configuration and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from auditgame.external.checkpoint import read_weights
from auditgame.schema.errors import Forbidden, Invalid, NotFound

PREFIX = "hf:"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX, PICKLE = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
)
MAX_BYTES = 256 * 2**20
"""The largest JSON file that is read."""


class ModelFolder(NamedTuple):
    """The folder of a language model. name: as the user gave it; config: config.json's content."""

    name: str
    path: Path
    config: dict[str, Any]

    @property
    def kind(self) -> str:
        """The architecture, as Hugging Face names it (`model_type`)."""
        return str(self.config.get("model_type", ""))

    @property
    def where(self) -> str:
        """The beginning of error messages about it."""
        return f"model '{self.name}'"


def open_folder(name: str) -> ModelFolder:
    """The folder of `hf:FOLDER`; AuditgameError where it has no model."""
    path, where = Path(name.removeprefix(PREFIX)), f"model '{name}'"
    if not path.is_dir():
        raise NotFound(f"{where}: there is no such folder")
    if not (path / CONFIG).is_file():
        raise NotFound(f"{where}: has no {CONFIG}; name the folder of a Hugging Face model")
    config = read_json(path / CONFIG, where)
    folder = ModelFolder(name, path, config)
    if not folder.kind:
        raise Invalid(f"{where}: {CONFIG} names no model_type")
    if "quantization_config" in config:
        raise Invalid(f"{where}: its weights are quantised; save them unquantised")
    return folder


def read_json(path: Path, where: str) -> dict[str, Any]:
    """The JSON object in a file of a folder."""
    if path.stat().st_size > MAX_BYTES:
        raise Forbidden(f"{where}: {path.name} is over {MAX_BYTES >> 20} MB; refused")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        raise Invalid(f"{where}: {path.name} is not readable JSON") from None
    if not isinstance(data, dict):
        raise Invalid(f"{where}: {path.name} is not a JSON object")
    return data


def read_tensors(folder: ModelFolder) -> dict[str, Tensor]:
    """Every tensor, in full precision: from safetensors, or from a pickle of tensors alone."""
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        found |= read_weights(path)
    return {name: v.float() if v.is_floating_point() else v for name, v in found.items()}


def _files(folder: ModelFolder) -> list[Path]:
    """The file of weights, or the parts that an index lists."""
    path = folder.path
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / INDEX).is_file():
        listed = read_json(path / INDEX, folder.where).get("weight_map")
        names = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
        outside = [name for name in names if Path(name).name != name]
        if outside or not names:
            fault = f"lists '{outside[0]}', outside the folder" if outside else "lists no files"
            raise Invalid(f"{folder.where}: {INDEX} {fault}")
        return [path / name for name in names]
    if (path / PICKLE).is_file():
        return [path / PICKLE]
    raise NotFound(f"{folder.where}: has no weights; {WEIGHTS} is missing")
