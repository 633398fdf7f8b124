"""External image networks as models: found sites, taps and normalisation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.external.external_model import ExternalModel
from auditgame.external.forward_interception import InterceptedModule, intercepted
from auditgame.external.module_trace import ModuleTrace, TapPoint, tap_points
from auditgame.models import ImageModel, Tap, untouched
from auditgame.schema.cards import Site
from auditgame.schema.errors import Invalid

SMALLEST = 4
"""Maps with fewer pixels a side are too coarse to show where something is."""


class Normalisation(NamedTuple):
    """The normalisation of a picture in [0, 1]: minus the mean, over the spread, per channel.

    With one number each, the network reads grey pictures.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    spread: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ModuleTaps:
    """The sites before and after one call of a module.

    copied: sites whose values the network overwrites later.
    """

    after: str | None = None
    before: str | None = None
    copied: frozenset[str] = frozenset()


@dataclass
class Tapping:
    """An interceptor that calls the tap where the network has a site."""

    tap: Tap
    sites: Mapping[tuple[str, int], ModuleTaps]
    calls: Counter[str] = field(default_factory=Counter)

    def visit(
        self, module: InterceptedModule, call: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Make the call; what the tap returns replaces the values that pass a site."""
        path = module.path_in_network
        taps = self.sites.get((path, self.calls[path]))
        self.calls[path] += 1
        if taps is None:
            return call(*args, **kwargs)
        if taps.before:
            args = (self._tapped(taps, taps.before, args[0]), *args[1:])
        value = call(*args, **kwargs)
        return self._tapped(taps, taps.after, value) if taps.after else value

    def _tapped(self, taps: ModuleTaps, name: str, value: Tensor) -> Tensor:
        value = self.tap(name, value)
        return value.clone() if name in taps.copied else value


class ExternalNetwork(ExternalModel, ImageModel):
    """An external image network, with its own normalisation.

    Its sites are found in one pass over a grey picture: see `module_trace`. Passes are
    intercepted, which leaves the network itself unchanged.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, network: nn.Module, shape: tuple[int, ...], normalisation: Normalisation
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", _column(normalisation.mean), persistent=False)
        self.register_buffer("spread", _column(normalisation.spread), persistent=False)
        trace = ModuleTrace()
        with torch.no_grad(), intercepted(self.network, trace):
            self.classes = _count_classes(self._logits(torch.full((1, *shape), 0.5)))
        points = tap_points(trace.calls)
        self.taps = {(point.call.path, point.call.number): _taps(point) for point in points}
        shapes = {name: v.tensor.shape for point in points for name, v in point.values.items()}
        self.sites = tuple(
            Site(name=name, kind="channel", units=shape[1]) for name, shape in shapes.items()
        )
        large = [point.name for point in points if min(shapes[point.name][2:]) >= SMALLEST]
        self.map_site = next(reversed(large or [point.name for point in points]), "")

    def forward(
        self, inputs: Float[Tensor, "n 3 h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of pictures in [0, 1]."""
        with intercepted(self.network, Tapping(tap, self.taps)):
            return self._logits(inputs)

    def _logits(self, inputs: Tensor) -> Any:
        if len(self.mean) == 1:
            inputs = inputs.mean(1, keepdim=True)
        return self.network((inputs - self.mean) / self.spread)


def _column(numbers: tuple[float, ...]) -> Float[Tensor, "c 1 1"]:
    return torch.tensor(numbers)[:, None, None]


def _count_classes(output: Any) -> int:
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[1] < 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise Invalid(f"gives {shape} for one picture; needs logits (1, classes)")
    return output.shape[1]


def _taps(point: TapPoint) -> ModuleTaps:
    copied = frozenset(name for name, value in point.values.items() if value.overwritten)
    before = f"{point.name}.pre" if point.activation else None
    return ModuleTaps(point.name, before, copied)
