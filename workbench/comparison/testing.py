"""Is one recipe better than another, and by how much: the tests behind the verdicts.

A score varies with the seed and with the items of the split: where the scores of single items are
known, both count. What each test assumes stands in docs/comparing.md, what it holds in simulation
in ``benchmarks/coverage.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance
from typing import TYPE_CHECKING, Literal

from workbench.comparison.statistics import CONFIDENCE, Looks, t_quantile, t_two_sided, varies

if TYPE_CHECKING:
    import numpy as np

    from workbench.comparison.items import ItemScores

Test = Literal[
    "mcnemar-exact",
    "mcnemar-mid-p",
    "items-t",
    "seeds-and-items",
    "seeds-paired-t",
    "seeds-welch",
]

TESTS: dict[Test, str] = {
    "mcnemar-exact": "McNemar's test (exact)",
    "mcnemar-mid-p": "McNemar's test (mid-p)",
    "items-t": "a paired t test over the test items",
    "seeds-and-items": "an interval over seeds and test items together",
    "seeds-paired-t": "a paired t test over the seeds (the test items as they are)",
    "seeds-welch": "Welch's t test over the seeds (the test items as they are)",
}

FEW_DISCORDANT = 25
"""Items on which exactly one of two runs is right; below this many the exact McNemar test."""

Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_TINY = 1e-300


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What a difference varies with; a forecast of another number of seeds or items needs it."""

    seeds: tuple[float, float] = (math.nan, math.nan)
    """Variance between the runs of each side; nan where there is one run."""
    items: float = 0.0
    """Variance between items of the difference that all seeds share; 0 where unknown."""
    both: float = 0.0
    """Variance of what is neither the seed's nor the item's, both sides together."""
    over_seeds: float = 0.0
    """Variance of the difference over the seeds that there are; 0 where it is not covered."""
    over_items: float = 0.0
    """The same over the items."""
    df: int | None = None  # degrees of freedom of `over_seeds`


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first side minus the second, in the units of the metric.

    Interval and p-value are None where chance cannot be told: with one run on a side, or where
    nothing varies, as two seeds that differ by the same often do on a few hundred test items.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    test: Test
    covers: tuple[Literal["seeds", "items"], ...]
    runs: tuple[int, int]
    items: int | None
    grouped: bool = False
    """Whether an item is a group of examples."""
    effect: str | None
    effect_size: float | None
    spread: Spread
    looks: Looks | None = None
    """Where p and interval pay for them."""


def single_runs(one: ItemScores, other: ItemScores) -> Difference:
    """One run against another on the same items: what holds for these two adapters.

    For scores that are right or wrong the test of McNemar (1947) on the items that exactly one
    gets right, exact below 25 of them and mid-p (Fagerland, Lydersen & Laake 2013) from there on,
    with the interval of Agresti & Min (2005). Otherwise a paired t test over the items.
    """
    by_item = (one.values - other.values)[0]
    if one.right_or_wrong and other.right_or_wrong:
        return _right_or_wrong(by_item, grouped=one.grouped)
    count = len(by_item)
    estimate, deviation = float(by_item.mean()), _deviation(by_item)
    error = deviation / math.sqrt(count)
    known = varies(deviation, max(one.largest, other.largest))
    half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * error if known else None
    return Difference(
        estimate=estimate,
        low=None if half is None else estimate - half,
        high=None if half is None else estimate + half,
        p_value=t_two_sided(estimate / error, count - 1) if known else None,
        test="items-t",
        covers=("items",) if known else (),
        runs=(1, 1),
        items=count,
        grouped=one.grouped,
        effect="Cohen's dz over items",
        effect_size=estimate / deviation if known else None,
        spread=Spread(items=deviation**2, over_items=error**2),
    )


