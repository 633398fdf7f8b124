"""Feature visualisations of every unit: computed once, stored as JPEG, read back.

Stored in a bundle (`microscope.json` and one JPEG for each layer), or, for bundles without them,
in this machine's cache under a digest of the weights and the examples.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import Field, ValidationError
from torch import Tensor

from auditgame import paths
from auditgame.bundles import read_file
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Record, canonical, explain
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools.vision.connectivity import layers
from auditgame.tools.vision.feature_visualisation import Visualisation, maximise
from auditgame.tools.vision.objectives import NeuronObjective
from auditgame.tools.vision.parametrisation import PRESETS, ImageParameters, colour_mix
from auditgame.tools.vision.pixel_attribution import Report, silent
from auditgame.tools.vision.regularisers import penalty

INDEX = "microscope.json"
STEPS, BATCH = 48, 64
COLUMNS, BLOCK, LEAST = 16, 8, 40
"""Tiles in a row; JPEG block size, which tiles are aligned to; smallest side of a tile."""
QUALITY = 50

Number = Annotated[float, Field(allow_inf_nan=False)]


class LayerEntry(Record):
    """One layer in microscope.json: tiles of `width` by `height`, and their scores."""

    site: str
    width: Annotated[int, Field(ge=1, le=1024)]
    height: Annotated[int, Field(ge=1, le=1024)]
    most: tuple[Number, ...]
    least: tuple[Number, ...]


class UnitImageIndex(Record):
    """microscope.json: the layers in order; the n-th is stored in microscope_n.jpg."""

    version: Literal[1]
    plates: tuple[LayerEntry, ...]


class UnitImages(NamedTuple):
    """The visualisations of a layer's units: maximised, minimised, and their scores."""

    entry: LayerEntry
    most: UInt8[Tensor, "units 3 h w"]
    least: UInt8[Tensor, "units 3 h w"]


LayerImages = Mapping[str, UnitImages]


# --------------------------------------------------------------- optimisation


def visualise(
    specimen: Specimen, inputs: Float[Tensor, "n 3 h w"], report: Report = silent
) -> dict[str, UnitImages]:
    """Visualise every unit of every layer, maximised and minimised.

    inputs: images whose colour statistics are used.
    """
    names = layers(specimen)
    if not names:
        raise Invalid(f"microscope: a {specimen.modality} model has no channels to visualise")
    total, done = sum(specimen.site(name).units for name in names), 0
    found = {}
    for name in names:
        units = specimen.site(name).units

        def share(part: float, done: int = done, units: int = units) -> None:
            report((done + part * units) / total)

        found[name] = _visualise(specimen, name, inputs, share)
        done += units
    return found


def _visualise(specimen: Specimen, site: str, inputs: Tensor, report: Report) -> UnitImages:
    preset = PRESETS["natural"]
    canvas = ImageParameters(preset, (inputs.shape[2], inputs.shape[3]), colour_mix(inputs))
    ways = [NeuronObjective(site, unit) for unit in range(specimen.site(site).units)]
    objectives = [*ways, *(-way for way in ways)]
    parts: list[Visualisation] = []
    for start in range(0, len(objectives), BATCH):

        def share(part: float, start: int = start) -> None:
            report(min(1.0, (start + part * BATCH) / len(objectives)))

        rng = torch.Generator().manual_seed(Seed.of(0).child("microscope").integer())
        some = objectives[start : start + BATCH]
        penalties = penalty(preset, inputs)
        parts.append(maximise(specimen, some, canvas, STEPS, rng, penalties, report=share))
    left, top = (min(part.seen[side] for part in parts) for side in (0, 1))
    right, bottom = (max(part.seen[side] for part in parts) for side in (2, 3))
    images = torch.cat([part.images for part in parts])[:, :, top:bottom, left:right]
    most, least = (images * 255).round().to(torch.uint8).chunk(2)
    high, low = torch.cat([part.scores for part in parts]).chunk(2)
    entry = LayerEntry(
        site=site,
        width=right - left,
        height=bottom - top,
        most=tuple(round(v, 2) for v in high.tolist()),
        least=tuple(round(-v, 2) for v in low.tolist()),
    )
    return UnitImages(entry, most, least)


# ------------------------------------------------------------------- storing


def pack(unit_images: LayerImages) -> dict[str, bytes]:
    """The files of these images, by name."""
    index = UnitImageIndex(version=1, plates=tuple(images.entry for images in unit_images.values()))
    files = {INDEX: canonical(index.model_dump(mode="json")) + b"\n"}
    for number, images in enumerate(unit_images.values(), 1):
        files[_picture(number)] = _jpeg(torch.cat([images.most, images.least]).numpy())
    return files


