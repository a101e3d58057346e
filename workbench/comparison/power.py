"""How many seeds, and how many test items, would be needed to see a difference of some size.

All of it is the power of a test whose error is estimated twice: by the runs at hand, from which is
forecast, and by those of the study to come. Both estimates scatter, which takes power away.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from workbench.comparison.crossed import Crossed, crossed, pooled_df
from workbench.comparison.statistics import CONFIDENCE, TINY, z_quantile
from workbench.comparison.testing import Difference

POWER = 0.8
"""Chance of seeing the difference where there is one; Cohen (1988) made 80% the custom."""

MOST_SEEDS, MOST_ITEMS = 100, 1_000_000
"""More than these are far more than is practical."""

SOME_SEEDS = 10
"""With so many what belongs to a seed and an item together counts where items are asked for."""

Bounds = tuple[int, int | None]
"""From, to; None: far more than is practical."""

_NORMAL = NormalDist()
_Z_POWER = _NORMAL.inv_cdf(POWER)
_Z_RANGE = _NORMAL.inv_cdf(0.9)  # 80% lie within
_NODES = [_NORMAL.inv_cdf((i + 0.5) / 16) for i in range(16)]
"""Normal deviates that are equally likely."""


@dataclass(frozen=True)
class Needed:
    """What would show the difference with a chance of 80%; None where it cannot be told, or is far
    more than is practical."""

    limit: Literal["seeds", "items"] | None = None
    """What there are too few of; None where there is enough of both, or nothing is known."""
    seeds: int | None = None
    """Runs on each side; with ``items`` where these are the limit."""
    items: int | None = None  # None where there are enough
    bounds: Bounds | None = None
    """Of what there are too few of, by how well the variances at hand are known."""


def needed(found: Difference, size: float, comparisons: int = 1) -> Needed:
    """What a difference of ``size`` asks for, by how much the scores at hand vary.

    Where no number of seeds shows it on the test items at hand, as many items are asked for as
    make their share of the variance half of what may be, and with which `MOST_SEEDS` show it. Where
    endless items and that many seeds do not, the seeds are the limit. ``comparisons``: for how many
    p-values are corrected.
    """
    least = detectable(found, comparisons)
    if least is None or least <= size:
        return Needed()
    ask = _Asked(size=size, tail=(1 - CONFIDENCE) / 2 / comparisons)
    known, spread, now = _known(found), found.spread, found.items

    def seeds_on(items: int | None, fewest: int) -> tuple[int | None, Bounds | None]:
        return ask.fewest(lambda n: _error(found, n, items), known, range(fewest, MOST_SEEDS + 1))

    if "seeds" in found.covers:
        seeds, bounds = seeds_on(now, min(found.runs) + 1)
        if seeds or not now or not ask.shows(_error(found, MOST_SEEDS, MOST_ITEMS), known):
            if not seeds:
                return Needed(_varies_most(spread.error, ask.tail))
            return Needed("seeds", seeds, None, bounds)
    share = 2 if "seeds" in found.covers else 1

    def on_items(n: int) -> Crossed:
        fixed = share * (spread.items + spread.both / SOME_SEEDS) / n
        alone = Crossed(fixed=fixed, seeds=0.0, df=0.0, items=n)
        return alone if share == 1 else max(alone, _error(found, MOST_SEEDS, n), key=_variance)

    items, bounds = ask.fewest(on_items, known, range((now or 0) + 1, MOST_ITEMS + 1))
    if items is None or share == 1:
        return Needed("items", None, items, bounds)
    if (seeds := seeds_on(items, 2)[0]) is None:
        return Needed("items")
    # Where no seed changes anything, nothing tells how many it takes.
    return Needed("items", seeds if sum(spread.seeds) + spread.both > TINY else None, items, bounds)


def _varies_most(error: Crossed, tail: float) -> Literal["seeds", "items"]:
    """The larger part of a variance; that of few items is not less than they can tell."""
    items = max(error.fixed, (error.left_open(tail) / z_quantile(tail)) ** 2)
    return "seeds" if error.seeds >= items else "items"


def _variance(error: Crossed) -> float:
    return error.variance


def detectable(found: Difference, comparisons: int = 1) -> float | None:
    """The difference that the runs and items at hand would show in 4 of 5 such comparisons."""
    if found.p_value is None:
        return None
    return _shown(found.spread.error, (1 - CONFIDENCE) / 2 / comparisons)


def sees(
    found: Difference, size: float, runs: int, items: int | None, comparisons: int = 1
) -> bool:
    """True when that many runs on each side show the difference in 80% of all cases, as far as the
    runs at hand can tell."""
    ask = _Asked(size=size, tail=(1 - CONFIDENCE) / 2 / comparisons)
    return ask.shows(_error(found, runs, items), _known(found))


Known = tuple[float, float]
"""Degrees of freedom with which the variance over seeds and that over items are known."""


@dataclass(frozen=True)
class _Asked:
    size: float
    tail: float

    def shows(self, error: Crossed, known: Known) -> bool:
        return self.power(error, _together(error, known)) >= POWER

    def power(self, error: Crossed, known: float) -> float:
        """The mean chance over the errors that such a one, forecast from ``known`` degrees of
        freedom, may stand for."""
        critical, scatter = _critical(error, self.tail)
        shown = self.size / math.sqrt(error.variance) if error.variance > 0 else math.inf
        times = [1.0] if math.isinf(known) else [math.sqrt(_chi(known, z)) for z in _NODES]
        return fmean(_NORMAL.cdf((shown * each - critical) / scatter) for each in times)

    def fewest(
        self, error: Callable[[int], Crossed], known: Known, counts: range
    ) -> tuple[int | None, Bounds | None]:
        """The first number with which it shows, and the range of those for variances that the ones
        at hand may come from."""
        found = _first(lambda n: self.shows(error(n), known), counts)
        together = _together(error(found or counts[-1]), known)

        def first_with(sign: int) -> int | None:
            # The true variance by the estimated one: 80% lie between the two.
            times = 1 / math.sqrt(1 if math.isinf(together) else _chi(together, -sign * _Z_RANGE))
            return _first(lambda n: times * _shown(error(n), self.tail) <= self.size, counts)

        low = first_with(-1)
        return found, None if low is None else (low, first_with(1))


def _shown(error: Crossed, tail: float) -> float:
    """The difference that a study with this error shows with a chance of 80%."""
    critical, scatter = _critical(error, tail)
    return (critical + _Z_POWER * scatter) * math.sqrt(error.variance)


def _critical(error: Crossed, tail: float) -> tuple[float, float]:
    """In standard errors what an estimate must reach on average, and the deviation of what it falls
    short of by: the standard error of a study is estimated, too (as a normal variable, with the
    mean and variance of the square root of a chi-squared one)."""
    df = error.df / error.part**2 if error.part else math.inf
    critical = error.half_width(tail) / math.sqrt(error.variance) if error.variance > 0 else 0.0
    return critical * (1 - 1 / (4 * df)), math.sqrt(1 + critical**2 / (2 * df))


def _error(found: Difference, runs: int, items: int | None) -> Crossed:
    """The error at hand with other numbers of runs on each side and of items."""
    spread = found.spread
    now, seeds = spread.error, sum(spread.seeds)
    df = pooled_df(spread.seeds, (runs, runs))
    if now.pairs and seeds > 0:
        seeds *= min(max(now.pairs.seeds * found.runs[0] / seeds, now.least**2), 1.0)
    if not found.items:
        paired = found.test == "seeds-paired-t"
        return Crossed(fixed=0.0, seeds=seeds / runs, df=runs - 1.0 if paired else df)
    # Half of what the residual explains, as in `crossed`: few seeds without effect may have one.
    alone = max(seeds - spread.both / found.items / 2, 0.0)
    items = items or found.items
    residual = spread.both / items / runs
    return crossed(
        over_seeds=alone / runs + residual,
        over_items=spread.items / items + residual,
        residual=residual,
        df=df,
        items=items,
    )


def _known(found: Difference) -> Known:
    return found.spread.error.df, found.spread.items_df


def _together(error: Crossed, known: Known) -> float:
    """Degrees of freedom with which such an error is known (Satterthwaite 1946); 1 at least."""
    parts = ((error.seeds, known[0]), (error.fixed, known[1]))
    below = sum(part**2 / df for part, df in parts if df > 0)
    return max(error.variance**2 / below, 1.0) if below > 0 else math.inf


def _chi(df: float, z: float) -> float:
    """A chi-squared variable by its degrees of freedom, at a normal deviate (Wilson & Hilferty
    1931)."""
    return max((1 - 2 / (9 * df) + z * math.sqrt(2 / (9 * df))) ** 3, 1e-6)


def _first(holds: Callable[[int], bool], counts: range) -> int | None:
    """The first of some numbers from which on it holds."""
    found = bisect_left(counts, True, key=holds)
    return counts[found] if found < len(counts) else None
