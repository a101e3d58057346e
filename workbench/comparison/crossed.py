"""The error of a mean, or of a difference of means, over seeds and test items that are both drawn
at random and crossed: every seed is scored on every item.

Sizes and powers of what is chosen here are in docs/comparing.md, from ``benchmarks.coverage``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import variance

from workbench.comparison.statistics import (
    CONFIDENCE,
    ROUNDING,
    TINY,
    Interval,
    Scale,
    bounds,
    of_logs,
    t_quantile,
    z_quantile,
)

SMALLEST = 1e-12
"""The smallest p that is told from 0."""

STEEP, UNEQUAL = 1.6, 3.0
"""Powers of the seeds' part in `Crossed.quantile` and of a side's in `pooled_df`: of 1.5 to 2.5 and
2 to 4 those with which errors are closest to 5%, and to 0.6% as one of eight comparisons asks,
without losing more power than the tests allow."""

TOGETHER = 0.05
"""p of the correlation of seeds up to which they count as pairs."""


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A variance in two parts, of which the second is known from few runs."""

    fixed: float
    """Variance that many items tell: over the items, less what of it the seeds' already holds."""
    seeds: float
    """Variance that few seeds tell, with ``df`` degrees of freedom."""
    df: float
    items: int | None = None
    paired: bool = False
    """Whether the seeds' is that of the differences of pairs."""

    @property
    def variance(self) -> float:
        return self.fixed + self.seeds

    @property
    def part(self) -> float:
        """Of the variance what few seeds tell."""
        return self.seeds / self.variance if self.seeds > 0 else 0.0

    def quantile(self, tail: float) -> float:
        """How many standard errors are exceeded with the probability ``tail`` on one side.

        Between the t of the seeds and that of the items, by the seeds' part of the variance.
        Welch's degrees of freedom do the same at 5%, and err 4-fold at 0.6% with 3 seeds.
        """
        items = t_quantile(1 - tail, max(self.items - 1, 1)) if self.items else z_quantile(tail)
        if not self.part or self.df <= 0:
            return items
        more = t_quantile(1 - tail, self.df) ** 2 - items**2
        return math.sqrt(items**2 + self.part**STEEP * more)

    def half_width(self, tail: float) -> float:
        return self.quantile(tail) * math.sqrt(self.variance)

    def p_value(self, estimate: float) -> float:
        """Two-sided: one minus the confidence of the interval that just reaches 0."""
        if self.variance <= TINY or estimate == 0:
            return 1.0 if estimate == 0 else 0.0
        errors = abs(estimate) / math.sqrt(self.variance)
        if self.quantile(SMALLEST / 2) <= errors:
            return SMALLEST
        # False position (the Illinois variant) on the logarithm of p.
        low, high = math.log(SMALLEST), math.log(1 - ROUNDING)
        above, below = self.quantile(SMALLEST / 2) - errors, -errors
        for _ in range(60):
            at = (low * below - high * above) / (below - above)
            value = self.quantile(math.exp(at) / 2) - errors
            if abs(value) < 1e-11 * errors or high - low < 1e-12:
                break
            if value > 0:
                low, above, below = at, value, below / 2
            else:
                high, below, above = at, value, above / 2
        return math.exp(at)


def crossed(
    *, over_seeds: float, over_items: float, residual: float, df: float, items: int | None
) -> Crossed:
    """The error of a mean over crossed seeds and items.

    What belongs to a seed and an item together (``residual``) is in the variance over seeds and in
    that over items: it is taken off once, half from each. Half, because with few seeds the whole
    would call a seed without effect what 3 draws hide by chance. The items alone add 0 at least.
    """
    return Crossed(
        fixed=max(over_items - residual, 0.0) + residual / 2,
        seeds=max(over_seeds - residual / 2, 0.0),
        df=df,
        items=items,
    )


