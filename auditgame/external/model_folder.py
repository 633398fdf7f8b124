"""A folder such as Hugging Face's classes write: what it says of itself, and its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from auditgame.external.checkpoint import read_weights
from auditgame.schema.errors import AuditgameError

PREFIX = "hf:"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX, PICKLE = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
)
MAX_BYTES = 256 * 2**20
"""No JSON file of a folder may be larger."""


class ModelFolder(NamedTuple):
    """A language model's folder. said: how it was asked for; config: what config.json holds."""

    said: str
    path: Path
    config: dict[str, Any]

    @property
    def kind(self) -> str:
        """The architecture, in Hugging Face's own word (`model_type`)."""
        return str(self.config.get("model_type", ""))

    @property
    def where(self) -> str:
        """How complaints about it begin."""
        return f"model '{self.said}'"


def open_folder(said: str) -> ModelFolder:
    """The folder of `hf:FOLDER`; AuditgameError where it holds no model."""
    path, where = Path(said.removeprefix(PREFIX)), f"model '{said}'"
    if not path.is_dir():
        raise AuditgameError(f"{where}: there is no such folder")
    if not (path / CONFIG).is_file():
        raise AuditgameError(f"{where}: holds no {CONFIG}; name a Hugging Face model's folder")
    config = read_json(path / CONFIG, where)
    folder = ModelFolder(said, path, config)
    if not folder.kind:
        raise AuditgameError(f"{where}: {CONFIG} names no model_type")
    if "quantization_config" in config:
        raise AuditgameError(f"{where}: its weights are quantised; save them in full")
    return folder


def read_json(path: Path, where: str) -> dict[str, Any]:
    """The JSON object in a file of a folder."""
    if path.stat().st_size > MAX_BYTES:
        raise AuditgameError(f"{where}: {path.name} is over {MAX_BYTES >> 20} MB; refused")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        raise AuditgameError(f"{where}: {path.name} is no readable JSON") from None
    if not isinstance(data, dict):
        raise AuditgameError(f"{where}: {path.name} holds no JSON object")
    return data


def read_tensors(folder: ModelFolder) -> dict[str, Tensor]:
    """Every tensor, in full precision: from safetensors, or from a pickle of tensors alone."""
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        found |= read_weights(path)
    return {name: v.float() if v.is_floating_point() else v for name, v in found.items()}


def _files(folder: ModelFolder) -> list[Path]:
    """The one file of weights, or the parts that an index names."""
    path = folder.path
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / INDEX).is_file():
        listed = read_json(path / INDEX, folder.where).get("weight_map")
        names = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
        strange = [name for name in names if Path(name).name != name]
        if strange or not names:
            fault = f"names '{strange[0]}', which lies elsewhere" if strange else "names no files"
            raise AuditgameError(f"{folder.where}: {INDEX} {fault}")
        return [path / name for name in names]
    if (path / PICKLE).is_file():
        return [path / PICKLE]
    raise AuditgameError(f"{folder.where}: holds no weights; {WEIGHTS} is missing")
