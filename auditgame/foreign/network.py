"""Someone else's network as a model of the house: which of its values can be read, and how."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from auditgame.datasets import Dataset
from auditgame.models import Model, Tap, untouched
from auditgame.types import AuditgameError, Site

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
SMALLEST = 4
"""Maps of fewer pixels a side do not say where something is."""


class Normalisation(NamedTuple):
    """What is done to a picture in [0, 1]: less the mean, over the spread, channel by channel.

    With one number each the network reads grey pictures.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    spread: tuple[float, ...] = (1.0, 1.0, 1.0)


# --------------------------------------------------------- modules that can be listened to


class Listener(Protocol):
    """What a pass does at each module: it makes the call itself, and may change the value."""

    def visit(self, module: Listening, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call."""


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
"""Whoever listens to the pass that this thread is making. Not kept on the network, so that
passes in several threads cannot meet; and no hook is ever registered."""


class Listening(nn.Module):
    """Mixed into the class of every module of a network: its calls go by the listener."""

    path: str

    def forward(self, *args: Any, **more: Any) -> Any:
        """The module's own forward pass."""
        listener = _LISTENER.get()
        if listener is None:
            return super().forward(*args, **more)
        return listener.visit(self, super().forward, args, more)


@functools.cache
def _listening(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (Listening, kind), {"__module__": kind.__module__})


def _open_up(network: nn.Module) -> None:
    """Let every module be listened to, and none overwrite what it is given."""
    for path, module in network.named_modules():
        if path and not isinstance(module, torch.jit.ScriptModule):
            module.path = path
            module.__class__ = _listening(module.__class__)
        if getattr(module, "inplace", None) is True:
            module.inplace = False


@contextmanager
def _heard_by(listener: Listener) -> Iterator[None]:
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


# -------------------------------------------------------------- a first pass, to look round


class Value(NamedTuple):
    """A tensor, and how often it had been written to at that moment."""

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, thing: Any) -> Value | None:
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


class Call(NamedTuple):
    """One call of a module: what went in and came out. number: how often it was called before."""

    module: Listening
    number: int
    before: Value | None
    after: Value | None

    @property
    def name(self) -> str:
        """The module's path; a module that is called again has a name for each call."""
        path = self.module.path
        path = path if path[0].isalpha() else f"layer{path}"
        return f"{path}.call{self.number + 1}" if self.number else path


