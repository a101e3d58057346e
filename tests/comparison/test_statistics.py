"""Intervals against scipy, and against what a 95% interval promises."""

import math
import random
import statistics

import numpy as np
import pytest
import scipy.stats
from score_equation import solved

from workbench.comparison.crossed import population_interval
from workbench.comparison.statistics import (
    bounded,
    interval,
    t_quantile,
    t_two_sided,
    variance,
)


@pytest.mark.parametrize("count", [2, 3, 5, 40])
@pytest.mark.parametrize(("centre", "spread"), [(0, 1), (0.95, 1e-3), (1e9, 1e-3), (-3e150, 1e140)])
def test_the_variance_is_that_of_the_standard_library(
    count: int, centre: float, spread: float
) -> None:
    draw = random.Random(f"{count} {centre}")
    values = [draw.gauss(centre, spread) for _ in range(count)]
    assert variance(values) == pytest.approx(statistics.variance(values), rel=1e-12)
    assert variance(iter([values[0]] * count)) == 0


@pytest.mark.parametrize("degrees_of_freedom", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 200, 201, 1998])
@pytest.mark.parametrize("probability", [0.5, 0.75, 0.95, 0.975, 0.995])
def test_the_t_quantile_is_that_of_scipy(probability: float, degrees_of_freedom: int) -> None:
    expected = scipy.stats.t.ppf(probability, degrees_of_freedom)
    assert t_quantile(probability, degrees_of_freedom) == pytest.approx(expected, 1e-9, 1e-12)


@pytest.mark.parametrize(("probability", "df"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_a_quantile_that_does_not_exist_is_refused(probability: float, df: int) -> None:
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(probability, df)


@pytest.mark.parametrize("values", [[0.956, 0.958, 0.960], [0.1, 0.9], [1e-3, 2e9, -4]])
def test_the_interval_is_that_of_scipy(values: list[float]) -> None:
    found = interval(values)
    n, mean = len(values), sum(values) / len(values)
    assert found.n == n and found.mean == pytest.approx(mean)
    error = scipy.stats.sem(values)
    low, high = scipy.stats.t.interval(0.95, n - 1, loc=mean, scale=error)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    assert found.ends == pytest.approx((low, high))


def test_values_that_are_the_same_have_no_interval_as_in_scipy() -> None:
    found = interval([0.1 + 0.2, 0.3, 0.3])
    assert found.mean == pytest.approx(0.3) and found.low is found.high is found.ends is None
    with np.errstate(invalid="ignore"):
        assert np.isnan(scipy.stats.t.interval(0.95, 2, loc=0.3, scale=0.0)).all()


def test_one_value_has_a_mean_and_no_interval() -> None:
    found = interval([0.9])
    assert (found.mean, found.low, found.high, found.ends, found.n) == (0.9, None, None, None, 1)


def test_no_value_has_nothing() -> None:
    assert interval([]).mean is None and interval([]).n == 0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_95_of_100_intervals_hold_the_true_mean(n: int) -> None:
    draw = random.Random(n)
    trials, hits = 4000, 0
    for _ in range(trials):
        found = interval([draw.gauss(0.95, 0.01) for _ in range(n)])
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.95 <= found.high
    assert hits / trials == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


@pytest.mark.parametrize("df", [0.7, 1, 2.6, 17, 1500.5])
@pytest.mark.parametrize("t", [0.0, 0.02, 1.3, 9.0, 60.0])
def test_the_tails_of_t_are_those_of_scipy(t: float, df: float) -> None:
    assert t_two_sided(t, df) == pytest.approx(2 * scipy.stats.t.sf(t, df), 1e-9)


def test_an_interval_of_shares_stays_between_0_and_1() -> None:
    found = interval([0.02, 0.998], scale="share")
    assert found.low is not None and found.high is not None
    assert 0 < found.low < 0.02 and 0.98 < found.high < 1


def test_an_interval_of_exponentials_is_that_of_the_logarithms() -> None:
    values = [21.0, 24.0, 36.0]
    found, logs = interval(values, scale="ratio"), np.log(values)
    expected = scipy.stats.t.interval(0.95, 2, loc=logs.mean(), scale=scipy.stats.sem(logs))
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)))
    assert found.mean == pytest.approx(scipy.stats.gmean(values))


def test_all_items_right_with_every_seed_leaves_the_doubt_of_so_many_items() -> None:
    found = population_interval([1.0] * 3, over_items=0, residual=0, items=200, scale="share")
    expected = scipy.stats.binomtest(200, 200).proportion_ci(method="wilson")
    assert found.low == pytest.approx(expected.low, abs=3e-4) and found.high == 1


def test_a_single_run_has_the_interval_of_its_items() -> None:
    right = np.arange(900) < 700
    found = population_interval(
        [700 / 900], over_items=right.var() / 900, residual=0, items=900, scale="share"
    )
    expected = scipy.stats.binomtest(700, 900).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("estimate", [-0.999, -0.52, -0.03, 0.0, 0.43, 0.95])
@pytest.mark.parametrize("half", [1e-9, 0.02, 0.4299, 0.4301, 0.93, 12.0])
def test_the_interval_of_a_difference_stays_within_the_scale(estimate: float, half: float) -> None:
    given = (estimate - half, estimate + half)
    low, high = bounded(estimate, *given, 1.0)
    assert (low, high) == pytest.approx(solved(*given), abs=1e-9)
    assert -1 <= low <= estimate <= high <= 1
    assert (low <= 0 <= high) == (given[0] <= 0 <= given[1])  # excludes 0 where p is below 0.05
    doubled = bounded(2 * estimate, 2 * given[0], 2 * given[1], 2.0)
    assert doubled == pytest.approx((2 * low, 2 * high))


def test_an_interval_that_is_nowhere_near_the_ends_is_hardly_changed() -> None:
    assert bounded(0.01, -0.02, 0.04, 1.0) == pytest.approx((-0.02, 0.04), abs=5e-5)
    assert bounded(3.0, -2.0, 8.0, math.inf) == (-2.0, 8.0)


def test_a_row_is_not_known_better_than_its_texts_alone_tell() -> None:
    """Two seeds that happen to score the same on items of which each gets others right."""
    values = np.array([[1.0, 1, 1, 0, 0] * 20, [1.0, 1, 0, 1, 0] * 20])
    by_item, residual = values.mean(axis=0), 20 / 99
    found = population_interval(
        values.mean(axis=1).tolist(),
        over_items=by_item.var(ddof=1) / 100,
        residual=residual / 100,
        items=100,
    )
    alone = scipy.stats.t.interval(0.95, 99, loc=0.6, scale=scipy.stats.sem(by_item))
    assert (found.low, found.high) == pytest.approx(alone)
