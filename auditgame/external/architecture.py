"""External image architectures: torchvision's by name, or one's own by a Python function."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from auditgame.external.checkpoint import class_count
from auditgame.external.external_network import Normalisation
from auditgame.registry import suggest
from auditgame.schema.errors import Invalid, NotFound, Unavailable

NORMALISATIONS = {
    "none": Normalisation(),
    "half": Normalisation((0.5,) * 3, (0.5,) * 3),
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
PREFIX = "torchvision:"
UNTRAINED = 0
"""The seed of the initial weights, which stay where no file is given."""


class Architecture(NamedTuple):
    """A network as it was built. side: of its pictures, if fixed; classes: names, if known."""

    network: nn.Module
    normalisation: Normalisation
    side: int | None = None
    classes: tuple[str, ...] = ()


def find_architecture(
    name: str, tensors: Mapping[str, Tensor] | None, normalise: str | None
) -> Architecture:
    """The network of `torchvision:NAME` or `FILE.py:FUNCTION`, untrained.

    tensors: the weights, from which torchvision's networks take their number of classes.
    normalise: as in `parse_normalisation`; by default that of torchvision's own weights, and
    none for a network of one's own.
    """
    if name.startswith(PREFIX):
        found = _from_torchvision(name.removeprefix(PREFIX), tensors, normalise is None)
    else:
        found = _from_file(name)
    return found._replace(normalisation=parse_normalisation(normalise)) if normalise else found


def parse_normalisation(text: str) -> Normalisation:
    """The normalisation of this name, or of means/spreads such as `0.5,0.5,0.5/0.2,0.2,0.2`.

    One number each for grey pictures.
    """
    if text in NORMALISATIONS:
        return NORMALISATIONS[text]
    try:
        mean, spread = (tuple(map(float, part.split(","))) for part in text.split("/"))
        if len(mean) == len(spread) in (1, 3) and min(spread) > 0:
            return Normalisation(mean, spread)
    except ValueError:
        pass
    known = ", ".join(NORMALISATIONS)
    raise Invalid(f"normalise '{text}': write {known}, or m,m,m/s,s,s with each s above 0")


# ------------------------------------------------------------------------ torchvision


def published(name: str) -> Any:
    """torchvision's description of the weights that it publishes for a network."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise suggest("torchvision network", name, known, NotFound)
    return models.get_model_weights(name).DEFAULT


def published_file(name: str) -> Path:
    """The file in which torchvision keeps those weights, once they were fetched."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(published(name).url).name


def fetch_published(name: str) -> Path:
    """Download torchvision's own weights and check their digest; the file."""
    url, path = published(name).url, published_file(name)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = path.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(path), digest, progress=False)
        except (OSError, RuntimeError) as error:
            raise Unavailable(
                f"weights '{url}': could not be fetched into {path.parent} "
                f"({type(error).__name__}); check the network and the folder"
            ) from None
    return path


def _from_torchvision(
    name: str, tensors: Mapping[str, Tensor] | None, as_published: bool
) -> Architecture:
    from torchvision import models

    weights = published(name)
    names, preset = weights.meta["categories"], weights.transforms()
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False, "transform_input": as_published}

    def make(classes: int) -> nn.Module:
        return models.get_model(name, weights=None, num_classes=classes, **options)

    network = _drawn(lambda: make(len(names)))
    classes = class_count(tensors, network, len(names)) if tensors else len(names)
    if classes != len(names):
        network = _drawn(lambda: make(classes))
    normalisation = Normalisation(tuple(preset.mean), tuple(preset.std))
    return Architecture(network, normalisation, preset.crop_size[0], _distinct(names))


def _distinct(names: list[str]) -> tuple[str, ...]:
    return tuple(
        name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names)
    )


def _drawn(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with the same weights each time; torch's own generator is not advanced."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED)
        return make()


# ---------------------------------------------------------------------- one's own file


def _from_file(name: str) -> Architecture:
    file, _, function = name.rpartition(":")
    path, where = Path(file), f"model '{name}'"
    if path.suffix != ".py":
        raise Invalid(f"{where}: write torchvision:NAME, or FILE.py:FUNCTION")
    if not path.is_file():
        raise NotFound(f"{where}: there is no such file")
    try:
        network = _drawn(lambda: getattr(_module(path), function)())
    except Exception as error:
        raise Invalid(f"{where}: {type(error).__name__}: {error}") from None
    if not isinstance(network, nn.Module):
        raise Invalid(f"{where}: gave a {type(network).__name__}; must give a torch module")
    if isinstance(network, nn.DataParallel):
        network = network.module
    return Architecture(network, Normalisation())


def _module(path: Path) -> Any:
    """The file, run as a module that may import from its folder."""
    spec = importlib.util.spec_from_file_location(f"auditgame_network_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module