@dataclass
class Survey:
    """Writes down every call of a pass, in the order in which they end."""

    calls: list[Call] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)

    def visit(self, module: Listening, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call, and write it down."""
        number = self.times[module.path]
        self.times[module.path] += 1
        before = Value.of(args[0] if args else None)
        found = call(*args, **more)
        self.calls.append(Call(module, number, before, Value.of(found)))
        return found


class Place(NamedTuple):
    """Where a value is tapped: after a call, and before it too if that is an activation."""

    call: Call
    name: str
    activation: bool

    @property
    def values(self) -> dict[str, Value]:
        """The values to be tapped, by the name of their site."""
        found = {f"{self.name}.pre": self.call.before} if self.activation else {}
        found[self.name] = self.call.after
        return {name: value for name, value in found.items() if value is not None}


def places(calls: list[Call]) -> list[Place]:
    """Which values are worth a name? Stacks of maps, in the order of the pass.

    What activations make (and take, as `.pre`), what blocks make (modules with a convolution
    in them, sequences apart), and convolutions, after the norm that follows. One value has
    one name, the outermost module's. What comes after a linear layer counts its channels
    elsewhere and has none.
    """
    made = {kind: _made_by(calls, kind) for kind in (_ConvNd, nn.Linear)}
    normed = {_key(c.before) for c in calls if isinstance(c.module, NORMS)}
    taken = {_key(c.before) for c in calls if isinstance(c.module, ACTIVATIONS)}
    found: dict[Any, Place] = {}
    for call in calls:
        module, key = call.module, _key(call.after)
        if not _is_maps(call.after):
            continue
        if isinstance(module, ACTIVATIONS):
            if _key(call.before) not in made[nn.Linear]:
                found[key] = Place(call, call.name, _is_maps(call.before))
        elif isinstance(module, _ConvNd):
            if key not in normed | taken:
                found[key] = Place(call, call.name, False)
        elif isinstance(module, NORMS):
            if _key(call.before) in made[_ConvNd] and key not in taken:
                found[key] = Place(call, call.name, False)
        elif _is_block(module):
            inner = found.get(key, Place(call, "", False))
            found[key] = inner._replace(name=call.name)
    return list(found.values())


def _key(value: Value | None) -> Any:
    return value.key if value else None


def _made_by(calls: list[Call], kind: type[nn.Module]) -> set[Any]:
    return {_key(call.after) for call in calls if isinstance(call.module, kind)}


def _is_maps(value: Value | None) -> bool:
    return value is not None and value.tensor.dim() == 4 and value.tensor[0, 0].numel() > 1


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential):
        return False
    return any(isinstance(part, _ConvNd) for part in module.modules())


# ------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Spot:
    """What is tapped at one call of a module. copied: values that the network overwrites later."""

    after: str
    before: str | None = None
    copied: frozenset[str] = frozenset()


@dataclass
class Tapping:
    """Calls the tap where the network has a site."""

    tap: Tap
    spots: Mapping[tuple[str, int], Spot]
    times: Counter[str] = field(default_factory=Counter)

    def visit(self, module: Listening, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call, with what the tap gives back in the place of what went through."""
        spot = self.spots.get((module.path, self.times[module.path]))
        self.times[module.path] += 1
        if spot is None:
            return call(*args, **more)
        if spot.before:
            args = (self._tapped(spot, spot.before, args[0]), *args[1:])
        return self._tapped(spot, spot.after, call(*args, **more))

    def _tapped(self, spot: Spot, name: str, value: Tensor) -> Tensor:
        value = self.tap(name, value)
        return value.clone() if name in spot.copied else value


class Foreign(Model):
    """A network that somebody else built and trained, with its own normalisation.

    Its sites are found in one pass over a grey picture: see `places`. The network is changed
    in two ways that no answer shows: its modules can be listened to, and do not work in place.
    """

    name = "foreign"
    modality = "image"
    mean: Tensor
    spread: Tensor

    def __init__(
        self, network: nn.Module, shape: tuple[int, ...], normalisation: Normalisation
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", _column(normalisation.mean), persistent=False)
        self.register_buffer("spread", _column(normalisation.spread), persistent=False)
        _open_up(self.network)
        survey = Survey()
        with torch.no_grad(), _heard_by(survey):
            self.classes = _count_classes(self._answer(torch.full((1, *shape), 0.5)))
        found = places(survey.calls)
        self.spots = {(p.call.module.path, p.call.number): _spot(p) for p in found}
        sides = {n: v.tensor.shape for p in found for n, v in p.values.items()}
        self.sites = tuple(
            Site(name=name, kind="channel", units=size[1]) for name, size in sides.items()
        )
        large = [p.name for p in found if min(sides[p.name][2:]) >= SMALLEST]
        self.map_site = next(reversed(large or [p.name for p in found]), "")

    @classmethod
    def build(cls, dataset: Dataset, rng: torch.Generator | None) -> Foreign:  # noqa: ARG003
        """Refused: a foreign network comes as it is."""
        raise AuditgameError(
            f"model 'foreign': comes as it is and is not trained on '{dataset.name}'"
        )

    def forward(
        self, inputs: Float[Tensor, "n 3 h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of pictures in [0, 1]."""
        with _heard_by(Tapping(tap, self.spots)):
            return self._answer(inputs)

    def _answer(self, inputs: Tensor) -> Any:
        if len(self.mean) == 1:
            inputs = inputs.mean(1, keepdim=True)
        return self.network((inputs - self.mean) / self.spread)


def _column(numbers: tuple[float, ...]) -> Float[Tensor, "c 1 1"]:
    return torch.tensor(numbers)[:, None, None]


def _count_classes(output: Any) -> int:
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[1] < 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise AuditgameError(f"gives {shape} for one picture; needs logits (1, classes)")
    return output.shape[1]


def _spot(place: Place) -> Spot:
    copied = frozenset(name for name, value in place.values.items() if value.overwritten)
    before = f"{place.name}.pre" if place.activation else None
    return Spot(place.name, before, copied)
