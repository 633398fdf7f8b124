"""Pictures as the app shows them: enlarged without blur, heat laid over, patterns drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

GREY = (128, 134, 137)
WARM, COLD = (200, 85, 45), (38, 105, 178)


def data_uri(png: bytes) -> str:
    """This PNG as an address that needs no request."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def as_png(image: Image.Image) -> bytes:
    """The PNG bytes of an image."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def opened(png: bytes) -> Image.Image:
    """The RGB image in PNG bytes."""
    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")


def enlarge(image: Image.Image, least: int = 288) -> Image.Image:
    """The image, each pixel repeated a whole number of times, at least this wide."""
    factor = max(1, -(-least // image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def heat(png: bytes, values: Sequence[Sequence[float]], limit: float) -> bytes:
    """A picture with signed values over it: warm for positive, cold for negative.

    The stronger a value, the less of the picture shines through; `limit` is full strength.
    """
    picture = enlarge(opened(png))
    size = picture.size
    field = Image.fromarray(np.asarray(values, dtype=np.float32), mode="F")
    signed = np.asarray(field.resize(size, Image.Resampling.BILINEAR)) / (limit or 1.0)
    alpha = np.clip(np.abs(signed), 0, 1)[..., None] * 0.85
    colour = np.where(signed[..., None] >= 0, WARM, COLD)
    grey = np.asarray(picture.convert("L").convert("RGB"), dtype=np.float32) * 0.7 + 60
    mixed = (1 - alpha) * grey.clip(0, 255) + alpha * colour
    return as_png(Image.fromarray(mixed.round().astype(np.uint8)))


def pattern_png(pattern: Sequence[Sequence[str]]) -> bytes:
    """A pattern of `#rrggbb` colours, enlarged."""
    image = Image.new("RGB", (len(pattern[0]), len(pattern)))
    for y, row in enumerate(pattern):
        for x, code in enumerate(row):
            image.putpixel((x, y), tuple(bytes.fromhex(code[1:7])))
    return as_png(enlarge(image, 160))


def swatch_png(pattern: Sequence[Sequence[str]]) -> bytes:
    """The same, small enough for a line of text, in a grey frame that shows on any ground."""
    image = opened(pattern_png(pattern)).resize((28, 28), Image.Resampling.NEAREST)
    return as_png(ImageOps.expand(image, 2, GREY))


def crop(png: bytes, x: int, y: int, w: int, h: int) -> list[list[str]]:
    """The colours of a rectangle of a picture, row by row."""
    image = opened(png)
    pixels = np.asarray(image)
    colours = [
        ["#" + pixels[row, col].tobytes().hex() for col in range(x, min(x + w, image.width))]
        for row in range(y, min(y + h, image.height))
    ]
    return [row for row in colours if row]


def kernel_png(kernel: Sequence[Sequence[float]], limit: float) -> bytes:
    """Signed weights: warm for positive, cold for negative, clear where there is none."""
    values = np.asarray(kernel, dtype=np.float32) / (limit or 1.0)
    colour = np.where(values[..., None] >= 0, WARM, COLD)
    alpha = np.clip(np.abs(values), 0, 1)[..., None] * 255
    return as_png(Image.fromarray(np.concatenate([colour, alpha], 2).round().astype(np.uint8)))


def weights_png(kernel: Sequence[Sequence[Sequence[float]]]) -> bytes:
    """Weights on red, green and blue as one picture, grey where there are none."""
    values = np.asarray(kernel, dtype=np.float32).transpose(1, 2, 0)
    limit = float(np.abs(values).max()) or 1.0
    return as_png(Image.fromarray((127.5 + 127.5 * values / limit).round().astype(np.uint8)))
