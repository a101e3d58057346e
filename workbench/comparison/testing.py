"""Is one recipe better than another, and by how much: the tests behind the verdicts.

A score varies with the seed and with the items of the split: where the scores of single items are
known, both count. What each test assumes stands in docs/comparing.md, what it holds in simulation
in ``benchmarks/coverage.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from workbench.comparison.crossed import Crossed, error_of_seeds, of_mean, unseen, welch_df
from workbench.comparison.statistics import CONFIDENCE, TINY, Looks, variance, varies

if TYPE_CHECKING:
    import numpy as np

    from workbench.comparison.items import ItemScores

Drawn = Literal["seeds", "items"]
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
    "seeds-and-items": "a t test over seeds and test items, crossed",
    "seeds-paired-t": "a paired t test over the seeds (the test items as they are)",
    "seeds-welch": "Welch's t test over the seeds (the test items as they are)",
}

FEW_DISCORDANT = 25
"""Items on which exactly one of two runs is right; below this many the exact McNemar test."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What a difference varies with; a forecast of another number of seeds or items needs it."""

    error: Crossed
    seeds: tuple[float, float] = (math.nan, math.nan)
    """Variance between the runs of each side; nan where there is one run."""
    items: float = 0.0
    """Variance between items of the difference that all seeds share; 0 where unknown."""
    items_df: float = math.inf
    """Degrees of freedom of a variance as well known as this one: few items that differ tell
    little, however many there are."""
    both: float = 0.0
    """Variance of what is neither the seed's nor the item's, both sides together."""

    def half_width(self, comparisons: float = 1) -> float:
        """Half of the 95% interval; of one of several, of that which all of them hold together by
        Bonferroni, the strictest step of Holm's correction."""
        return self.error.half_width((1 - CONFIDENCE) / 2 / comparisons)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first side minus the second, in the units of the metric.

    Interval and p-value are None where chance cannot be told: with one run on a side, or where
    nothing varies, as two seeds that differ by the same often do on a few hundred test items.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    given_p: float | None = None
    """Where it is not that of the error: of counts, or with looks paid for."""
    test: Test
    covers: tuple[Drawn, ...]
    runs: tuple[int, int]
    items: int | None
    grouped: bool = False
    """Whether an item is a group of examples."""
    effect: str | None
    effect_size: float | None
    spread: Spread
    looks: Looks | None = None
    """Where p and interval pay for them."""

    @cached_property
    def p_value(self) -> float | None:
        """Found when it is asked for: an interval costs 1/40 of it, and of most pairs is enough."""
        if self.given_p is not None or self.low is None:
            return self.given_p
        return self.spread.error.p_value(self.estimate)


def single_runs(one: ItemScores, other: ItemScores) -> Difference:
    """One run against another on the same items: what holds for these two adapters.

    For scores that are right or wrong the test of McNemar (1947) on the items that exactly one
    gets right, exact below 25 of them and mid-p (Fagerland, Lydersen & Laake 2013) from there on,
    with the interval of Agresti & Min (2005). Otherwise a paired t test over the items.
    """
    by_item = (one.values - other.values)[0]
    if one.right_or_wrong and other.right_or_wrong:
        return _right_or_wrong(by_item, grouped=one.grouped)
    count, deviation = len(by_item), _deviation(by_item)
    error = Crossed(fixed=deviation**2 / count, seeds=0.0, df=0.0, items=count)
    known = varies(deviation, max(one.largest, other.largest))
    return _difference(
        float(by_item.mean()),
        Spread(items=deviation**2, items_df=_items_df(by_item), error=error),
        known=known,
        test="items-t",
        covers=("items",),
        runs=(1, 1),
        items=count,
        grouped=one.grouped,
        effect="Cohen's dz over items",
        effect_size=float(by_item.mean()) / deviation if known else None,
    )


def _difference(
    estimate: float, spread: Spread, *, known: bool, covers: tuple[Drawn, ...], **more: Any
) -> Difference:
    half = spread.half_width() if known else None
    return Difference(
        estimate=estimate,
        low=None if half is None else estimate - half,
        high=None if half is None else estimate + half,
        covers=covers if known else (),
        spread=spread,
        **more,
    )


