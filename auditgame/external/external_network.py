"""Someone else's network as a model of the house."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auditgame.external.external_model import ExternalModel
from auditgame.external.forward_interception import Interception, intercepted_by, make_interceptable
from auditgame.external.module_trace import ModuleTrace, TapPoint, tap_points
from auditgame.models import ImageModel, Tap, untouched
from auditgame.schema.cards import Site
from auditgame.schema.errors import AuditgameError

SMALLEST = 4
"""Maps of fewer pixels a side do not say where something is."""


class Normalisation(NamedTuple):
    """What is done to a picture in [0, 1]: less the mean, over the spread, channel by channel.

    With one number each the network reads grey pictures.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    spread: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ModuleTaps:
    """What is tapped at one call of a module. copied: values that the network overwrites later."""

    after: str | None = None
    before: str | None = None
    copied: frozenset[str] = frozenset()


@dataclass
class Tapping:
    """Calls the tap where the network has a site."""

    tap: Tap
    spots: Mapping[tuple[str, int], ModuleTaps]
    times: Counter[str] = field(default_factory=Counter)

    def visit(self, module: Interception, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call, with what the tap gives back in the place of what went through."""
        spot = self.spots.get((module.path, self.times[module.path]))
        self.times[module.path] += 1
        if spot is None:
            return call(*args, **more)
        if spot.before:
            args = (self._tapped(spot, spot.before, args[0]), *args[1:])
        value = call(*args, **more)
        return self._tapped(spot, spot.after, value) if spot.after else value

    def _tapped(self, spot: ModuleTaps, name: str, value: Tensor) -> Tensor:
        value = self.tap(name, value)
        return value.clone() if name in spot.copied else value


class ExternalNetwork(ExternalModel, ImageModel):
    """A network that somebody else built and trained, with its own normalisation.

    Its sites are found in one pass over a grey picture: see `places`. The network is changed
    in two ways that no answer shows: its modules can be listened to, and do not work in place.
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
        make_interceptable(self.network)
        survey = ModuleTrace()
        with torch.no_grad(), intercepted_by(survey):
            self.classes = _count_classes(self._answer(torch.full((1, *shape), 0.5)))
        found = tap_points(survey.calls)
        self.spots = {(p.call.module.path, p.call.number): _spot(p) for p in found}
        sides = {n: v.tensor.shape for p in found for n, v in p.values.items()}
        self.sites = tuple(
            Site(name=name, kind="channel", units=size[1]) for name, size in sides.items()
        )
        large = [p.name for p in found if min(sides[p.name][2:]) >= SMALLEST]
        self.map_site = next(reversed(large or [p.name for p in found]), "")

    def forward(
        self, inputs: Float[Tensor, "n 3 h w"], tap: Tap = untouched
    ) -> Float[Tensor, "n k"]:
        """Class logits of pictures in [0, 1]."""
        with intercepted_by(Tapping(tap, self.spots)):
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


def _spot(place: TapPoint) -> ModuleTaps:
    copied = frozenset(name for name, value in place.values.items() if value.overwritten)
    before = f"{place.name}.pre" if place.activation else None
    return ModuleTaps(place.name, before, copied)
