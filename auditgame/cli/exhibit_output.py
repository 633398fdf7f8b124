"""Exhibits on the command line: text and numbers on the screen, pictures in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from rich.console import Console
from rich.text import Text

from auditgame.cli.printing import console, table
from auditgame.exhibits import (
    Curve,
    Exhibit,
    Gallery,
    Grid,
    HeatMap,
    Note,
    Table,
    Tile,
    Tokens,
)
from auditgame.exhibits.drawing import as_png, enlarge, heat, opened
from auditgame.schema.errors import Invalid

TONES = {"plain": "", "good": "green", "bad": "red"}
FRAMES = {"plain": (205, 205, 200), "good": (60, 150, 80), "bad": (200, 60, 50)}
CELL, MARGIN, LINE = 128, 8, 14
"""Minimum width of a picture on a contact sheet, margin around it, height of a line; pixels."""


# ------------------------------------------------------------------ on screen


def show(exhibits: Sequence[Exhibit]) -> None:
    """Print each exhibit under its title."""
    out = console()
    for exhibit in exhibits:
        SHOWN[exhibit.kind](exhibit, out)
        note = getattr(exhibit, "note", "")
        if note:
            out.print(note, style="dim")
        out.print()


def _gallery(exhibit: Gallery, out: Console) -> None:
    made = table(exhibit.title, ("picture", "note"))
    for tile in exhibit.tiles:
        made.add_row(Text(tile.label, TONES[tile.tone]), tile.note)
    out.print(made)


def _heatmap(exhibit: HeatMap, out: Console) -> None:
    values, width = exhibit.values, len(exhibit.values[0])
    flat = [value for row in values for value in row]
    peak = max(range(len(flat)), key=lambda at: abs(flat[at]))
    out.print(exhibit.title, style="bold")
    out.print(f"{width} x {len(values)}; strongest {flat[peak]:+.3g} at x {peak % width}, ", end="")
    out.print(f"y {peak // width}; scale {exhibit.limit:.3g}")


def _tokens(exhibit: Tokens, out: Console) -> None:
    line, limit = Text(), exhibit.limit or 1.0
    for word, weight in zip(exhibit.tokens, exhibit.weights, strict=True):
        strong = abs(weight) >= limit / 3
        line.append(f"{word} ", ("red" if weight > 0 else "blue") if strong else "")
    out.print(exhibit.title, style="bold")
    out.print(line)


def _grid(exhibit: Grid, out: Console) -> None:
    made = table(exhibit.title, (exhibit.row_axis, *exhibit.columns), exhibit.columns)
    for index, name in enumerate(exhibit.rows):
        numbers = [f"{value:.3g}" for value in exhibit.values[index]]
        made.add_row(name, *(exhibit.words[index] if exhibit.words else numbers))
    out.print(made)


def _table(exhibit: Table, out: Console) -> None:
    made = table(exhibit.title, exhibit.headings)
    for row in exhibit.rows:
        made.add_row(*(_cell(value) for value in row))
    out.print(made)


def _cell(value: str | int | float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(exhibit: Curve, out: Console) -> None:
    made = table(exhibit.title, ("series", "lowest", "highest", f"at {exhibit.x_axis}".strip()))
    for name, points in exhibit.series.items():
        if points:
            low, high = min(y for _, y in points), max(points, key=lambda point: point[1])
            made.add_row(exhibit.heading(name), f"{low:.3g}", f"{high[1]:.3g}", f"{high[0]:.4g}")
    out.print(made)


def _note(exhibit: Note, out: Console) -> None:
    out.print(exhibit.title, style="bold")
    out.print(exhibit.text)


SHOWN: dict[str, Callable[[Any, Console], None]] = {
    "gallery": _gallery,
    "heatmap": _heatmap,
    "tokens": _tokens,
    "grid": _grid,
    "table": _table,
    "curve": _curve,
    "note": _note,
}

# ------------------------------------------------------------------ in a folder


def write(exhibits: Sequence[Exhibit], folder: Path) -> list[Path]:
    """Write exhibits.json, a contact sheet for each gallery and a picture for each heat map."""
    if folder.exists() and not folder.is_dir():
        raise Invalid(f"--out '{folder}': is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    data = [exhibit.model_dump(mode="json") for exhibit in exhibits]
    files = {"exhibits.json": json.dumps(data, ensure_ascii=False, indent=1).encode()}
    for number, exhibit in enumerate(exhibits, 1):
        stem = f"{number:02}-{re.sub(r'[^a-z0-9]+', '-', exhibit.title.lower()).strip('-')[:48]}"
        if isinstance(exhibit, Gallery) and exhibit.tiles:
            files[f"{stem}.png"] = as_png(contact_sheet(exhibit.tiles, exhibit.columns))
        if isinstance(exhibit, HeatMap):
            files[f"{stem}.png"] = heat(exhibit.png, exhibit.values, exhibit.limit)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def contact_sheet(tiles: Sequence[Tile], columns: int) -> Image.Image:
    """The pictures side by side, each with a frame in the colour of its tone, label and note."""
    pictures = [enlarge(opened(tile.png), CELL) for tile in tiles]
    width = max(picture.width for picture in pictures) + 2 * MARGIN
    height = max(picture.height for picture in pictures) + 2 * MARGIN + 2 * LINE
    across = min(columns, len(tiles))
    down = -(-len(tiles) // across)
    made = Image.new("RGB", (across * width, down * height), (250, 249, 246))
    pen = ImageDraw.Draw(made)
    for index, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        x, y = index % across * width + MARGIN, index // across * height + MARGIN
        right, bottom = x + picture.width, y + picture.height
        pen.rectangle((x - 2, y - 2, right + 1, bottom + 1), FRAMES[tile.tone])
        made.paste(picture, (x, y))
        for line, text in enumerate((tile.label, tile.note)):
            pen.text((x, bottom + 3 + line * LINE), _shortened(text), (60, 60, 60))
    return made


def _shortened(text: str) -> str:
    """The text in the letters that the built-in font has, cut to the width of a picture."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= 24 else plain[:23] + "~"