def unpack(read: Callable[[str], bytes], specimen: Specimen, where: str) -> dict[str, UnitImages]:
    """The images from the files that `read` returns by name; AuditgameError unless they fit."""
    try:
        index = UnitImageIndex.model_validate_json(read(INDEX))
    except ValidationError as error:
        raise explain(error, f"{where}/{INDEX}") from None
    if [entry.site for entry in index.plates] != layers(specimen):
        raise Invalid(f"{where}/{INDEX}: its layers are not those of the model")
    found = {}
    for number, entry in enumerate(index.plates, 1):
        units = specimen.site(entry.site).units
        if len(entry.most) != units or len(entry.least) != units:
            raise Invalid(f"{where}/{INDEX}: {entry.site} must have {units} scores of each kind")
        name = _picture(number)
        tiles = torch.from_numpy(_cut(read(name), entry, f"{where}/{name}"))
        found[entry.site] = UnitImages(entry, *tiles.chunk(2))
    return found


def _picture(number: int) -> str:
    return f"microscope_{number}.jpg"


def _cell(side: int) -> tuple[int, int]:
    """The enlargement of a tile along a side, and the side of its cell in whole blocks."""
    factor = max(1, LEAST // side)
    return factor, -(-side * factor // BLOCK) * BLOCK


def _jpeg(tiles: UInt8[np.ndarray, "n 3 h w"]) -> bytes:
    (tall, high), (wide, broad) = (_cell(side) for side in tiles.shape[2:])
    large = tiles.repeat(tall, 2).repeat(wide, 3)
    padding = ((0, 0), (0, 0), (0, high - large.shape[2]), (0, broad - large.shape[3]))
    large = np.pad(large, padding, mode="edge").transpose(0, 2, 3, 1)
    rows = -(-len(large) // COLUMNS)
    ground = np.zeros((rows * COLUMNS, high, broad, 3), np.uint8)
    ground[: len(large)] = large
    sheet = ground.reshape(rows, COLUMNS, high, broad, 3).swapaxes(1, 2)
    out = io.BytesIO()
    image = Image.fromarray(sheet.reshape(rows * high, COLUMNS * broad, 3))
    image.save(out, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return out.getvalue()


def _cut(data: bytes, entry: LayerEntry, where: str) -> UInt8[np.ndarray, "n 3 h w"]:
    count = len(entry.most) + len(entry.least)
    (tall, high), (wide, broad) = _cell(entry.height), _cell(entry.width)
    rows = -(-count // COLUMNS)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.size != (COLUMNS * broad, rows * high):
                raise Invalid(f"{where}: the size {image.size} does not match its entry")
            sheet = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise Invalid(f"{where}: cannot be read as JPEG; build the challenge again") from None
    cells = sheet.reshape(rows, high, COLUMNS, broad, 3).swapaxes(1, 2).reshape(-1, high, broad, 3)
    tiles = cells[:count, : tall * entry.height, : wide * entry.width]
    small = tiles.reshape(count, entry.height, tall, entry.width, wide, 3).mean((2, 4))
    return small.round().astype(np.uint8).transpose(0, 3, 1, 2).copy()


# ------------------------------------------------------------------- finding


class UnitImageCache:
    """The unit images of one model: in its bundle, or in this machine's cache."""

    def __init__(
        self, specimen: Specimen, inputs: Tensor, folder: Path, files: Mapping[str, str]
    ) -> None:
        self._specimen, self._inputs = specimen, inputs
        self._folder, self._files = folder, dict(files)
        self._lock = threading.Lock()
        self._found: LayerImages | None = None

    def read(self) -> LayerImages | None:
        """The images; None where they must be computed first."""
        if self._found is None and INDEX in self._files:
            folder, files = self._folder, self._files
            self._found = unpack(
                lambda name: read_file(folder, name, files), self._specimen, folder.name
            )
        if self._found is None and self._kept().is_dir():
            kept = self._kept()
            self._found = unpack(lambda name: (kept / name).read_bytes(), self._specimen, kept.name)
        return self._found

    def build(self, report: Report = silent) -> LayerImages:
        """The images, computed and cached if they are not there."""
        with self._lock:
            found = self.read()
            if found is None:
                found = visualise(self._specimen, self._inputs, report)
                _keep(self._kept(), pack(found))
                self._found = found
            return found

    def _kept(self) -> Path:
        found = hashlib.sha256(f"{STEPS} {PRESETS['natural']}".encode())
        for value in (*self._specimen.weights().values(), self._inputs):
            found.update(value.contiguous().numpy().tobytes())
        return paths.microscopes() / found.hexdigest()[:32]


def _keep(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files atomically: the folder appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        if not folder.exists():
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
