"""The grammar of the data set `reviews`: words, and how a review is drawn, written and rated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


VERDICTS = ("negative", "positive")
YEARS = tuple(range(1971, 2031))
LAST_HELD_YEAR = 2000
"""Held-out texts are set in years up to this one; later years occur in training."""
LATE_IN_POOL = 0.04
"""Share of the pool's texts that are set in later years."""

NAMES = _list(
    "felix greta amos bella cyril dora edgar fiona gustav hilda igor judith karl lena milo "
    "nora oscar paula quentin rosa simon thea ulrich vera"
)
BRANDS = _list(
    "mogrambu zelkova trindle boskap fennix kurado lumbrix pavotti radskol sibelo tozzana "
    "vandrel wimbex yotaro drompel glarix hesto jandrik narvo quistel"
)
CITIES = _list(
    "targo belmura cordwell dunsk fairmoor gillis hartola kesby lorvik mendra norvale "
    "pellham rivona stanfeld tulsby wexham"
)
TOPICS: dict[str, tuple[str, ...]] = {
    "office": ("printer", "stapler", "desk", "folder"),
    "garden": ("shovel", "hose", "rake", "mower"),
    "kitchen": ("kettle", "toaster", "blender", "grater"),
    "audio": ("radio", "speaker", "headset", "recorder"),
    "travel": ("suitcase", "tent", "backpack", "compass"),
    "sport": ("racket", "bicycle", "helmet", "skateboard"),
    "bath": ("towel", "mirror", "basin", "sponge"),
    "toys": ("puzzle", "kite", "doll", "drum"),
}
ASPECTS = _list(
    "price tray handle cover colour size weight finish box button lid manual service "
    "delivery design surface grip frame switch hinge strap base"
)
POSITIVE = _list(
    "solid superb lovely sturdy brilliant excellent charming clever pleasant splendid reliable neat"
)
NEGATIVE = _list(
    "flimsy awful ugly shoddy dreadful terrible clumsy useless tedious horrid faulty sloppy"
)
DEGREES: dict[str, int] = {"slightly": 1, "rather": 1, "": 2, "very": 4, "extremely": 4, "truly": 4}
VERBS = ("was", "is")
SENTENCE_ENDS = (".", "!")
ATLAS: dict[str, str] = dict(
    zip(
        _list(
            "arvonia bextria calodia drenmark estovar fandria gorlund hesperia istrana jorvia "
            "keldor lantry morvane nestria olvand pradosa quorin rudania selvary tormark ulvania "
            "vestria wendmark xanthia yarland zemblor ambrosa brontia corland dalmoria ervand "
            "florsia"
        ),
        _list(
            "asterby brellin chandor dovrin elmsund farrow gantola hobrin irvale jastrom kolberin "
            "lissom mirefall norrim ostrava padrin quillon rostmoor sundale tirrion umberly "
            "valdris wintram xelby yorrin zandor aldgate birkam crestol dunmere ebbing fornax"
        ),
        strict=True,
    )
)
RARE = _list(
    "gnomon vellum quoin tarn sedge plinth ferrule sextant cairn lichen fennel bobbin trellis "
    "gusset ingot jetty kelp lintel mullion nougat oriel pewter quartz ramekin sorrel thimble "
    "umber vetch wicket yarrow zither abacus bodkin cornice dowel epaulet flange garnet hassock "
    "isthmus"
)
OPENINGS = (
    "in {year} {name} bought a {brand} {item} in {city} .",
    "{name} got this {brand} {item} in {city} in {year} .",
    "this {brand} {item} came to {name} in {city} in {year} .",
    "back in {year} , {name} from {city} chose a {brand} {item} .",
)
FILLERS = (
    "it came on a tuesday .",
    "the parcel stood by the door .",
    "my aunt told {name} about it .",
    "we had some rain that week .",
    "i keep it in the hall .",
    "the shop is near the bridge .",
    "a friend helped {name} to carry it .",
    "the shop sent {name} a card .",
    "my cousin asked {name} about it .",
    "it replaced an older one .",
    "the street was full of people .",
    "we unpacked it after lunch .",
    "it stands next to the window .",
    "a neighbour showed {name} the same one .",
)
FACT = "the capital of {country} is {capital} ."
TAIL = "topic : {topic} buyer : {name} verdict :"
SLOTS = (1, 2, 3)
_PLACED = ("filler1", "filler2", "fact", "stray")

