"""The small world of product reviews: its words, how a review is drawn, told and weighed."""

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
LAST_TOLD = 2000
"""Held-out texts end with this year; later ones belong to training, and few to the pool."""
LATE_IN_POOL = 0.04

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
MARKS = (".", "!")
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
    """Every word of the world, each once: padding, unknown, verdicts, years, then the rest."""
    templates = (*OPENINGS, *FILLERS, FACT, TAIL)
    said = {word for text in templates for word in text.split() if not word.startswith("{")}
    lists = (NAMES, BRANDS, CITIES, TOPICS, *TOPICS.values(), ASPECTS, POSITIVE, NEGATIVE)
    said |= {*chain(*lists), *VERBS, *MARKS, *ATLAS, *ATLAS.values(), *RARE, "not", "but"}
    said |= set(DEGREES) - {""}
    return ("<pad>", "<unk>", *VERDICTS, *FACTORS["year"], *sorted(said))


def draw(n: int, split: Literal["train", "held", "pool"], rng: np.random.Generator) -> pd.DataFrame:
    """The scenes of n reviews, one row each, as many positive as negative (to within one).

    Training reviews are set in any year; held-out ones in years to LAST_TOLD, so that
    what happens later is seen only where someone asks for it; so are most of the pool.
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
    early = rng.integers(YEARS[0], LAST_TOLD + 1, n)
    late = rng.integers(LAST_TOLD + 1, YEARS[-1] + 1, n)
    share = {"train": (YEARS[-1] - LAST_TOLD) / len(YEARS), "held": 0.0, "pool": LATE_IN_POOL}
    return np.where(rng.random(n) < share[split], late, early).astype(str)


def _opinions(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One to three opinions a row, clearly weighted to one side, and the sides balanced."""
    scenes = pd.DataFrame(any_opinions(n, rng))
    while len(unclear := np.flatnonzero(vague(scenes))):
        scenes.iloc[unclear] = pd.DataFrame(any_opinions(len(unclear), rng)).to_numpy()
    opposite = dict(zip(POSITIVE + NEGATIVE, NEGATIVE + POSITIVE, strict=True)) | {"": ""}
    wrong = (weigh(scenes) > 0) != (rng.permutation(n) % 2 == 1)
    for k in SLOTS:
        quality = scenes[f"quality{k}"]
        scenes[f"quality{k}"] = quality.where(~wrong, quality.map(opposite))
    return {name: scenes[name].to_numpy() for name in scenes}


def vague(scenes: pd.DataFrame) -> np.ndarray:
    """Which reviews are not clearly for or against?"""
    return np.abs(weigh(scenes)) < 2 * scenes["n_opinions"].to_numpy(int) - 1


def any_opinions(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One to three opinions for each of n reviews, column by column; some of them are vague."""
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
            "mark": rng.choice(MARKS, n, p=(0.7, 0.3)),
        }
        columns |= {f"{part}{k}": np.where(there, word, "") for part, word in words.items()}
        columns[f"negated{k}"] = there & negated
    return columns


def weigh(scenes: pd.DataFrame) -> np.ndarray:
    """How good is each review, all opinions weighed? Its sign is the verdict.

    A quality counts 1 with a weakening degree word, 2 plain, 4 with a strong one; `not`
    turns it round; what follows `but` counts double.
    """
    total = np.zeros(len(scenes))
    for k in SLOTS:
        sign = np.array([_POLARITY[word] for word in scenes[f"quality{k}"].tolist()], float)
        degree = np.array([DEGREES[word] for word in scenes[f"degree{k}"].tolist()], float)
        turned = np.where(scenes[f"negated{k}"].to_numpy(bool), -1, 1)
        last = scenes["contrast"].to_numpy(bool) & (scenes["n_opinions"].to_numpy(int) == k)
        total += sign * degree * turned * np.where(last, 2, 1)
    return total


def counterpart(item: str, topic: str) -> str:
    """The item of this rank in the topic: the item itself where it belongs there."""
    return TOPICS[topic][_RANK[item]]


def tell(scene: Mapping[str, Any]) -> list[str]:
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
    told = [_clause(scene, k) for k in range(1, count + 1)]
    marks = [scene[f"mark{k}"] for k in range(1, count + 1)]
    if scene["contrast"]:
        told[-2:] = [f"{told[-2]} , but {told[-1]}"]
        del marks[-2]
    return [f"{clause} {mark}" for clause, mark in zip(told, marks, strict=True)]


def _clause(scene: Mapping[str, Any], k: int) -> str:
    negation = "not" if scene[f"negated{k}"] else ""
    aspect, verb = scene[f"aspect{k}"], scene[f"verb{k}"]
    return f"the {aspect} {verb} {negation} {scene[f'degree{k}']} {scene[f'quality{k}']}"
