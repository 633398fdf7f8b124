"""Image files and image overlays: tensors to PNG, uploads to tensors, maps drawn over images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from auditgame.schema.errors import Forbidden, Invalid
from auditgame.schema.graders import Box

MAX_BYTES = 10 * 2**20
"""Largest upload that is read, in bytes."""
MAX_PIXELS = 50_000_000
"""Largest upload that is decoded, in pixels."""
WARM, COLD = (200 / 255, 85 / 255, 45 / 255), (38 / 255, 105 / 255, 178 / 255)
"""Colours of values above and below zero."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Formats that are decoded; other formats need code or programs that are not needed here."""
ORIENTATION, SIDEWAYS = 0x0112, 5
"""The EXIF field of the camera's orientation; from this value on width and height are swapped."""


def png(image: Float[Tensor, "c h w"]) -> bytes:
    """The image as PNG bytes, without metadata. Values in [0, 1], 1 or 3 channels.

    The same tensor gives the same bytes.
    """
    grid = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    out = io.BytesIO()
    Image.fromarray(grid[..., 0] if grid.shape[2] == 1 else grid).save(out, "PNG")
    return out.getvalue()


def open_picture(data: bytes, shape: tuple[int, ...]) -> Float[Tensor, "3 h w"]:
    """The image in an upload, upright, in RGB, cropped to the centre and resized to `shape`.

    shape: (3, height, width) of the data set. A transparent background becomes white.
    Raises AuditgameError for anything that is not an image, over 10 MB, or over 50 megapixels.
    """
    if len(data) > MAX_BYTES:
        raise Forbidden(f"picture: over {MAX_BYTES >> 20} MB; send a smaller one")
    with _image_errors():
        image = _eight_bit(ImageOps.exif_transpose(_open(io.BytesIO(data))))
    size = (shape[2], shape[1])
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of the image in a file, once it is turned upright; it is not decoded.

    Raises AuditgameError for a file that is not an image, or over 50 megapixels.
    """
    with _image_errors(), _open(path) as image:
        turned = "exif" in image.info and image.getexif().get(ORIENTATION, 1) >= SIDEWAYS
        return image.size if turned else image.size[::-1]


def _open(source: Path | io.BytesIO) -> Image.Image:
    """The image, not yet decoded."""
    image = Image.open(source, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


@contextmanager
def _image_errors() -> Iterator[None]:
    """Errors of the image library, as AuditgameErrors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError:
        most = MAX_PIXELS // 10**6
        raise Forbidden(f"picture: over {most} megapixels; send a smaller one") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        known = ", ".join(FORMATS)
        raise Invalid(f"picture: cannot be read as an image; send {known}") from None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16-bit greyscale is scaled, transparency becomes white."""
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=np.float32) / 257
        image = Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def stretch(maps: Float[Tensor, "n h w"], size: tuple[int, ...]) -> Float[Tensor, "n height width"]:
    """Maps resized to an image's (height, width): bilinear, corners not aligned."""
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def spotlight(
    image: Float[Tensor, "3 h w"], region: Float[Tensor, "a b"]
) -> Float[Tensor, "3 h w"]:
    """The image with everything outside the map's region faded to grey.

    The region is where the map, resized to the image, reaches a third of its maximum. A map
    that is nowhere above zero has no region and leaves the image as it is.
    """
    height, width = image.shape[1:]
    values = stretch(region[None], (height, width))[0]
    if values.max() <= 0:
        return image
    inside = (values >= values.max() / 3).float()
    return image * inside + (0.4 * image + 0.3) * (1 - inside)


def heated(
    image: Float[Tensor, "3 h w"], values: Float[Tensor, "h w"], limit: float
) -> Float[Tensor, "3 h w"]:
    """The image in grey with signed values as a heat map: warm above zero, cold below.

    The larger a value, the less of the image is visible; `limit` is full opacity.
    """
    share = (values / (limit or 1.0)).clamp(-1, 1)
    ends = torch.tensor([WARM, COLD])[:, :, None, None]
    colour = torch.where(share >= 0, ends[0], ends[1])
    opacity = 0.85 * share.abs()
    return (1 - opacity) * (0.24 + 0.7 * image.mean(0)).clamp(max=1) + opacity * colour


def framed(image: Float[Tensor, "3 h w"], box: Box) -> Float[Tensor, "3 h w"]:
    """The image with everything outside a box faded to grey."""
    inside = torch.zeros(image.shape[1:])
    inside[box.y : box.y + box.h, box.x : box.x + box.w] = 1
    return spotlight(image, inside)
