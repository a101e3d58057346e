"""Statistics of scores (seeds, data sets), their bootstrap and a permutation test, as in Agarwal et
al. (2021), *Deep reinforcement learning at the edge of the statistical precipice*."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from workbench.comparison.statistics import CONFIDENCE

SAMPLES = 2000
"""Bootstrap samples, as many as rliable draws for a profile; always the same ones."""
PERMUTATIONS, _AT_ONCE = 10_000, 1000
_TRIMMED = 0.25

Statistic = Callable[..., np.ndarray]
"""From scores (..., seeds, data sets) of one method, or of two, a number for each of the first."""


class Estimate(NamedTuple):
    value: float
    low: float | None = None
    high: float | None = None
    """None with one seed, which says nothing of the next."""


def permutation_test(one: np.ndarray, other: np.ndarray, permutations: int = PERMUTATIONS) -> float:
    """How often the probability of improvement is at least as far from a half when the runs of each
    data set are dealt out to the two methods by chance: unlike the percentiles, it holds its level
    with three seeds too. That of one data set is the test of Wilcoxon, Mann and Whitney."""
    rng = np.random.default_rng(0)
    pooled, seeds = np.concatenate([one, other]), len(one)
    found = abs(float(improvement(one, other)) - 0.5) - 1e-9
    further = 0
    for _ in range(permutations // _AT_ONCE):
        order = rng.random((_AT_ONCE, *pooled.shape)).argsort(axis=1)
        dealt = np.take_along_axis(pooled[None], order, axis=1)
        by_chance = improvement(dealt[:, :seeds], dealt[:, seeds:])
        further += int((abs(by_chance - 0.5) >= found).sum())
    return (1 + further) / (1 + permutations)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """The mean without the lowest and the highest quarter of all runs on all data sets."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = int(_TRIMMED * flat.shape[-1])
    means: np.ndarray = flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)
    return means


def mean(scores: np.ndarray) -> np.ndarray:
    means: np.ndarray = scores.mean(axis=(-2, -1))
    return means


def improvement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of the pairs of runs on the same data set in which the first scores higher, ties for
    half; the mean over data sets."""
    left, right = one[..., :, None, :], other[..., None, :, :]
    shares: np.ndarray = ((left > right) + 0.5 * (left == right)).mean(axis=(-3, -2, -1))
    return shares


def profile(thresholds: np.ndarray) -> Statistic:
    """Share of all runs that score above each threshold."""

    def above(scores: np.ndarray) -> np.ndarray:
        flat = scores.reshape(*scores.shape[:-2], -1)
        shares = [(flat > threshold).mean(axis=-1) for threshold in thresholds]
        return np.stack(shares, axis=-1)

    return above


def estimate(statistic: Statistic, *sides: np.ndarray, samples: int = SAMPLES) -> list[Estimate]:
    """A statistic of scores (seeds, data sets), with the percentiles that it has over samples with
    replacement of the seeds of each data set, those of each side by themselves."""
    values = np.atleast_1d(statistic(*sides))
    if min(len(side) for side in sides) < 2:
        return [Estimate(float(value)) for value in values]
    rng = np.random.default_rng(0)
    drawn = []
    for side in sides:
        which = rng.integers(len(side), size=(samples, *side.shape))
        drawn.append(np.take_along_axis(side[None], which, axis=1))
    found = statistic(*drawn)
    ends = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    lows, highs = (np.atleast_1d(end) for end in ends)
    return [Estimate(*map(float, each)) for each in zip(values, lows, highs, strict=True)]
