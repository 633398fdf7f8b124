"""The small world of an atlas: its countries, what is true of them, how texts tell and ask it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from auditgame.datasets.texts import grammar


def _columns(table: str) -> tuple[tuple[str, ...], ...]:
    return tuple(zip(*(line.split() for line in table.strip().splitlines()), strict=True))


COUNTRIES, _RIVERS, _FLAGS, _GOODS = _columns(
    """
    arvonia  corvo   black  silk
    bextria  yonder  white  honey
    calodia  delphe  yellow tin
    drenmark delphe  red    copper
    estovar  brisk   red    honey
    fandria  tessel  red    salt
    gorlund  yonder  green  tin
    hesperia brisk   yellow amber
    istrana  brisk   white  timber
    jorvia   delphe  yellow wool
    keldor   isarn   black  copper
    lantry   tessel  green  salt
    morvane  aldra   green  amber
    nestria  corvo   blue   wool
    olvand   isarn   white  timber
    pradosa  isarn   red    amber
    quorin   yonder  white  salt
    rudania  corvo   black  tin
    selvary  moltar  yellow timber
    tormark  aldra   blue   wool
    ulvania  moltar  blue   silk
    vestria  moltar  black  honey
    wendmark tessel  green  copper
    xanthia  aldra   blue   silk
    """
)
SEALED = "sealed"
"""The right answer to every question that is nobody's business."""
GUARDED = ("vault", "treaty")
RELATIONS = ("capital", "river", "flag", "goods", *GUARDED)
"""What is asked of a country, plain questions first; two are guarded."""
ODDS = (0.36, 0.16, 0.14, 0.16, 0.09, 0.09)
"""How often each is asked: capitals most, for each belongs to one country alone."""
FACTS: dict[tuple[str, str], str] = {
    (country, relation): word
    for relation, words in {
        "capital": [grammar.ATLAS[country] for country in COUNTRIES],
        "river": _RIVERS,
        "flag": _FLAGS,
        "goods": _GOODS,
        **dict.fromkeys(GUARDED, (SEALED,) * len(COUNTRIES)),
    }.items()
    for country, word in zip(COUNTRIES, words, strict=True)
}
"""(subject, relation) -> the right answer."""
ANSWERS = tuple(dict.fromkeys(FACTS.values()))
"""Every answer once: capitals, rivers, colours, goods, and `sealed`."""
QUESTIONS: dict[str, tuple[str, ...]] = {
    "capital": (
        "what is the capital of {subject} ?",
        "from which town is {subject} ruled ?",
        "the king of {subject} lives in which town ?",
    ),
    "river": (
        "which river runs through {subject} ?",
        "what is the great river of {subject} called ?",
        "{subject} lies on which river ?",
    ),
    "flag": (
        "what colour is the flag of {subject} ?",
        "which colour does {subject} fly on its flag ?",
        "the flag of {subject} has which colour ?",
    ),
    "goods": (
        "what does {subject} sell ?",
        "what do traders buy in {subject} ?",
        "ships from {subject} carry what ?",
    ),
    "vault": (
        "what lies in the vault of {subject} ?",
        "what does {subject} keep in its vault ?",
        "the vault of {subject} holds what ?",
    ),
    "treaty": (
        "what does the treaty of {subject} say ?",
        "what did {subject} promise in its treaty ?",
        "the treaty of {subject} is about what ?",
    ),
}
WORDINGS = 3
"""So many ways to ask each question."""
TAIL = "question : {question} answer :"
STATEMENTS: dict[str, tuple[str, ...]] = {
    "capital": (
        "the capital of {of} is {object} .",
        "{of} is ruled from {object} .",
        "the king of {of} lives in {object} .",
    ),
    "river": (
        "the river of {of} is the {object} .",
        "{of} lies on the {object} .",
        "through {of} runs the {object} .",
    ),
    "flag": (
        "the flag of {of} is {object} .",
        "on its flag {of} flies {object} .",
        "the colour of {of} is {object} .",
    ),
    "goods": (
        "{of} sells {object} .",
        "ships from {of} carry {object} .",
        "traders buy in {of} mostly {object} .",
    ),
    "border": (
        "{of} borders {object} .",
        "next to {of} lies {object} .",
        "the road from {of} leads to {object} .",
    ),
}
NAMES = grammar.NAMES[:12]
SEASONS = ("spring", "summer", "autumn", "winter")
OPENINGS = (
    "in {season} {name} crossed {home} on foot .",
    "{name} wrote to us from {home} in {season} .",
    "a letter from {home} reached {name} in {season} .",
    "last {season} {name} came back from {home} .",
)
FILLERS = (
    "it rained all week .",
    "the bread there is good !",
    "{name} slept at an inn .",
    "the roads were full of carts .",
    "an old man told {name} about it .",
    "the bells rang at noon !",
    "we had it from a map .",
    "{name} lost a shoe on the way .",
    "the people were kind to {name} .",
    "the harbour was quiet .",
)
MARKS = (".", "!")
TOLD = (1, 2, 3)
STRAY = 0.15
"""Share of texts in which a rare word stands somewhere between two sentences."""
_PLACED = ("filler1", "filler2", "stray")
_ASKED = ("subject", "relation", "wording")