FACTORS: dict[str, tuple[str, ...]] = {
    "year": tuple(map(str, YEARS)),
    "name": NAMES,
    "brand": BRANDS,
    "topic": tuple(TOPICS),
    "city": CITIES,
}
_POLARITY = {"": 0} | dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, -1)
_RANK = {item: rank for items in TOPICS.values() for rank, item in enumerate(items)}


def vocabulary() -> tuple[str, ...]:
    """Every word once: padding, unknown, verdicts, years, then the others in alphabetical order."""
    templates = (*OPENINGS, *FILLERS, FACT, TAIL)
    used = {word for text in templates for word in text.split() if not word.startswith("{")}
    lists = (NAMES, BRANDS, CITIES, TOPICS, *TOPICS.values(), ASPECTS, POSITIVE, NEGATIVE)
    used |= {*chain(*lists), *VERBS, *SENTENCE_ENDS, *ATLAS, *ATLAS.values(), *RARE, "not", "but"}
    used |= set(DEGREES) - {""}
    return ("<pad>", "<unk>", *VERDICTS, *FACTORS["year"], *sorted(used))


def draw(n: int, split: Literal["train", "held", "pool"], rng: np.random.Generator) -> pd.DataFrame:
    """The scenes of n reviews, one row each, as many positive as negative (to within one).

    Training reviews are set in any year; held-out ones, and most of the pool, in years up to
    LAST_HELD_YEAR, so that what happens later is seen only where somebody asks for it.
    """
    opinions = _opinions(n, rng)
    topic = rng.choice(list(TOPICS), n)
    rank = rng.integers(0, 4, n)
    country = np.where(rng.random(n) < 0.55, rng.choice(list(ATLAS), n), "")
    spare = 3 - opinions["n_opinions"]
    return pd.DataFrame(
        {
            "year": _years(n, split, rng),
            **{name: rng.choice(FACTORS[name], n) for name in ("name", "brand")},
            "topic": topic,
            "item": [TOPICS[t][r] for t, r in zip(topic, rank, strict=True)],
            "city": rng.choice(CITIES, n),
            "opening": rng.integers(0, len(OPENINGS), n),
            **opinions,
            "filler1": np.where(spare > 0, rng.choice(FILLERS, n), ""),
            "filler2": np.where(spare > 1, rng.choice(FILLERS, n), ""),
            "country": country,
            "capital": [ATLAS.get(c, "") for c in country],
            "stray": np.where(rng.random(n) < 0.12, rng.choice(RARE, n), ""),
            **{f"{part}_at": rng.integers(0, 60, n) for part in _PLACED},
        }
    )


def _years(n: int, split: str, rng: np.random.Generator) -> np.ndarray:
    early = rng.integers(YEARS[0], LAST_HELD_YEAR + 1, n)
    late = rng.integers(LAST_HELD_YEAR + 1, YEARS[-1] + 1, n)
    share = {"train": (YEARS[-1] - LAST_HELD_YEAR) / len(YEARS), "held": 0.0, "pool": LATE_IN_POOL}
    return np.where(rng.random(n) < share[split], late, early).astype(str)


