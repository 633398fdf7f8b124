"""A first pass through somebody else's network: which of its values are worth a name?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from auditgame.external.forward_interception import Interception

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Softplus,
    nn.Tanh,
)
NORMS = (_BatchNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm)


class TracedTensor(NamedTuple):
    """A tensor, and how often it had been written to at that moment."""

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, thing: Any) -> TracedTensor | None:
        """The thing, if it is a tensor."""
        return cls(thing, thing._version) if isinstance(thing, Tensor) else None

    @property
    def key(self) -> tuple[int, int]:
        """The same for the same numbers in the same place."""
        return id(self.tensor), self.version

    @property
    def overwritten(self) -> bool:
        """Has somebody written to it since?"""
        return self.tensor._version != self.version


class ModuleCall(NamedTuple):
    """One call of a module: what went in and came out. number: how often it was called before."""

    module: Interception
    number: int
    before: TracedTensor | None
    after: TracedTensor | None

    @property
    def name(self) -> str:
        """The module's path; a module that is called again has a name for each call."""
        path = self.module.path
        path = path if path[0].isalpha() else f"layer{path}"
        return f"{path}.call{self.number + 1}" if self.number else path


@dataclass
class ModuleTrace:
    """Writes down every call of a pass, in the order in which they end."""

    calls: list[ModuleCall] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)

    def visit(self, module: Interception, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call, and write it down."""
        number = self.times[module.path]
        self.times[module.path] += 1
        before = TracedTensor.of(args[0] if args else None)
        found = call(*args, **more)
        self.calls.append(ModuleCall(module, number, before, TracedTensor.of(found)))
        return found


class TapPoint(NamedTuple):
    """Where a value is tapped: after a call, and before it too if that is an activation."""

    call: ModuleCall
    name: str
    activation: bool

    @property
    def values(self) -> dict[str, TracedTensor]:
        """The values to be tapped, by the name of their site."""
        found = {f"{self.name}.pre": self.call.before} if self.activation else {}
        found[self.name] = self.call.after
        return {name: value for name, value in found.items() if value is not None}


def tap_points(calls: list[ModuleCall]) -> list[TapPoint]:
    """Which values are worth a name? Stacks of maps, in the order of the pass.

    What activations make (and take, as `.pre`), what blocks make (modules with a convolution
    in them, sequences apart), and convolutions, after the norm that follows. One value has
    one name, the outermost module's. What comes after a linear layer counts its channels
    elsewhere and has none.
    """
    made = {kind: _made_by(calls, kind) for kind in (_ConvNd, nn.Linear)}
    normed = {_key(c.before) for c in calls if isinstance(c.module, NORMS)}
    taken = {_key(c.before) for c in calls if isinstance(c.module, ACTIVATIONS)}
    found: dict[Any, TapPoint] = {}
    for call in calls:
        module, key = call.module, _key(call.after)
        if not _is_maps(call.after):
            continue
        if isinstance(module, ACTIVATIONS):
            if _key(call.before) not in made[nn.Linear]:
                found[key] = TapPoint(call, call.name, _is_maps(call.before))
        elif isinstance(module, _ConvNd):
            if key not in normed | taken:
                found[key] = TapPoint(call, call.name, False)
        elif isinstance(module, NORMS):
            if _key(call.before) in made[_ConvNd] and key not in taken:
                found[key] = TapPoint(call, call.name, False)
        elif _is_block(module):
            inner = found.get(key, TapPoint(call, "", False))
            found[key] = inner._replace(name=call.name)
    return list(found.values())


def _key(value: TracedTensor | None) -> Any:
    return value.key if value else None


def _made_by(calls: list[ModuleCall], kind: type[nn.Module]) -> set[Any]:
    return {_key(call.after) for call in calls if isinstance(call.module, kind)}


def _is_maps(value: TracedTensor | None) -> bool:
    return value is not None and value.tensor.dim() == 4 and value.tensor[0, 0].numel() > 1


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential):
        return False
    return any(isinstance(part, _ConvNd) for part in module.modules())