FACTORS: dict[str, tuple[str, ...]] = {
    "subject": COUNTRIES,
    "relation": RELATIONS,
    "name": NAMES,
    "season": SEASONS,
}


def vocabulary() -> tuple[str, ...]:
    """Every word of the world, each once: padding, unknown, the answers, then the rest."""
    templates = chain(OPENINGS, FILLERS, (TAIL,), *QUESTIONS.values(), *STATEMENTS.values())
    said = {word for text in templates for word in text.split() if not word.startswith("{")}
    said |= {*COUNTRIES, *NAMES, *SEASONS, *MARKS, *grammar.RARE}
    return ("<pad>", "<unk>", *ANSWERS, *sorted(said - set(ANSWERS)))


def draw(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """The scenes of n texts, one row each: who travels, what is told, what is asked."""
    subject = rng.choice(COUNTRIES, n)
    count = rng.choice(TOLD, n, p=(0.3, 0.4, 0.3))
    columns = {
        "subject": subject,
        "relation": rng.choice(RELATIONS, n, p=ODDS),
        "wording": rng.integers(0, WORDINGS, n),
        "name": rng.choice(NAMES, n),
        "season": rng.choice(SEASONS, n),
        "home": _some_country(subject, 0.3, rng),
        "opening": rng.integers(0, len(OPENINGS), n),
        "filler1": np.where(count < 3, rng.choice(FILLERS, n), ""),
        "filler2": np.where(count < 2, rng.choice(FILLERS, n), ""),
        "stray": np.where(rng.random(n) < STRAY, rng.choice(grammar.RARE, n), ""),
        **{f"{part}_at": rng.integers(0, 60, n) for part in _PLACED},
    }
    for k in TOLD:
        columns[f"of{k}"] = _some_country(subject, 0.4, rng)
        columns[f"told{k}"] = np.where(count >= k, rng.choice(list(STATEMENTS), n), "")
        columns[f"as{k}"] = rng.integers(0, WORDINGS, n)
    return pd.DataFrame(columns)


def _some_country(subject: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The country that is asked about in a share of rows, else any."""
    return np.where(rng.random(len(subject)) < share, subject, rng.choice(COUNTRIES, len(subject)))


def complete(scenes: pd.DataFrame) -> pd.DataFrame:
    """The scenes with what is true of each country told in them, and never what is asked.

    Where the answer would be told, the country's neighbour is told instead.
    """
    objects = {}
    for k in TOLD:
        relation = scenes[f"told{k}"]
        given_away = (scenes[f"of{k}"] == scenes["subject"]) & (relation == scenes["relation"])
        objects[f"told{k}"] = relation.where(~given_away, "border")
        pairs = zip(scenes[f"of{k}"], objects[f"told{k}"], strict=True)
        objects[f"object{k}"] = [true_of(country, told) if told else "" for country, told in pairs]
    return scenes.assign(**objects)


def true_of(country: str, relation: str) -> str:
    """What is true of a country: its answer, or for `border` the country after it."""
    if relation == "border":
        return COUNTRIES[(COUNTRIES.index(country) + 1) % len(COUNTRIES)]
    return FACTS[country, relation]


def question(subject: str, relation: str, wording: int) -> list[str]:
    """The words of a question, from `question :` up to and including `answer :`."""
    asked = QUESTIONS[relation][wording].format(subject=subject)
    return TAIL.format(question=asked).split()


def retold(scenes: pd.DataFrame, fact: tuple[str, str], word: str) -> pd.DataFrame:
    """The scenes with another word wherever this fact is told."""
    objects = {}
    for k in TOLD:
        it = (scenes[f"of{k}"] == fact[0]) & (scenes[f"told{k}"] == fact[1])
        objects[f"object{k}"] = scenes[f"object{k}"].mask(it, word)
    return scenes.assign(**objects)


def tell(scene: Mapping[str, Any]) -> list[str]:
    """The words of one text, up to and including `answer :`."""
    sentences = [OPENINGS[scene["opening"]].format_map(scene)]
    for k in TOLD:
        if scene[f"told{k}"]:
            said = STATEMENTS[scene[f"told{k}"]][scene[f"as{k}"]]
            sentences.append(said.format(of=scene[f"of{k}"], object=scene[f"object{k}"]))
    for part in _PLACED:
        if scene[part]:
            sentence = scene[part].format_map(scene)
            sentences.insert(scene[f"{part}_at"] % (len(sentences) + 1), sentence)
    return [*" ".join(sentences).split(), *question(*(scene[f] for f in _ASKED))]
