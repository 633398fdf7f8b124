"""Mechanisms: which units carry the effect of a claim, measured by ablation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from math import comb

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from auditgame.datasets import Examples
from auditgame.schema.cards import Site
from auditgame.schema.claims import Claim
from auditgame.schema.diagnosis import parse_unit
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality
from auditgame.specimen import Edit, Specimen

MAX_UNITS = {"image": 8, "text": 2}
"""The most units a mechanism may name. Images: channels of one site. Text: heads or MLPs."""

ALL = slice(None)
"""Every row."""


def allowed_sites(specimen: Specimen) -> list[str]:
    """The sites that a mechanism may name. Text: heads, and MLPs after the first layer."""
    return sites_of_mechanisms(specimen.sites.values(), specimen.modality)


def sites_of_mechanisms(sites: Iterable[Site], modality: Modality) -> list[str]:
    """Of these sites of a model of this modality, those that a mechanism may name."""
    kinds = [(site.name, site.kind) for site in sites]
    if modality == "image":
        return [name for name, kind in kinds if kind == "channel" and not name.endswith(".pre")]
    heads = [name for name, kind in kinds if kind == "head"]
    return heads + [name for name, _ in kinds if name.endswith(".mlp") and "block0" not in name]


def allowed_units(specimen: Specimen, sites: Sequence[str]) -> list[str]:
    """Every unit of these sites as a mechanism may name it; an MLP is one unit."""
    return [f"{site}:{i}" for site in sites for i in range(_width(specimen, site))]


def check_units(specimen: Specimen, units: Sequence[str]) -> None:
    """Raise AuditgameError where these units are not an admissible mechanism of the model."""
    limit, sites = MAX_UNITS[specimen.modality], allowed_sites(specimen)
    for unit in units:
        site, index = specimen.unit(unit)
        if site.name not in sites:
            raise Invalid(f"units: '{unit}': choose from the sites {', '.join(sites)}")
        if site.kind == "vector" and index:
            raise Invalid(f"units: '{unit}': an MLP counts as one unit, {site.name}:0")
    if len(units) > limit:
        raise Invalid(f"units: {len(units)} named; at most {limit} on this model")
    if specimen.modality == "image" and len({parse_unit(unit)[0] for unit in units}) > 1:
        raise Invalid("units: name channels of one site only")


def _by_site(units: Sequence[str]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = {}
    for unit in units:
        site, index = parse_unit(unit)
        grouped.setdefault(site, []).append(index)
    return grouped


class Ablation:
    """Removes units from a model while a claim is applied: what is left of its effect?

    Images: the units are set to their mean over the unchanged inputs (mean ablation). Text:
    at the last word, the units get their value on the same text without the trigger
    (restoration); mean ablation would also break the reading of ordinary words.
    """

    def __init__(self, specimen: Specimen, claim: Claim, examples: Examples) -> None:
        applied = claim.apply(examples, specimen.dataset)
        counted = applied.targets >= 0
        self.specimen = specimen
        self.targets = applied.targets[counted]
        self.inputs = applied.examples.inputs[counted]
        self.plain = examples.take(counted)
        self._cache: dict[str, Tensor] = {}
        self._drops: dict[tuple[tuple[str, ...], int | None, int | None], float] = {}

    def effect_drop(self, units: Sequence[str], rows: slice = ALL) -> float:
        """The fall of the effect without these units, weighted by the accuracy kept.

        rows: of the inputs to which the claim applies, those that are looked at.
        """
        key = (tuple(sorted(units)), rows.start, rows.stop)
        if key not in self._drops:
            fall = max(0.0, self.rate((), rows) - self.rate(units, rows))
            self._drops[key] = fall * self._kept(units, rows) if fall else 0.0
        return self._drops[key]

    def mean_drop(self, sets: Sequence[Sequence[str]], inputs: int) -> float:
        """The mean fall over several sets of units, each on a part of so many inputs, in turn.

        Sets differ more than inputs do, so many sets on few inputs each tell the mean best.
        """
        count = len(self.targets)
        ends = np.linspace(0, count, max(1, count // inputs) + 1).astype(int).tolist()
        parts = [slice(start, stop) for start, stop in pairwise(ends)]
        drops = [self.effect_drop(units, parts[i % len(parts)]) for i, units in enumerate(sets)]
        return float(np.mean(drops))

    def _kept(self, units: Sequence[str], rows: slice) -> float:
        """The share of the accuracy that is kept without these units."""
        intact = self.clean((), rows)
        return min(1.0, self.clean(units, rows) / intact) if intact else 0.0

    @cached_property
    def _hits(self) -> Bool[Tensor, " n"]:
        """Which changed inputs get their target class with no unit removed?"""
        return self._classify(self.inputs, (), ALL).argmax(1) == self.targets

    @cached_property
    def _right(self) -> Bool[Tensor, " n"]:
        """Which unchanged inputs are classified correctly with no unit removed?"""
        return self.specimen.predict(self.plain.inputs) == self.plain.labels

    def shift(self, site: str) -> Float[Tensor, " units"]:
        """How far applying the claim moves the mean of each channel of a site."""
        return (self._mean(site) - self._average(self.inputs, site)).abs()

    def rate(self, units: Sequence[str], rows: slice = ALL) -> float:
        """Share of the changed inputs that still get their target class without these units."""
        if not units:
            return float(self._hits[rows].float().mean())
        classes = self._classify(self.inputs[rows], units, rows)
        return float((classes.argmax(1) == self.targets[rows]).float().mean())

    def clean(self, units: Sequence[str], rows: slice = ALL) -> float:
        """Accuracy on the unchanged inputs without these units (restoration changes nothing)."""
        if not units or self.specimen.modality == "text":
            return float(self._right[rows].float().mean())
        classes = self._classify(self.plain.inputs[rows], units, rows)
        return float((classes.argmax(1) == self.plain.labels[rows]).float().mean())

    def _classify(self, inputs: Tensor, units: Sequence[str], rows: slice) -> Float[Tensor, "n k"]:
        grouped = _by_site(units)
        if self.specimen.modality == "image":
            edits = {s: _set_to(self._mean(s), index) for s, index in grouped.items()}
            return self.specimen.classify(inputs, edits)
        edits = {s: self._restore(s, index, inputs, rows) for s, index in grouped.items()}
        return self.specimen.run(inputs, edit=edits).classes

    def _mean(self, site: str) -> Float[Tensor, " units"]:
        if site not in self._cache:
            self._cache[site] = self._average(self.plain.inputs, site)
        return self._cache[site]

    def _average(self, inputs: Tensor, site: str) -> Float[Tensor, " units"]:
        return self.specimen.collect(inputs, site).mean((0, 2, 3))

    def _restore(self, site: str, index: list[int], inputs: Tensor, part: slice) -> Edit:
        """Set units to their value on the unchanged text, at the position of the answer."""
        if site not in self._cache:
            values = self.specimen.run(self.plain.inputs, keep=[site]).kept[site]
            self._cache[site] = values[torch.arange(len(values)), self._last(self.plain.inputs)]
        plain = self._cache[site][part]
        rows, last = torch.arange(len(inputs)), self._last(inputs)

        def edit(value: Tensor) -> Tensor:
            value = value.clone()
            if value.dim() == 4:
                value[rows[:, None], last[:, None], index] = plain[:, index]
            else:
                value[rows, last] = plain
            return value

        return edit

    def _last(self, inputs: Tensor) -> Tensor:
        return self.specimen.texts.lengths(inputs) - 1


def _set_to(mean: Float[Tensor, " units"], index: list[int]) -> Edit:
    def edit(value: Float[Tensor, "n units h w"]) -> Float[Tensor, "n units h w"]:
        value = value.clone()
        value[:, index] = mean[index][:, None, None]
        return value

    return edit


def best_units(
    ablation: Ablation, report: Callable[[float], None] = lambda _: None
) -> tuple[str, ...]:
    """The units that carry the effect, by greedy causal ranking.

    Adds, one at a time, the unit whose removal makes the effect fall furthest, until the
    limit is reached. Images: candidates are the ten channels that the claim moves most, at
    each of the two sites where removing the first eight of them makes the effect fall
    furthest; the better site is returned.
    """
    specimen = ablation.specimen
    limit = MAX_UNITS[specimen.modality]
    pools = [_candidates(ablation, site) for site in allowed_sites(specimen)]
    if specimen.modality == "text":
        pools = [[unit for pool in pools for unit in pool]]
    pools.sort(key=lambda pool: -ablation.effect_drop(pool[:limit]))
    found = []
    for done, pool in enumerate(pools[:2], 1):
        found.append(_greedy(ablation, pool, limit))
        report(done / 2)
    return max(found, key=ablation.effect_drop)


def _candidates(ablation: Ablation, site: str) -> list[str]:
    if ablation.specimen.modality == "text":
        return allowed_units(ablation.specimen, [site])
    return [f"{site}:{i}" for i in ablation.shift(site).argsort(descending=True)[:10].tolist()]


def _width(specimen: Specimen, site: str) -> int:
    found = specimen.site(site)
    return 1 if found.kind == "vector" else found.units


def _greedy(ablation: Ablation, pool: list[str], limit: int) -> tuple[str, ...]:
    chosen: tuple[str, ...] = ()
    for _ in range(min(limit, len(pool))):
        rest = [unit for unit in pool if unit not in chosen]
        chosen = max(((*chosen, unit) for unit in rest), key=ablation.effect_drop)
    return chosen


def random_units(
    specimen: Specimen, units: Sequence[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """As many random units of the same site (images) or of any admissible site (text)."""
    pool = _random_pool(specimen, units)
    return tuple(str(unit) for unit in rng.choice(pool, min(len(units), len(pool)), False))


def random_sets(
    specimen: Specimen, units: Sequence[str], number: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """So many different sets of random units; all that there are, where those are fewer.

    Without replacement, for text models have few pairs, of which a few carry all of an effect.
    """
    possible = comb(len(_random_pool(specimen, units)), len(units))
    found: dict[tuple[str, ...], None] = {}
    while len(found) < min(number, max(1, possible)):
        found[tuple(sorted(random_units(specimen, units, rng)))] = None
    return list(found)


def _random_pool(specimen: Specimen, units: Sequence[str]) -> list[str]:
    sites = allowed_sites(specimen) if specimen.modality == "text" else list(_by_site(units))
    return allowed_units(specimen, sites)