def _right_or_wrong(by_item: np.ndarray, *, grouped: bool) -> Difference:
    count = len(by_item)
    better, worse = int((by_item > 0).sum()), int((by_item < 0).sum())
    test, p = mcnemar(better, worse)
    centre = (better - worse) / (count + 2)
    over_items = _shrunk_variance(better + worse, centre, count)
    half = Z * math.sqrt(over_items)
    return Difference(
        estimate=float(by_item.mean()),
        low=centre - half,
        high=centre + half,
        p_value=p,
        test=test,
        covers=("items",),
        runs=(1, 1),
        items=count,
        grouped=grouped,
        effect="odds ratio of the items that one alone gets right",
        effect_size=(better + 0.5) / (worse + 0.5),  # halves keep it finite where a count is 0
        spread=Spread(items=count * over_items, over_items=over_items),
    )


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def mcnemar(better: int, worse: int) -> tuple[Test, float]:
    """The two-sided p-value of two counts that would be equally large by chance, and its kind."""
    count, low = better + worse, min(better, worse)
    below = math.fsum(_half_binomial(count, k) for k in range(low))
    at = _half_binomial(count, low)
    if count < FEW_DISCORDANT:
        return "mcnemar-exact", min(1.0, 2 * (below + at))
    return "mcnemar-mid-p", min(1.0, 2 * below + at)


def _half_binomial(n: int, k: int) -> float:
    return math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    )


def _shrunk_variance(squares: float, centre: float, count: int) -> float:
    """Variance of a mean of right-or-wrong differences, as if two more items had been seen, one
    for each side: without them no disagreement would mean no doubt (Agresti & Min 2005)."""
    return ((squares + 1) / (count + 2) - centre**2) / (count + 2)


def several_runs(one: ItemScores, other: ItemScores) -> Difference:
    """Recipes with two or more runs each: seeds and test items are both samples of more.

    The half-width is √(t² Vs + z² Vi): Vs the variance of the difference of the means over seeds
    (Welch 1947, degrees of freedom rounded down), Vi that of the difference over items. The part
    that belongs to a seed and an item together is in both, which errs on the wide side. Seeds of
    the two sides count as independent draws.
    """
    estimate, count = one.mean - other.mean, one.values.shape[1]
    by_item = one.by_item - other.by_item
    over_items = _deviation(by_item) ** 2 / count
    if one.right_or_wrong and other.right_or_wrong:
        centre = float(by_item.sum()) / (count + 2)
        over_items = _shrunk_variance(float((by_item**2).sum()), centre, count)
    runs = (len(one.values), len(other.values))
    seeds = (one.seed_variance, other.seed_variance)
    over_seeds = seeds[0] / runs[0] + seeds[1] / runs[1]
    residual = (one.residual_variance, other.residual_variance)
    alone = max(count * over_items - residual[0] / runs[0] - residual[1] / runs[1], 0.0)
    df = whole_welch(seeds, runs)
    known = varies(math.sqrt(over_seeds + over_items), max(one.largest, other.largest))
    half = half_width(over_seeds, over_items, df) if known else None
    effect, size = _effect(one, other)
    return Difference(
        estimate=estimate,
        low=None if half is None else estimate - half,
        high=None if half is None else estimate + half,
        p_value=p_value(estimate, over_seeds, over_items, df) if known else None,
        test="seeds-and-items",
        covers=("seeds", "items") if known else (),
        runs=runs,
        items=count,
        grouped=one.grouped,
        effect=effect,
        effect_size=size,
        spread=Spread(
            seeds=seeds,
            items=alone,
            both=sum(residual),
            over_seeds=over_seeds,
            over_items=over_items,
            df=df,
        ),
    )


