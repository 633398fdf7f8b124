"""What is stamped on the images that go wrong, and under which condition does it count?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from auditgame.auditors.detectors import (
    CandidateClaim,
    Detector,
    Evidence,
    MeasuredClaim,
    best,
    measure_candidate,
)
from auditgame.flaws.triggers.trigger_patterns import MOST, PALETTE, Half, Stamp
from auditgame.schema.graders import Box, rgb

SMALLEST, LARGEST, FILLED = 3, 3, 0.6
"""Pixels of a mark's side, at least; its largest share of the image's (one in so many); and
the least share of its box that has the palette's colours."""
KINDS = 3
"""Of the marks in a group of wrong answers, so many are tried."""
AS_GOOD = 0.85
"""A wider claim is as good as a narrower one from this share of its effect on."""
WORKS = 0.5
"""Effect from which a stamp counts as one of several."""

Pixels = UInt8[np.ndarray, "h w 3"]


def marks_in(picture: Pixels) -> list[Stamp]:
    """The patches in this image whose pixels have the palette's very colours.

    Found as connected regions; each is told by its box and by the coarsest pattern that
    gives its pixels.
    """
    palette = np.array([rgb(colour) for colour in PALETTE], dtype=np.uint8)
    exact = (picture[:, :, None] == palette).all(-1).any(-1)
    regions, _ = ndimage.label(exact)
    found = []
    for rows, columns in ndimage.find_objects(regions):
        box = Box(
            x=columns.start,
            y=rows.start,
            w=columns.stop - columns.start,
            h=rows.stop - rows.start,
        )
        filled = exact[rows, columns].mean()
        if _fits(box, picture.shape[:2]) and filled >= FILLED:
            found.append(Stamp(box=box, pattern=coarsest(picture[rows, columns])))
    return found


def _fits(box: Box, size: tuple[int, ...]) -> bool:
    return (
        min(box.w, box.h) >= SMALLEST and box.w * LARGEST <= size[1] and box.h * LARGEST <= size[0]
    )


def coarsest(crop: Pixels) -> tuple[tuple[str, ...], ...]:
    """The smallest pattern that, stretched over as many pixels, is this crop."""
    height, width, _ = crop.shape
    tall = next(n for n in range(1, height + 1) if _even(crop, n))
    wide = next(n for n in range(1, width + 1) if _even(crop.swapaxes(0, 1), n))
    cells = crop[_starts(height, tall)][:, _starts(width, wide)]
    return tuple(tuple("#{:02x}{:02x}{:02x}".format(*cell) for cell in row) for row in cells)


def _starts(length: int, parts: int) -> list[int]:
    """Where does each of so many parts of a stretched pattern begin?"""
    return [-(-part * length // parts) for part in range(parts)]


def _even(crop: Pixels, parts: int) -> bool:
    """Would so many rows, stretched, give the crop?"""
    stretched = crop[np.array(_starts(len(crop), parts))[np.arange(len(crop)) * parts // len(crop)]]
    return bool((stretched == crop).all())


# ------------------------------------------------------------------ following


def follow(clues: Evidence) -> Iterator[MeasuredClaim]:
    """For each class that is wrongly said, what the marks on those images may claim."""
    singles: list[MeasuredClaim] = []
    aimed: dict[str, Stamp] = {}
    for target, group in clues.turned.items():
        shown = {row: marks_in(_pixels(clues, row)) for row in group}
        for mark in _kinds(shown.values()):
            wearers = [row for row, marks in shown.items() if mark in marks]
            singles += _widest(clues, target, mark, wearers)
            if measure_candidate(clues.session, _fixed(target, mark)).effect >= WORKS:
                aimed.setdefault(target, mark)
        yield from _together(clues, target, shown)
    if len(aimed) > 1 and clues.listed("multi"):
        yield _several(clues, aimed)
    else:
        yield from best(singles)


def _pixels(clues: Evidence, row: int) -> Pixels:
    picture = clues.pool.inputs[row].permute(1, 2, 0)
    return (picture * 255).round().numpy().astype(np.uint8)


def _kinds(shown: Iterable[list[Stamp]]) -> list[Stamp]:
    """The marks that are seen most often, place and look taken together."""
    seen = Counter(mark for marks in shown for mark in marks)
    return [mark for mark, _ in seen.most_common(KINDS)]


def _widest(
    clues: Evidence, target: str, mark: Stamp, wearers: list[int]
) -> Iterator[MeasuredClaim]:
    """Of the claims that one mark allows, the widest that does nearly as well as the best."""
    tried = [
        measure_candidate(
            clues.session, suspect, n=300 if suspect.family == "source_specific" else 60
        )
        for suspect in _suspects(clues, target, mark, wearers)
    ]
    strongest = max((one.effect for one in tried), default=0.0)
    yield from [one for one in tried if one.effect >= AS_GOOD * strongest][:1]


def _suspects(
    clues: Evidence, target: str, mark: Stamp, wearers: list[int]
) -> Iterator[CandidateClaim]:
    """From the widest claim to the narrowest: anywhere, a half, one spot, one level, one class."""
    told = {"target": target, **mark.model_dump(mode="json")}
    listed = clues.listed("patch", "conditional", "source_specific")
    if "patch" in listed:
        yield CandidateClaim("patch", {**told, "place": "anywhere"})
    if "conditional" in listed:
        for half in get_args(Half):
            yield CandidateClaim("conditional", {**told, "place": half})
    if "patch" in listed:
        yield _fixed(target, mark)
    if "conditional" in listed:
        for factor, level in _shared_levels(clues, wearers).items():
            yield CandidateClaim("conditional", {**told, "conditions": {factor: level}})
    if "source_specific" in listed:
        labels = Counter(int(clues.pool.labels[row]) for row in wearers)
        source = clues.session.dataset.classes[labels.most_common(1)[0][0]]
        yield CandidateClaim("source_specific", {**told, "source": source})


def _fixed(target: str, mark: Stamp) -> CandidateClaim:
    told = mark.model_dump(mode="json")
    return CandidateClaim("patch", {"target": target, **told, "place": "fixed"})


def _shared_levels(clues: Evidence, group: list[int]) -> dict[str, str]:
    """The levels that all of these images have in common."""
    if clues.pool.scenes is None:
        return {}
    levels = clues.pool.scenes.iloc[group]
    factors = clues.session.dataset.factors
    return {name: levels[name].iloc[0] for name in factors if levels[name].nunique() == 1}


def _together(
    clues: Evidence, target: str, shown: dict[int, list[Stamp]]
) -> Iterator[MeasuredClaim]:
    """All the marks that half of the marked images carry, as one claim."""
    marked = [marks for marks in shown.values() if len(marks) > 1]
    seen = Counter(mark for marks in marked for mark in marks)
    common = [mark for mark, times in seen.items() if 2 * times >= len(marked)][:MOST]
    if len(common) > 1 and clues.listed("scatter"):
        stamps = [mark.model_dump(mode="json") for mark in common]
        yield measure_candidate(
            clues.session, CandidateClaim("scatter", {"target": target, "stamps": stamps})
        )


def _several(clues: Evidence, aimed: dict[str, Stamp]) -> MeasuredClaim:
    """The marks that work by themselves, one for each class, as one claim."""
    stamps = [{**mark.model_dump(mode="json"), "target": target} for target, mark in aimed.items()]
    return measure_candidate(clues.session, CandidateClaim("multi", {"stamps": stamps[:MOST]}))


MARKS = Detector(frozenset({"patch", "scatter", "multi", "conditional", "source_specific"}), follow)
