"""Checkpoints of other origin: read without running code, and loaded into a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auditgame.schema.errors import Forbidden, Invalid, NotFound

SUFFIXES = (".pt", ".pth", ".th", ".bin")
TRAINING_ONLY = re.compile(r"(^|\.)num_batches_tracked$|^aux", re.IGNORECASE)
"""Names of tensors that a file may lack, because only training uses them."""
NAMED = 3
"""The most wrong tensors that a message names."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or a pickle of tensors and nothing else.

    A pickle that would run code is refused.
    """
    where = f"weights '{path}'"
    if not path.is_file():
        raise NotFound(f"{where}: there is no such file")
    if path.suffix == ".safetensors":
        tensors: Any = _read_safetensors(path, where)
    elif path.suffix in SUFFIXES:
        tensors = _state_dict(_read_pickle(path, where), where)
    else:
        raise Invalid(f"{where}: name a .safetensors, {', '.join(SUFFIXES)} file")
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise Invalid(f"{where}: tensor '{name}' is not finite")
    return tensors


def _read_safetensors(path: Path, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise Invalid(f"{where}: is damaged; fetch it again") from None


def _read_pickle(path: Path, where: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|type) ([\w.]+\.[\w.]+)", str(error))
        what = f"it asks for {found[1]}" if found else "it has more than tensors"
        raise Forbidden(
            f"{where}: refused, since {what} and opening it could run code; use a state dict, "
            "best as safetensors"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError):
        raise Invalid(
            f"{where}: cannot be read as a state dict; save one with torch.save or as safetensors"
        ) from None


def _state_dict(data: Any, where: str) -> dict[str, Tensor]:
    """The tensors of a file, or those of the one entry of a checkpoint that has tensors."""
    if _is_state_dict(data):
        return dict(data)
    entries = data if isinstance(data, Mapping) else {}
    found = {name: value for name, value in entries.items() if _is_state_dict(value)}
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise Invalid(f"{where}: needs one state dict in it; found {names}")
    return dict(next(iter(found.values())))


def _is_state_dict(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and len(data) > 0
        and all(isinstance(v, Tensor) for v in data.values())
    )


def unwrapped(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The tensors without a common prefix of their names that the network does not have.

    Parallel training puts `module.` before every name; compiling, `_orig_mod.`.
    """
    own = {name.split(".")[0] for name in network.state_dict()}
    names, heads = list(tensors), {name.split(".")[0] for name in tensors}
    while len(heads) == 1 and not heads & own and all("." in name for name in names):
        names = [name.split(".", 1)[1] for name in names]
        heads = {name.split(".")[0] for name in names}
    return dict(zip(names, tensors.values(), strict=True))


def class_count(tensors: Mapping[str, Tensor], network: nn.Module, classes: int) -> int:
    """The number of classes of the file's network, if only its last layer differs from this one."""
    for name, value in unwrapped(tensors, network).items():
        own = network.state_dict().get(name)
        if own is None or not own.dim() == value.dim() > 0 or own.shape[0] != classes:
            continue
        if own.shape != value.shape and own.shape[1:] == value.shape[1:]:
            return value.shape[0]
    return classes


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load the tensors into the network; AuditgameError names the first that do not fit."""
    tensors = unwrapped(tensors, network)
    require_fit(network, tensors, where)
    network.load_state_dict(tensors, strict=False)


def require_fit(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise AuditgameError where tensors do not fit the network; it names the first of them."""
    own = network.state_dict()
    faults = [
        f"'{name}' is missing"
        for name in own
        if name not in tensors and not TRAINING_ONLY.search(name)
    ]
    faults += [
        f"'{name}' is {_shape(value)} where {_shape(own[name])} is needed"
        for name, value in tensors.items()
        if name in own and own[name].shape != value.shape
    ]
    faults += [f"'{name}' is unknown" for name in tensors if name not in own]
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise Invalid(f"{where}: do not fit: {'; '.join(faults[:NAMED])}{more}")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
