"""The error of a mean, or of a difference of means, over seeds and test items that are both drawn
at random and crossed: every seed is scored on every item.

Sizes and powers of what is chosen here are in docs/comparing.md, from ``benchmarks.coverage``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from workbench.comparison.statistics import (
    CONFIDENCE,
    ROUNDING,
    TINY,
    Interval,
    Scale,
    bounds,
    of_logs,
    t_quantile,
    t_two_sided,
    variance,
    z_quantile,
)

SMALLEST = 1e-12
"""The smallest p that is told from 0."""

ORDER, STEEP, UNEQUAL = 4, 2.0, 3.0
"""Powers of the quantiles and of the seeds' part in `Crossed.quantile`, and of a side's part in
`pooled_df`: those with which errors are closest to 5%, and to 0.6% as one of eight comparisons
asks, without losing more power than the tests allow."""

TOGETHER, SURE, LEAST_OF_PAIRS = 0.15, 0.002, 0.4
"""p of the correlation of seeds below which they count as pairs, and below which as nothing else.
In between, that part of the square of the half-width without pairs is left at least: the scores of
three seeds often go together by chance."""

LEAST_OF_SHARE = 0.7
"""Part of a variance of shares that is left where it is taken at another mean."""


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A variance in two parts, of which the second is known from few runs."""

    fixed: float
    """Variance that many items tell: over the items, less what of it the seeds' already holds."""
    seeds: float
    """Variance that few seeds tell, with ``df`` degrees of freedom."""
    df: float
    items: int | None = None
    pairs: Crossed | None = None
    """The same from the differences of pairs of runs, where these vary less."""
    least: float = 0.0
    """Part of the half-width without pairs that is left with them."""
    unlike: int | None = None
    """Number of items that are right or wrong: that few of them differ leaves open that more do."""

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
        Welch's degrees of freedom do the same at 5%, and err 2-fold at 0.6% with 3 seeds.
        """
        items = t_quantile(1 - tail, max(self.items - 1, 1)) if self.items else z_quantile(tail)
        if not self.part or self.df <= 0:
            return items
        more = t_quantile(1 - tail, self.df) ** ORDER - items**ORDER
        return float((items**ORDER + self.part**STEEP * more) ** (1 / ORDER))

    def half_width(self, tail: float) -> float:
        """Of the interval that leaves out ``tail`` on each side. By pairs where that is narrower,
        but not by as much as chance makes it."""
        alone = max(self.quantile(tail) * math.sqrt(self.variance), self.left_open(tail))
        if self.pairs is None:
            return alone
        return min(max(self.pairs.half_width(tail), self.least * alone), alone)

    def left_open(self, tail: float) -> float:
        """Half of the interval that the items would leave if none differed."""
        if not self.unlike:
            return 0.0
        # The bounds of the scale (`statistics.bounded`) make the binomial bound itself of it.
        rest = tail ** (1 / self.unlike)
        return unseen(self.unlike, tail) / math.sqrt(rest * (2 - rest))

    def p_value(self, estimate: float) -> float:
        """Two-sided: one minus the confidence of the interval that just reaches 0."""
        if self.variance <= TINY or estimate == 0:
            return 1.0 if estimate == 0 else 0.0
        reached = abs(estimate)
        if self.half_width(SMALLEST / 2) <= reached:
            return SMALLEST
        # False position (the Illinois variant) on the logarithm of p.
        low, high = math.log(SMALLEST), math.log(1 - ROUNDING)
        above, below = self.half_width(SMALLEST / 2) - reached, -reached
        for _ in range(60):
            at = (low * below - high * above) / (below - above)
            value = self.half_width(math.exp(at) / 2) - reached
            if abs(value) < 1e-11 * reached or high - low < 1e-12:
                break
            if value > 0:
                low, above, below = at, value, below / 2
            else:
                high, below, above = at, value, above / 2
        return math.exp(at)


def unseen(items: int, tail: float = (1 - CONFIDENCE) / 2) -> float:
    """The share of items of some kind of which, with the probability ``tail``, so many show none:
    the exact binomial bound."""
    return -math.expm1(math.log(tail) / items)


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
    shares: bool = False,
    right_or_wrong: bool = False,
) -> Crossed:
    """The error of the difference of the means of two sides, by the scores of their runs.

    Args:
        one: the score of each run, by seed; ``other`` those of the other side.
        over_items: variance of the difference over the items.
        residual: of that what belongs to seeds and items together.
        items: number of items.
        same_seeds: whether the runs of the two sides are pairs, if their scores go together.
        shares: whether scores lie between 0 and 1, where runs vary less near the ends.
        right_or_wrong: whether each item is.
    """
    runs = (len(one), len(other))
    own = (variance(one) / runs[0], variance(other) / runs[1])
    parts = _at_one_mean(own, (fmean(one), fmean(other)), over_items, items) if shares else own
    error = crossed(
        over_seeds=sum(parts),
        over_items=over_items,
        residual=residual,
        df=pooled_df(parts, runs),
        items=items,
    )
    if right_or_wrong:
        error = replace(error, unlike=items)
    if not same_seeds:
        return error
    # Chance alone makes differences vary by the residual, however alike a few scores may be.
    apart, df = sum(own), runs[0] - 1
    differences = variance([x - y for x, y in zip(one, other, strict=True)]) / runs[0]
    differences = max(differences, residual)
    p = _correlation_p(apart, differences, df)
    if p >= TOGETHER:
        return error
    fixed = max(over_items - residual, 0.0)
    pairs = Crossed(fixed=fixed, seeds=differences, df=df, items=items)
    return replace(error, pairs=pairs, least=0.0 if p < SURE else math.sqrt(LEAST_OF_PAIRS))


def _correlation_p(apart: float, differences: float, df: int) -> float:
    """Of the scores of pairs: by Pitman (1939), whether their sums vary more than their
    differences. ``apart`` is what the differences would vary by without correlation."""
    if differences <= TINY:
        return 0.5
    ratio = math.sqrt(max(2 * apart - differences, 0.0) / differences)
    return t_two_sided(math.sqrt(df) / 2 * (ratio - 1 / ratio), df) / 2 if ratio > 1 else 0.5


def _at_one_mean(
    parts: tuple[float, float], means: tuple[float, float], over_items: float, items: int
) -> tuple[float, float]:
    """The variances of the mean scores of two sides as they would be if both sides were as good.

    A share varies the less the nearer it is to 0 or 1, its logit about as much everywhere. Three
    runs that happen to lie high vary little and would seem surely better than a side that does not
    vary, so the mean is that of both, weighted by how well they are known. Where that is far away
    the logits tell the two apart, so shares count as changing twice as much at most as on the way.
    """
    known = [1 / (part + over_items / 10 + TINY) for part in parts]
    common = math.fsum(w * mean for w, mean in zip(known, means, strict=True)) / math.fsum(known)
    end = 1 / (items + 1)  # about one item away from 0 and 1 at least
    there = min(max(common, end), 1 - end)

    def at_common(part: float, mean: float) -> float:
        here = min(max(mean, end), 1 - end)
        steep = there * (1 - there)
        if there != here:
            logits = math.log(there / (1 - there)) - math.log(here / (1 - here))
            steep = min(steep, 2 * (there - here) / logits)
        return part * max((steep / (here * (1 - here))) ** 2, LEAST_OF_SHARE)

    return at_common(parts[0], means[0]), at_common(parts[1], means[1])


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
    # A variance over seeds that is small by chance makes nothing narrower than the texts do.
    error = replace(error, fixed=max(error.fixed, over_items - error.seeds))
    if items < 2 or (error.variance < TINY and scale != "share"):
        return Interval(mean, None, None, n)
    quantile = error.quantile((1 - confidence) / 2)
    if scale == "ratio":
        return of_logs(logs, quantile, error.variance)
    return Interval(mean, *bounds(mean, quantile, error.variance, scale, items), n)