def error_of_seeds(
    one: Sequence[float],
    other: Sequence[float],
    *,
    over_items: float,
    residual: float,
    items: int,
    same_seeds: bool,
) -> Crossed:
    """The error of the difference of the means of two sides, by the scores of their runs.

    Args:
        one: the score of each run, by seed; ``other`` those of the other side.
        over_items: variance of the difference over the items.
        residual: of that what belongs to seeds and items together.
        items: number of items.
        same_seeds: whether the runs of the two sides are pairs, if their scores go together.
    """
    runs = (len(one), len(other))
    parts = (variance(one) / runs[0], variance(other) / runs[1])
    if same_seeds:
        differences = variance([x - y for x, y in zip(one, other, strict=True)]) / runs[0]
        if _go_together(sum(parts), differences, runs[0] - 1):
            return Crossed(
                fixed=max(over_items - residual, 0.0),
                seeds=max(differences, residual),
                df=runs[0] - 1,
                items=items,
                paired=True,
            )
    return crossed(
        over_seeds=sum(parts),
        over_items=over_items,
        residual=residual,
        df=pooled_df(parts, runs),
        items=items,
    )


def _go_together(apart: float, differences: float, df: int) -> bool:
    """Whether the scores of pairs correlate: Pitman (1939), that their sums vary more than their
    differences. ``apart`` is what the differences would vary by without correlation."""
    together = max(2 * apart - differences, 0.0)
    ratio = math.sqrt(together / differences) if differences > TINY else 0.0
    return ratio > 1 and math.sqrt(df) / 2 * (ratio - 1 / ratio) > t_quantile(1 - TOGETHER, df)


def of_mean(variances: tuple[float, float], runs: tuple[int, int]) -> float:
    """The variance of the difference of two means."""
    return variances[0] / runs[0] + variances[1] / runs[1]


def pooled_df(parts: tuple[float, float], runs: tuple[int, int]) -> float:
    """Degrees of freedom of the sum of two variances: those of both together where they are alike
    and those of the one where it is all. Welch's (1947) are the same with the square in the place
    of `UNEQUAL`, and with 3 seeds that vary alike leave a third of the 5% unused."""
    total, most = sum(parts), sum(runs) - 2
    if total < TINY:
        return most
    pairs = zip(parts, runs, strict=True)
    below: float = sum((part / total) ** UNEQUAL / (n - 1) for part, n in pairs)
    return min(1 / below, most)


def welch_df(parts: tuple[float, float], runs: tuple[int, int]) -> float:
    """Degrees of freedom of the sum of two variances (Welch 1947)."""
    pairs = zip(parts, runs, strict=True)
    return sum(parts) ** 2 / sum(part**2 / (n - 1) for part, n in pairs)


def population_interval(
    values: Sequence[float],
    *,
    over_items: float,
    residual: float,
    items: int,
    scale: Scale = "plain",
    confidence: float = CONFIDENCE,
) -> Interval:
    """The mean of some runs and its interval over seeds and test items: where the mean of very
    many seeds on very many texts would lie. Of a single run it is over the texts alone.

    Args:
        values: the score of each run.
        over_items: variance over items of the mean over runs, divided by their number.
        residual: variance of what is neither the run's nor the item's, divided by their number:
            what a run's score varies by even if its seed changes nothing. Both of logarithms
            where the scale is ``ratio``.
        items: number of items, or of groups.
    """
    n = len(values)
    mean = math.fsum(values) / n
    logs = [math.log(value) for value in values] if scale == "ratio" else list(values)
    seeds = variance(logs) / n if n > 1 else 0.0
    error = crossed(
        over_seeds=seeds,
        over_items=over_items,
        residual=residual / n if n > 1 else 0.0,
        df=n - 1,
        items=items,
    )
    if items < 2 or (error.variance < TINY and scale != "share"):
        return Interval(mean, None, None, n)
    quantile = error.quantile((1 - confidence) / 2)
    if scale == "ratio":
        return of_logs(logs, quantile, error.variance)
    return Interval(mean, *bounds(mean, quantile, error.variance, scale, items), n)
