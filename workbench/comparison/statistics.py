"""Means and intervals over seeds, and what tests need of Student's t.

Its quantile is computed here because numpy and ``scipy.special`` take 0.1 s to import, and a
comparison of 500 runs has a second; a test compares it with ``scipy.stats.t``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import stdev

CONFIDENCE = 0.95

ROUNDING = 1e-9
"""Part of a score below which differences are rounding."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; ``low`` and ``high`` are None where there is none."""

    mean: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def half(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of some runs and the t interval around it: ``mean ± t * s / √n``, n - 1 degrees of
    freedom, where the mean over infinitely many seeds is expected. It is not cut at 0 or 1. One
    value gives no interval, and nor do equal ones: they do not say how far the next one may be."""
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    deviation = stdev(values)
    if not varies(deviation, max(map(abs, values))):
        return Interval(mean, None, None, n)
    half = t_quantile((1 + confidence) / 2, n - 1) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def varies(deviation: float, largest: float) -> bool:
    """Whether a standard deviation is more than rounding of values as large as this."""
    return deviation > ROUNDING * largest


@lru_cache(maxsize=256)  # with 10,000 degrees of freedom it takes 0.1 s
def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """What a Student t variable stays below with this probability, 0.5 to 1; else a ValueError."""
    if not 0.5 <= probability < 1 or degrees_of_freedom < 1:
        raise ValueError(f"no t quantile for p={probability}, df={degrees_of_freedom}")
    low, high = 0.0, math.pi / 2
    for _ in range(64):  # halves a double's whole precision
        middle = (low + high) / 2
        if _within(middle, degrees_of_freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees_of_freedom) * math.tan((low + high) / 2)


def _within(angle: float, degrees_of_freedom: int) -> float:
    """P(|T| <= √df · tan(angle)); Abramowitz & Stegun (1964), 26.7.3 and 26.7.4."""
    cosine = math.cos(angle)
    odd = degrees_of_freedom % 2 == 1
    term = cosine if odd else 1.0
    total = term if degrees_of_freedom > 1 else 0.0
    for k in range(3 if odd else 2, degrees_of_freedom - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    inside = math.sin(angle) * total
    return 2 / math.pi * (angle + inside) if odd else inside


def t_two_sided(t: float, degrees_of_freedom: int) -> float:
    """The probability that a Student t variable lies further from 0 than ``t``."""
    angle = math.atan2(abs(t), math.sqrt(degrees_of_freedom))
    return max(0.0, 1.0 - _within(angle, degrees_of_freedom))


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
