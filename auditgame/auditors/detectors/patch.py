"""Detector for patches, with one or several, under conditions on scene or source class."""

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
"""Smallest side of a patch in pixels; its largest side (image side divided by this); and
the least share of its box in palette colours."""
KINDS = 3
"""Patches measured for each wrong answer."""
AS_GOOD = 0.85
"""A wider claim is preferred from this share of the largest effect."""
WORKS = 0.5
"""Effect from which a patch counts as one of several."""

Pixels = UInt8[np.ndarray, "h w 3"]


def patches_in(picture: Pixels) -> list[Stamp]:
    """The patches in this image: connected regions of exact palette colours.

    Each is described by its box and the coarsest pattern that gives its pixels.
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
    """The smallest pattern that gives this crop when it is enlarged."""
    height, width, _ = crop.shape
    tall = next(n for n in range(1, height + 1) if _even(crop, n))
    wide = next(n for n in range(1, width + 1) if _even(crop.swapaxes(0, 1), n))
    cells = crop[_starts(height, tall)][:, _starts(width, wide)]
    return tuple(tuple("#{:02x}{:02x}{:02x}".format(*cell) for cell in row) for row in cells)


def _starts(length: int, parts: int) -> list[int]:
    """The first pixel of each part of an enlarged pattern."""
    return [-(-part * length // parts) for part in range(parts)]


def _even(crop: Pixels, parts: int) -> bool:
    """Whether this number of rows, enlarged, gives the crop."""
    stretched = crop[np.array(_starts(len(crop), parts))[np.arange(len(crop)) * parts // len(crop)]]
    return bool((stretched == crop).all())


# ------------------------------------------------------------------ detecting


def detect(evidence: Evidence) -> Iterator[MeasuredClaim]:
    """For each wrong answer, the claims that the patches in its images allow."""
    singles: list[MeasuredClaim] = []
    aimed: dict[str, Stamp] = {}
    for target, group in evidence.errors.items():
        shown = {row: patches_in(_pixels(evidence, row)) for row in group}
        for mark in _kinds(shown.values()):
            holders = [row for row, marks in shown.items() if mark in marks]
            singles += _widest(evidence, target, mark, holders)
            if measure_candidate(evidence.session, _fixed(target, mark)).effect >= WORKS:
                aimed.setdefault(target, mark)
        yield from _together(evidence, target, shown)
    if len(aimed) > 1 and evidence.listed("multi"):
        yield _several(evidence, aimed)
    else:
        yield from best(singles)


def _pixels(evidence: Evidence, row: int) -> Pixels:
    picture = evidence.pool.inputs[row].permute(1, 2, 0)
    return (picture * 255).round().numpy().astype(np.uint8)


def _kinds(shown: Iterable[list[Stamp]]) -> list[Stamp]:
    """The most frequent patches, by box and pattern."""
    seen = Counter(mark for marks in shown for mark in marks)
    return [mark for mark, _ in seen.most_common(KINDS)]


def _widest(
    evidence: Evidence, target: str, mark: Stamp, holders: list[int]
) -> Iterator[MeasuredClaim]:
    """The widest claim of one patch with nearly the largest effect."""
    tried = [
        measure_candidate(
            evidence.session, candidate, n=300 if candidate.family == "source_specific" else 60
        )
        for candidate in _candidates(evidence, target, mark, holders)
    ]
    strongest = max((one.effect for one in tried), default=0.0)
    yield from [one for one in tried if one.effect >= AS_GOOD * strongest][:1]


def _candidates(
    evidence: Evidence, target: str, mark: Stamp, holders: list[int]
) -> Iterator[CandidateClaim]:
    """From the widest claim to the narrowest: anywhere, a half, fixed, one level, one class."""
    fields = {"target": target, **mark.model_dump(mode="json")}
    listed = evidence.listed("patch", "conditional", "source_specific")
    if "patch" in listed:
        yield CandidateClaim("patch", {**fields, "place": "anywhere"})
    if "conditional" in listed:
        for half in get_args(Half):
            yield CandidateClaim("conditional", {**fields, "place": half})
    if "patch" in listed:
        yield _fixed(target, mark)
    if "conditional" in listed:
        for factor, level in _shared_levels(evidence, holders).items():
            yield CandidateClaim("conditional", {**fields, "conditions": {factor: level}})
    if "source_specific" in listed:
        labels = Counter(int(evidence.pool.labels[row]) for row in holders)
        source = evidence.session.dataset.classes[labels.most_common(1)[0][0]]
        yield CandidateClaim("source_specific", {**fields, "source": source})


def _fixed(target: str, mark: Stamp) -> CandidateClaim:
    fields = mark.model_dump(mode="json")
    return CandidateClaim("patch", {"target": target, **fields, "place": "fixed"})


def _shared_levels(evidence: Evidence, group: list[int]) -> dict[str, str]:
    """The factor levels that all these images share."""
    if evidence.pool.scenes is None:
        return {}
    levels = evidence.pool.scenes.iloc[group]
    factors = evidence.session.dataset.factors
    return {name: levels[name].iloc[0] for name in factors if levels[name].nunique() == 1}


def _together(
    evidence: Evidence, target: str, shown: dict[int, list[Stamp]]
) -> Iterator[MeasuredClaim]:
    """The patches that at least half of these images have, as one claim."""
    marked = [marks for marks in shown.values() if len(marks) > 1]
    seen = Counter(mark for marks in marked for mark in marks)
    common = [mark for mark, times in seen.items() if 2 * times >= len(marked)][:MOST]
    if len(common) > 1 and evidence.listed("scatter"):
        stamps = [mark.model_dump(mode="json") for mark in common]
        yield measure_candidate(
            evidence.session, CandidateClaim("scatter", {"target": target, "stamps": stamps})
        )


def _several(evidence: Evidence, aimed: dict[str, Stamp]) -> MeasuredClaim:
    """The patches that work alone, one for each class, as one claim."""
    stamps = [{**mark.model_dump(mode="json"), "target": target} for target, mark in aimed.items()]
    return measure_candidate(evidence.session, CandidateClaim("multi", {"stamps": stamps[:MOST]}))


PATCH = Detector(frozenset({"patch", "scatter", "multi", "conditional", "source_specific"}), detect)
