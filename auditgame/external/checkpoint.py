"""Weights that somebody else saved: read without running anything, and fitted to a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auditgame.schema.errors import AuditgameError

SUFFIXES = (".pt", ".pth", ".th", ".bin")
IDLE = re.compile(r"(^|\.)num_batches_tracked$|^aux", re.IGNORECASE)
"""Tensors that a file may lack: they count for training only."""
NAMED = 3
"""Misfits that a message names."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or a pickle of tensors and nothing else.

    A pickle that would run code is refused, whatever it is; there is no other way in.
    """
    where = f"weights '{path}'"
    if not path.is_file():
        raise AuditgameError(f"{where}: there is no such file")
    if path.suffix == ".safetensors":
        tensors: Any = _read_safetensors(path, where)
    elif path.suffix in SUFFIXES:
        tensors = _state_dict(_read_pickle(path, where), where)
    else:
        raise AuditgameError(f"{where}: name a .safetensors, {', '.join(SUFFIXES)} file")
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise AuditgameError(f"{where}: tensor '{name}' is not finite")
    return tensors


def _read_safetensors(path: Path, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise AuditgameError(f"{where}: is damaged: {error}") from None


def _read_pickle(path: Path, where: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|type) ([\w.]+\.[\w.]+)", str(error))
        what = f"it asks for {found[1]}" if found else "it holds more than tensors"
        raise AuditgameError(
            f"{where}: refused, since {what} and opening it could run code; ask its maker for "
            "the state dict, best as safetensors"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0][:120]
        raise AuditgameError(f"{where}: cannot be read as a state dict ({reason})") from None


def _state_dict(data: Any, where: str) -> dict[str, Tensor]:
    """The tensors themselves, or the one entry of a checkpoint that holds them."""
    if _is_state_dict(data):
        return dict(data)
    entries = data if isinstance(data, Mapping) else {}
    found = {name: value for name, value in entries.items() if _is_state_dict(value)}
    if len(found) != 1:
        held = ", ".join(map(str, found)) or "none"
        raise AuditgameError(f"{where}: needs one state dict in it; found {held}")
    return dict(next(iter(found.values())))


def _is_state_dict(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and len(data) > 0
        and all(isinstance(v, Tensor) for v in data.values())
    )


def unwrapped(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The same without a first word that all names share and the network does not know.

    Training in parallel puts `module.` before every name; compiling, `_orig_mod.`.
    """
    own = {name.split(".")[0] for name in network.state_dict()}
    names, heads = list(tensors), {name.split(".")[0] for name in tensors}
    while len(heads) == 1 and not heads & own and all("." in name for name in names):
        names = [name.split(".", 1)[1] for name in names]
        heads = {name.split(".")[0] for name in names}
    return dict(zip(names, tensors.values(), strict=True))


def class_count(tensors: Mapping[str, Tensor], network: nn.Module, classes: int) -> int:
    """How many classes has the network in the file, if it is this one but for its last layer?"""
    for name, value in unwrapped(tensors, network).items():
        own = network.state_dict().get(name)
        if own is None or not own.dim() == value.dim() > 0 or own.shape[0] != classes:
            continue
        if own.shape != value.shape and own.shape[1:] == value.shape[1:]:
            return value.shape[0]
    return classes


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Fill the network; AuditgameError names the first tensors that do not fit."""
    tensors = unwrapped(tensors, network)
    require_fit(network, tensors, where)
    network.load_state_dict(tensors, strict=False)


def require_fit(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Are these the network's own tensors? AuditgameError names the first that do not fit."""
    own = network.state_dict()
    faults = [
        f"'{name}' is missing" for name in own if name not in tensors and not IDLE.search(name)
    ]
    faults += [
        f"'{name}' is {_shape(value)} where {_shape(own[name])} is wanted"
        for name, value in tensors.items()
        if name in own and own[name].shape != value.shape
    ]
    faults += [f"'{name}' is not known" for name in tensors if name not in own]
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise AuditgameError(f"{where}: do not fit: {'; '.join(faults[:NAMED])}{more}")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
