"""A first pass through an external network, to find the values that become its sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from auditgame.external.forward_interception import InterceptedModule

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
    """A tensor, and how often it had been written to when it was traced."""

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, value: Any) -> TracedTensor | None:
        """The traced value, if it is a tensor."""
        return cls(value, value._version) if isinstance(value, Tensor) else None

    @property
    def key(self) -> tuple[int, int]:
        """Equal for the same numbers in the same memory."""
        return id(self.tensor), self.version

    @property
    def overwritten(self) -> bool:
        """Was it written to since?"""
        return self.tensor._version != self.version


class ModuleCall(NamedTuple):
    """One call of a module, with its first argument and its value.

    number: how often the module had been called before in the pass.
    """

    module: InterceptedModule
    path: str
    number: int
    before: TracedTensor | None
    after: TracedTensor | None

    @property
    def name(self) -> str:
        """The module's path; a module that is called again has a name for each call."""
        path = self.path if self.path[0].isalpha() else f"layer{self.path}"
        return f"{path}.call{self.number + 1}" if self.number else path


@dataclass
class ModuleTrace:
    """An interceptor that records every call of a pass, in the order in which they end."""

    calls: list[ModuleCall] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def visit(
        self, module: InterceptedModule, call: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Make the call, and record it."""
        path = module.path_in_network
        number = self.counts[path]
        self.counts[path] += 1
        before = TracedTensor.of(args[0] if args else None)
        value = call(*args, **kwargs)
        self.calls.append(ModuleCall(module, path, number, before, TracedTensor.of(value)))
        return value


class TapPoint(NamedTuple):
    """A call whose value is a site; so is its argument if the module is an activation."""

    call: ModuleCall
    name: str
    activation: bool

    @property
    def values(self) -> dict[str, TracedTensor]:
        """The tapped values, by the name of their site."""
        found = {f"{self.name}.pre": self.call.before} if self.activation else {}
        found[self.name] = self.call.after
        return {name: value for name, value in found.items() if value is not None}


def tap_points(calls: list[ModuleCall]) -> list[TapPoint]:
    """The values that become sites: stacks of maps `n c h w`, in the order of the pass.

    They are the outputs of activations (and their inputs, as `.pre`), of blocks (modules that
    contain a convolution, except sequences), and of convolutions, after the norm that follows.
    A value has one name, that of the outermost module. Activations after a linear layer have
    their channels in another dimension and become no site.
    """
    outputs = {kind: _outputs_of(calls, kind) for kind in (_ConvNd, nn.Linear)}
    normed = {_key(c.before) for c in calls if isinstance(c.module, NORMS)}
    activated = {_key(c.before) for c in calls if isinstance(c.module, ACTIVATIONS)}
    found: dict[Any, TapPoint] = {}
    for call in calls:
        module, key = call.module, _key(call.after)
        if not _is_maps(call.after):
            continue
        if isinstance(module, ACTIVATIONS):
            if _key(call.before) not in outputs[nn.Linear]:
                found[key] = TapPoint(call, call.name, _is_maps(call.before))
        elif isinstance(module, _ConvNd):
            if key not in normed | activated:
                found[key] = TapPoint(call, call.name, False)
        elif isinstance(module, NORMS):
            if _key(call.before) in outputs[_ConvNd] and key not in activated:
                found[key] = TapPoint(call, call.name, False)
        elif _is_block(module):
            inner = found.get(key, TapPoint(call, "", False))
            found[key] = inner._replace(name=call.name)
    return list(found.values())


def _key(value: TracedTensor | None) -> Any:
    return value.key if value else None


def _outputs_of(calls: list[ModuleCall], kind: type[nn.Module]) -> set[Any]:
    return {_key(call.after) for call in calls if isinstance(call.module, kind)}


def _is_maps(value: TracedTensor | None) -> bool:
    return value is not None and value.tensor.dim() == 4 and value.tensor[0, 0].numel() > 1


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential):
        return False
    return any(isinstance(part, _ConvNd) for part in module.modules())
