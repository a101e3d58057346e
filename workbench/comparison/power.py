"""How many seeds, and how many test items, would be needed to see a difference of some size."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from workbench.comparison.statistics import t_quantile
from workbench.comparison.testing import Difference, half_width, whole_welch, z_quantile

POWER = 0.8
"""Chance of seeing the difference where there is one; Cohen (1988) made 80% the custom."""

MOST_SEEDS = 1000
_Z_POWER = NormalDist().inv_cdf(POWER)


@dataclass(frozen=True)
class Needed:
    """What would show the difference with a chance of 80%; None where it cannot be told."""

    limit: Literal["seeds", "items"] | None
    """What there are too few of; None where there is enough of both, or nothing is known."""
    seeds: int | None
    """Runs on each side; with ``items`` where these are the limit."""
    items: int | None  # None where there are enough


def needed(found: Difference, size: float, comparisons: int = 1) -> Needed:
    """What a difference of ``size`` asks for, by how much the scores at hand vary.

    A forecast from a variance that few seeds know badly: an order of magnitude. Where the test
    items alone leave more doubt than ``size``, as many are asked for as make their share of the
    variance half of what may be. ``comparisons``: for how many p-values are corrected.
    """
    z, items, variance = z_quantile(comparisons) + _Z_POWER, found.items, found.spread.items
    if "seeds" not in found.covers:
        more = math.ceil(z**2 * variance / size**2) if variance > 0 else 0
        short = items is not None and more > items
        return Needed("items", None, more) if short else Needed(None, None, None)
    if "items" in found.covers and items and z**2 * (variance / items) >= size**2:
        more = math.ceil(2 * z**2 * variance / size**2)
        return Needed("items", _seeds(found, size, more, comparisons), more)
    seeds = _seeds(found, size, items, comparisons)
    shown = detectable(found, comparisons)
    if shown is not None and shown <= size:
        return Needed(None, seeds, None)
    # Of unequal sides the larger one does not count here, so the smaller one may seem enough.
    return Needed("seeds", seeds and max(seeds, min(found.runs) + 1), None)


def detectable(found: Difference, comparisons: int = 1) -> float | None:
    """The difference that the runs and items at hand would show in 4 of 5 such comparisons."""
    spread = found.spread
    if found.p_value is None:
        return None
    if spread.df is None:
        return (z_quantile(comparisons) + _Z_POWER) * math.sqrt(spread.over_items)
    return _shown(spread.over_seeds, spread.over_items, spread.df, comparisons)


def _shown(over_seeds: float, over_items: float, df: int, comparisons: int) -> float:
    """The difference that is seen that often: the half-width, and how far above it it has to be."""
    missed = math.sqrt(t_quantile(POWER, df) ** 2 * over_seeds + _Z_POWER**2 * over_items)
    return half_width(over_seeds, over_items, df, comparisons) + missed


def _seeds(found: Difference, size: float, items: int | None, comparisons: int) -> int | None:
    """The fewest runs on each side, 2 at least, that show the difference."""
    if not sees(found, size, MOST_SEEDS, items, comparisons):
        return None
    counts = range(2, MOST_SEEDS + 1)
    return counts[
        bisect_left(counts, True, key=lambda runs: sees(found, size, runs, items, comparisons))
    ]


def sees(
    found: Difference, size: float, runs: int, items: int | None, comparisons: int = 1
) -> bool:
    """True when that many runs on each side show the difference in 80% of all cases."""
    spread = found.spread
    over_seeds, over_items = sum(spread.seeds), 0.0
    if items and found.items:
        # What belongs to a seed and an item together is part of the variance between seeds.
        alone = max(over_seeds - spread.both / found.items, 0.0)
        over_seeds = alone + spread.both / items
        over_items = (spread.items + spread.both / runs) / items
    df = whole_welch(spread.seeds, (runs, runs))
    return _shown(over_seeds / runs, over_items, df, comparisons) <= size