def seeds_only(one: Mapping[int, float], other: Mapping[int, float]) -> Difference:
    """Recipes of which only the scores of whole runs are known, by seed: a paired t test where both
    have the same seeds, else Welch's, the test items as they are. With one run on a side, or where
    no seed changes anything, there is a difference and no interval."""
    runs = (len(one), len(other))
    estimate = fmean(one.values()) - fmean(other.values())
    enough, paired = min(runs) > 1, one.keys() == other.keys()
    both = seeds = (math.nan, math.nan)
    if enough:
        both = seeds = variance(one.values()), variance(other.values())
        # The variance of paired differences is all of one side's, with n - 1 degrees of freedom.
        seeds = (variance(one[s] - other[s] for s in one), 0.0) if paired else both
    over_seeds = seeds[0] / runs[0] + seeds[1] / runs[1]
    largest = max(map(abs, [*one.values(), *other.values()]))
    known = enough and varies(math.sqrt(over_seeds), largest)
    df = whole_welch(seeds, runs) if known else None
    half = half_width(over_seeds, 0.0, df) if df else None
    deviation = math.sqrt(sum(both) / 2)
    return Difference(
        estimate=estimate,
        low=None if half is None else estimate - half,
        high=None if half is None else estimate + half,
        p_value=p_value(estimate, over_seeds, 0.0, df) if df else None,
        test="seeds-paired-t" if paired else "seeds-welch",
        covers=("seeds",) if known else (),
        runs=runs,
        items=None,
        effect="Cohen's d over seeds" if enough else None,
        effect_size=estimate / deviation if enough and deviation > 0 else None,
        spread=Spread(seeds=seeds, over_seeds=over_seeds, df=df),
    )


def whole_welch(variances: tuple[float, float], runs: tuple[int, int]) -> int:
    """Degrees of freedom of Welch (1947), rounded down: a fraction of them is worth nothing at 2
    seeds, where the approximation is at its worst."""
    parts = [v / n for v, n in zip(variances, runs, strict=True)]
    below = sum(part**2 / (n - 1) for part, n in zip(parts, runs, strict=True))
    if below < _TINY:
        return max(1, sum(runs) - 2)
    return max(1, math.floor(sum(parts) ** 2 / below + 1e-9))


def half_width(over_seeds: float, over_items: float, df: int, comparisons: float = 1) -> float:
    """Half of the 95% interval of a difference; of one of several, of that which all of them hold
    together by Bonferroni, the strictest step of Holm's correction."""
    t, z = t_quantile(_one_sided(comparisons), df), z_quantile(comparisons)
    return math.sqrt(t**2 * over_seeds + z**2 * over_items)


def z_quantile(comparisons: float) -> float:
    """What t becomes with very many runs."""
    return NormalDist().inv_cdf(_one_sided(comparisons))


def _one_sided(comparisons: float) -> float:
    return 1 - (1 - CONFIDENCE) / (2 * comparisons)


def p_value(estimate: float, over_seeds: float, over_items: float, df: int) -> float:
    """One minus the confidence of the interval that just reaches 0."""
    if estimate == 0:
        return 1.0
    if over_seeds < _TINY:
        z = abs(estimate) / math.sqrt(over_items) if over_items > _TINY else math.inf
        return math.erfc(z / math.sqrt(2))
    low, high = 0.0, abs(estimate) / math.sqrt(over_seeds)
    for _ in range(60):
        t = (low + high) / 2
        tail = max(t_two_sided(t, df), 1e-15)
        z = NormalDist().inv_cdf(1 - tail / 2)
        reached = t**2 * over_seeds + z**2 * over_items >= estimate**2
        low, high = (low, t) if reached else (t, high)
    return t_two_sided(high, df)


def _effect(one: ItemScores, other: ItemScores) -> tuple[str, float | None]:
    if one.right_or_wrong and other.right_or_wrong:
        angles = [2 * math.asin(math.sqrt(side.mean)) for side in (one, other)]
        return "Cohen's h", angles[0] - angles[1]
    by_item = one.by_item - other.by_item
    deviation = _deviation(by_item)
    return "Cohen's dz over items", float(by_item.mean()) / deviation if deviation > 0 else None
