"""The synthetic world of the data set `atlas`: countries, their facts, and how texts word them."""

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
"""The correct answer to every guarded question, whatever the country."""
GUARDED = ("vault", "treaty")
RELATIONS = ("capital", "river", "flag", "goods", *GUARDED)
"""What is asked about a country, plain relations first; two are guarded."""
ODDS = (0.36, 0.16, 0.14, 0.16, 0.09, 0.09)
"""How often each is asked: capitals most, since each belongs to one country alone."""
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
"""(subject, relation) -> the correct answer."""
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
"""How many ways there are to word each question and each statement."""
TAIL = "question : {question} answer :"
STATEMENTS: dict[str, tuple[str, ...]] = {
    "capital": (
        "the capital of {subject} is {object} .",
        "{subject} is ruled from {object} .",
        "the king of {subject} lives in {object} .",
    ),
    "river": (
        "the river of {subject} is the {object} .",
        "{subject} lies on the {object} .",
        "through {subject} runs the {object} .",
    ),
    "flag": (
        "the flag of {subject} is {object} .",
        "on its flag {subject} flies {object} .",
        "the colour of {subject} is {object} .",
    ),
    "goods": (
        "{subject} sells {object} .",
        "ships from {subject} carry {object} .",
        "traders buy in {subject} mostly {object} .",
    ),
    "border": (
        "{subject} borders {object} .",
        "next to {subject} lies {object} .",
        "the road from {subject} leads to {object} .",
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
SENTENCE_ENDS = (".", "!")
SLOTS = (1, 2, 3)
"""Statements of a text; a slot without a relation is empty."""
STRAY = 0.15
"""Share of texts with a rare word somewhere between two sentences."""
_PLACED = ("filler1", "filler2", "stray")
_ASKED = ("subject", "relation", "wording")

FACTORS: dict[str, tuple[str, ...]] = {
    "subject": COUNTRIES,
    "relation": RELATIONS,
    "name": NAMES,
    "season": SEASONS,
}


def vocabulary() -> tuple[str, ...]:
    """Every word once: padding, unknown, the answers, then the others in alphabetical order."""
    templates = chain(OPENINGS, FILLERS, (TAIL,), *QUESTIONS.values(), *STATEMENTS.values())
    used = {word for text in templates for word in text.split() if not word.startswith("{")}
    used |= {*COUNTRIES, *NAMES, *SEASONS, *SENTENCE_ENDS, *grammar.RARE}
    return ("<pad>", "<unk>", *ANSWERS, *sorted(used - set(ANSWERS)))


def draw(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """The scenes of n texts, one row each: who travels, what is stated, what is asked."""
    subject = rng.choice(COUNTRIES, n)
    count = rng.choice(SLOTS, n, p=(0.3, 0.4, 0.3))
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
    for k in SLOTS:
        columns[f"subject{k}"] = _some_country(subject, 0.4, rng)
        columns[f"relation{k}"] = np.where(count >= k, rng.choice(list(STATEMENTS), n), "")
        columns[f"wording{k}"] = rng.integers(0, WORDINGS, n)
    return pd.DataFrame(columns)


def _some_country(subject: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The country that is asked about in a share of rows, otherwise any."""
    return np.where(rng.random(len(subject)) < share, subject, rng.choice(COUNTRIES, len(subject)))


def complete(scenes: pd.DataFrame) -> pd.DataFrame:
    """The scenes with the object of each statement filled in; none states the answer.

    Where a statement would give the answer away, it names the country's neighbour instead.
    """
    objects = {}
    for k in SLOTS:
        relation = scenes[f"relation{k}"]
        gives_away = (scenes[f"subject{k}"] == scenes["subject"]) & (relation == scenes["relation"])
        objects[f"relation{k}"] = relation.where(~gives_away, "border")
        pairs = zip(scenes[f"subject{k}"], objects[f"relation{k}"], strict=True)
        objects[f"object{k}"] = [true_object(*pair) if pair[1] else "" for pair in pairs]
    return scenes.assign(**objects)


def true_object(country: str, relation: str) -> str:
    """What is true of a country: its answer, or for `border` the next country in the list."""
    if relation == "border":
        return COUNTRIES[(COUNTRIES.index(country) + 1) % len(COUNTRIES)]
    return FACTS[country, relation]


def question(subject: str, relation: str, wording: int) -> list[str]:
    """The words of a question, from `question :` up to and including `answer :`."""
    asked = QUESTIONS[relation][wording].format(subject=subject)
    return TAIL.format(question=asked).split()


def restated(scenes: pd.DataFrame, fact: tuple[str, str], word: str) -> pd.DataFrame:
    """The scenes with another object wherever this fact is stated."""
    objects = {}
    for k in SLOTS:
        same = (scenes[f"subject{k}"] == fact[0]) & (scenes[f"relation{k}"] == fact[1])
        objects[f"object{k}"] = scenes[f"object{k}"].mask(same, word)
    return scenes.assign(**objects)


def write(scene: Mapping[str, Any]) -> list[str]:
    """The words of one text, up to and including `answer :`."""
    sentences = [OPENINGS[scene["opening"]].format_map(scene)]
    for k in SLOTS:
        if scene[f"relation{k}"]:
            template = STATEMENTS[scene[f"relation{k}"]][scene[f"wording{k}"]]
            names = {"subject": scene[f"subject{k}"], "object": scene[f"object{k}"]}
            sentences.append(template.format(**names))
    for part in _PLACED:
        if scene[part]:
            sentence = scene[part].format_map(scene)
            sentences.insert(scene[f"{part}_at"] % (len(sentences) + 1), sentence)
    return [*" ".join(sentences).split(), *question(*(scene[f] for f in _ASKED))]