def _right_or_wrong(by_item: np.ndarray, *, grouped: bool) -> Difference:
    count = len(by_item)
    better, worse = int((by_item > 0).sum()), int((by_item < 0).sum())
    test, p = mcnemar(better, worse)
    # As if two more items had been seen, one for each side (Agresti & Min 2005): without them no
    # disagreement would mean no doubt.
    centre = (better - worse) / (count + 2)
    over_items = ((better + worse + 1) / (count + 2) - centre**2) / (count + 2)
    error = Crossed(fixed=over_items, seeds=0.0, df=0.0, unlike=count)
    # Of another number of items without those two.
    alone = max((better + worse) / count - ((better - worse) / count) ** 2, unseen(count))
    spread = Spread(items=alone, items_df=_items_df(by_item), error=error)
    half = spread.half_width()
    return Difference(
        estimate=float(by_item.mean()),
        low=centre - half,
        high=centre + half,
        given_p=p,
        test=test,
        covers=("items",),
        runs=(1, 1),
        items=count,
        grouped=grouped,
        effect="odds ratio of the items that one alone gets right",
        effect_size=(better + 0.5) / (worse + 0.5),  # halves keep it finite where a count is 0
        spread=spread,
    )


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _items_df(values: np.ndarray) -> float:
    """Degrees of freedom of a normal sample whose variance is as well known: by the kurtosis."""
    centred = values - values.mean()
    square = float((centred**2).mean())
    if square < TINY:
        return math.inf
    excess = float((centred**4).mean()) / square**2 - 1
    return max(2 * len(values) / excess, 1.0) if excess > 0 else math.inf


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


def several_runs(one: ItemScores, other: ItemScores) -> Difference:
    """Recipes with two or more runs each: seeds and test items are both samples of more, and every
    seed is tested on every item.

    The seeds of the two sides count as independent draws; where both have the same ones and their
    scores go together, as pairs.
    """
    count, runs = one.values.shape[1], (len(one.values), len(other.values))
    by_item = one.by_item - other.by_item
    over_items = _deviation(by_item) ** 2 / count
    if right_or_wrong := one.right_or_wrong and other.right_or_wrong:
        over_items = max(over_items, 1 / (count + 2) ** 2)  # as if they had disagreed on one item
    residuals = (one.residual_variance, other.residual_variance)
    residual = of_mean(residuals, runs)
    shared = one.seeds if one.seeds == other.seeds else ()
    spread = Spread(
        seeds=(one.seed_variance, other.seed_variance),
        items=max(count * over_items - residual, unseen(count) if right_or_wrong else 0.0),
        items_df=_items_df(by_item),
        both=sum(residuals),
        error=error_of_seeds(
            one.run_scores,
            other.run_scores,
            over_items=over_items,
            residual=residual / count,
            items=count,
            same_seeds=bool(shared),
            shares=one.share and other.share,
            right_or_wrong=right_or_wrong,
        ),
    )
    effect, size = _effect(one, other)
    return _difference(
        one.mean - other.mean,
        spread,
        known=varies(math.sqrt(spread.error.variance), max(one.largest, other.largest)),
        test="seeds-and-items",
        covers=("seeds", "items"),
        runs=runs,
        items=count,
        grouped=one.grouped,
        effect=effect,
        effect_size=size,
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
    over_seeds = of_mean(seeds, runs)
    known = enough and varies(
        math.sqrt(over_seeds), max(map(abs, [*one.values(), *other.values()]))
    )
    df = welch_df((seeds[0] / runs[0], seeds[1] / runs[1]), runs) if known else 0.0
    deviation = math.sqrt(sum(both) / 2)
    return _difference(
        estimate,
        Spread(seeds=seeds, error=Crossed(fixed=0.0, seeds=over_seeds, df=df)),
        known=known,
        test="seeds-paired-t" if paired else "seeds-welch",
        covers=("seeds",),
        runs=runs,
        items=None,
        effect="Cohen's d over seeds" if enough else None,
        effect_size=estimate / deviation if enough and deviation > 0 else None,
    )


def _effect(one: ItemScores, other: ItemScores) -> tuple[str, float | None]:
    if one.right_or_wrong and other.right_or_wrong:
        angles = [2 * math.asin(math.sqrt(side.mean)) for side in (one, other)]
        return "Cohen's h", angles[0] - angles[1]
    by_item = one.by_item - other.by_item
    deviation = _deviation(by_item)
    return "Cohen's dz over items", float(by_item.mean()) / deviation if deviation > 0 else None