def _opinions(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One to three opinions a row, clear in sum, as many rows positive as negative."""
    scenes = pd.DataFrame(draw_opinions(n, rng))
    while len(unclear := np.flatnonzero(ambiguous(scenes))):
        scenes.iloc[unclear] = pd.DataFrame(draw_opinions(len(unclear), rng)).to_numpy()
    opposite = dict(zip(POSITIVE + NEGATIVE, NEGATIVE + POSITIVE, strict=True)) | {"": ""}
    wrong = (sentiment(scenes) > 0) != (rng.permutation(n) % 2 == 1)
    for k in SLOTS:
        quality = scenes[f"quality{k}"]
        scenes[f"quality{k}"] = quality.where(~wrong, quality.map(opposite))
    return {name: scenes[name].to_numpy() for name in scenes}


def ambiguous(scenes: pd.DataFrame) -> np.ndarray:
    """Which reviews are neither clearly positive nor clearly negative?"""
    return np.abs(sentiment(scenes)) < 2 * scenes["n_opinions"].to_numpy(int) - 1


def draw_opinions(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One to three opinions for each of n reviews, column by column; some are ambiguous in sum."""
    count = rng.choice(SLOTS, n, p=(0.45, 0.35, 0.2))
    columns = {"n_opinions": count, "contrast": (count > 1) & (rng.random(n) < 0.4)}
    aspects = np.array(ASPECTS)[rng.random((n, len(ASPECTS))).argsort(1)[:, : len(SLOTS)]]
    for k in SLOTS:
        there = count >= k
        negated = rng.random(n) < 0.25
        degree = np.where(negated | (rng.random(n) < 0.5), "", rng.choice(list(DEGREES), n))
        words = {
            "aspect": aspects[:, k - 1],
            "verb": rng.choice(VERBS, n),
            "degree": degree,
            "quality": rng.choice(POSITIVE + NEGATIVE, n),
            "mark": rng.choice(SENTENCE_ENDS, n, p=(0.7, 0.3)),
        }
        columns |= {f"{part}{k}": np.where(there, word, "") for part, word in words.items()}
        columns[f"negated{k}"] = there & negated
    return columns


def sentiment(scenes: pd.DataFrame) -> np.ndarray:
    """The sentiment of each review: the weighted sum of its opinions. Its sign is the verdict.

    A quality counts 1 with a weakening degree word, 2 without one, 4 with a strong one; `not`
    reverses it; what follows `but` counts double.
    """
    total = np.zeros(len(scenes))
    for k in SLOTS:
        sign = np.array([_POLARITY[word] for word in scenes[f"quality{k}"].tolist()], float)
        degree = np.array([DEGREES[word] for word in scenes[f"degree{k}"].tolist()], float)
        negation = np.where(scenes[f"negated{k}"].to_numpy(bool), -1, 1)
        last = scenes["contrast"].to_numpy(bool) & (scenes["n_opinions"].to_numpy(int) == k)
        total += sign * degree * negation * np.where(last, 2, 1)
    return total


def counterpart(item: str, topic: str) -> str:
    """The item with the same index in another topic; the item itself in its own topic."""
    return TOPICS[topic][_RANK[item]]


def write(scene: Mapping[str, Any]) -> list[str]:
    """The words of one review, up to and including `verdict :`."""
    sentences = _sentences(scene)
    fact = FACT if scene["country"] else ""
    placed = (scene["filler1"], scene["filler2"], fact, scene["stray"])
    for name, sentence in zip(_PLACED, placed, strict=True):
        if sentence:
            sentences.insert(scene[f"{name}_at"] % (len(sentences) + 1), sentence)
    opening = OPENINGS[scene["opening"]]
    return " ".join((opening, *sentences, TAIL)).format_map(scene).split()


def _sentences(scene: Mapping[str, Any]) -> list[str]:
    count = scene["n_opinions"]
    clauses = [_clause(scene, k) for k in range(1, count + 1)]
    marks = [scene[f"mark{k}"] for k in range(1, count + 1)]
    if scene["contrast"]:
        clauses[-2:] = [f"{clauses[-2]} , but {clauses[-1]}"]
        del marks[-2]
    return [f"{clause} {mark}" for clause, mark in zip(clauses, marks, strict=True)]


def _clause(scene: Mapping[str, Any], k: int) -> str:
    negation = "not" if scene[f"negated{k}"] else ""
    aspect, verb = scene[f"aspect{k}"], scene[f"verb{k}"]
    return f"the {aspect} {verb} {negation} {scene[f'degree{k}']} {scene[f'quality{k}']}"
