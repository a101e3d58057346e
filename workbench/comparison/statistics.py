"""Means and their intervals, and what the tests need of Student's t.

Its quantile is computed here because numpy and ``scipy.special`` take 0.1 s to import, and a
comparison of 500 runs has a second; a test compares it with ``scipy.stats.t``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

from workbench.recipe.catalogue import METRICS, is_share

CONFIDENCE = 0.95

ROUNDING = 1e-9
"""Part of a score below which differences are rounding."""

TINY = 1e-300

Scale = Literal["plain", "share", "ratio"]
"""How intervals of a metric are bounded: not at all; between 0 and 1; above 0, as exponentials are,
whose logarithms are averaged."""


def scale_of(metric: str) -> Scale:
    """How intervals of this metric are bounded."""
    if metric in METRICS and METRICS[metric].exponential:
        return "ratio"
    return "share" if is_share(metric) else "plain"


def variance(values: Iterable[float]) -> float:
    """The sample variance, exactly 0 where all are equal: that of the standard library reckons in
    fractions and takes 75 us for five scores, which 1,770 pairs of recipes make a second."""
    first, *rest = values
    apart = [0.0, *(value - first for value in rest)]
    mean = math.fsum(apart) / len(apart)
    return math.fsum((each - mean) * (each - mean) for each in apart) / len(rest)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How often a difference was looked at while seeds were added, and what that costs."""

    count: int
    level: float
    """What p by itself has to be at most at the last look."""
    note: str


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; ``low`` and ``high`` are None where there is none."""

    mean: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def ends(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def interval(
    values: Sequence[float], confidence: float = CONFIDENCE, scale: Scale = "plain"
) -> Interval:
    """The mean of some runs and its interval over seeds, on this test set: where the mean of very
    many seeds would lie.

    ``mean ± t * s / √n`` with n - 1 degrees of freedom; of shares the interval of Wilson (1927)
    with that variance, of exponentials the t interval of the logarithms. One value gives no
    interval, and nor do equal ones: they do not say how far the next one may be.
    """
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    mean = math.fsum(values) / n
    if n == 1 or not varies(math.sqrt(variance(values)), max(map(abs, values))):
        return Interval(mean, None, None, n)
    quantile = t_quantile((1 + confidence) / 2, n - 1)
    if scale == "ratio" and min(values) > 0:
        logs = [math.log(value) for value in values]
        return of_logs(logs, quantile, variance(logs) / n)
    return Interval(mean, *bounds(mean, quantile, variance(values) / n, scale, None), n)


def of_logs(logs: Sequence[float], quantile: float, error: float) -> Interval:
    """Around the geometric mean; ``error`` is the variance of the mean of the logarithms."""
    half, centre = quantile * math.sqrt(error), math.fsum(logs) / len(logs)
    mean, low, high = (math.exp(centre + shift) for shift in (0, -half, half))
    return Interval(mean, low, high, len(logs))


def bounds(
    mean: float, quantile: float, error: float, scale: Scale, items: int | None
) -> tuple[float, float]:
    """``error`` is the variance of the mean. Of a share it says as much as a number of items would:
    Wilson's interval for that many stays between 0 and 1, and has a width where all are right."""
    if scale != "share" or not 0 <= mean <= 1:
        half = quantile * math.sqrt(error)
        return mean - half, mean + half
    spread = mean * (1 - mean)
    count = spread / error if error > TINY and spread > TINY else float(items or 1)
    centre = (mean + quantile**2 / (2 * count)) / (1 + quantile**2 / count)
    within = math.sqrt(spread / count + (quantile / (2 * count)) ** 2)
    half = quantile * within / (1 + quantile**2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def bounded(estimate: float, low: float, high: float, width: float) -> tuple[float, float]:
    """The interval of a difference of scores, kept to what scores on a scale of that width can
    differ by.

    A score interval, as Wilson's is for a share: the variance is that at 0 times ``1 - D²``, as of
    numbers from -1 to 1 whose mean is ``D``. It leaves out 0 exactly where the given one does.
    """
    if math.isinf(width):
        return low, high
    centre, half = (low + high) / 2 / width, (high - low) / 2 / width
    reach = half * math.sqrt(max(1 + half**2 - centre**2, 0.0))
    ends = ((centre + sign * reach) / (1 + half**2) * width for sign in (-1, 1))
    low, high = (max(min(end, width), -width) for end in ends)
    return min(low, estimate), max(high, estimate)


def z_quantile(tail: float) -> float:
    return -NormalDist().inv_cdf(tail)


def varies(deviation: float, largest: float) -> bool:
    """Whether a standard deviation is more than rounding of values as large as this."""
    return deviation > ROUNDING * largest


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """What a Student t variable stays below with this probability, 0.5 to 1; else a ValueError."""
    if not 0.5 <= probability < 1 or not degrees_of_freedom > 0:
        raise ValueError(f"no t quantile for p={probability}, df={degrees_of_freedom}")
    if probability == 0.5:
        return 0.0
    tails = 2 * (1 - probability)
    t, df = -NormalDist().inv_cdf(1 - probability), degrees_of_freedom
    of_density = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    for _ in range(100):  # Newton's method on logarithms, in which the tail is concave
        within = t_two_sided(t, df)
        density = 2 * math.exp(of_density - (df + 1) / 2 * math.log1p(t * t / df))
        step = within * math.log(within / tails) / (density * t)
        t *= math.exp(step)
        if abs(step) < 1e-13:
            break
    return t


def t_two_sided(t: float, degrees_of_freedom: float) -> float:
    """The probability that a Student t variable lies further from 0 than ``t``: an incomplete beta
    function (Abramowitz & Stegun 1964, 26.7.1 and 26.5.8)."""
    if t == 0:
        return 1.0
    a, b, square = degrees_of_freedom / 2, 0.5, t * t
    x, rest = (
        degrees_of_freedom / (degrees_of_freedom + square),
        square / (degrees_of_freedom + square),
    )
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return max(0.0, 1 - front * _fraction(b, a, rest) / b)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by the method of Lentz."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 1000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the same order: the chance that any of those called
    significant is not stays below the level, whatever depends on what (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
