"""How many seeds or items a difference would need, against scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from item_scores import drawn, scores

from workbench.comparison.power import Needed, detectable, needed, sees
from workbench.comparison.testing import seeds_only, several_runs, single_runs


@pytest.mark.parametrize("rate", [0.9, 0.99, 1.0])
@pytest.mark.parametrize("items", [1, 20, 50, 400])
@pytest.mark.parametrize("runs", [(2, 2), (3, 3), (2, 10)])
@pytest.mark.parametrize("comparisons", [1, 5])
def test_enough_is_what_would_show(
    rate: float, items: int, runs: tuple[int, int], comparisons: int
) -> None:
    for seed in range(0, 20, 2):
        sides = [drawn(seed + i, runs[i], items, rate) for i in (0, 1)]
        found = several_runs(*sides)
        plan, least = needed(found, 0.05, comparisons), detectable(found, comparisons)
        if least is not None:
            assert (plan.limit is None) == (least <= 0.05)
        if plan.limit == "seeds" and plan.seeds:
            assert plan.seeds > min(runs)


def test_seeds_that_are_needed_are_the_fewest_that_show_it() -> None:
    one = {i: 0.90 + 0.01 * (i % 2) for i in range(4)}
    found = seeds_only(one, {i + 10: v for i, v in one.items()})
    more = needed(found, 0.005)
    assert more.limit == "seeds" and more.seeds is not None and more.items is None
    assert sees(found, 0.005, more.seeds, None) and not sees(found, 0.005, more.seeds - 1, None)
    assert needed(found, 0.5).limit is None  # what is there shows that much


def test_too_few_items_are_named_as_the_limit() -> None:
    # What each method gets right does not depend on the seed at all.
    one, other = (scores(np.repeat(drawn(i, 1, 100).values, 5, axis=0)) for i in (8, 9))
    more = needed(several_runs(one, other), 0.01)
    assert more.limit == "items" and more.items is not None and more.items > 1000
    single = needed(single_runs(drawn(8, 1, 100), drawn(9, 1, 100)), 0.01)
    assert single.limit == "items" and single.seeds is None and (single.items or 0) > 100


def test_the_forecast_of_seeds_agrees_with_statsmodels() -> None:
    """Without items, and where very many runs know the variance, it is the sample size of a t test
    for two groups."""
    from statsmodels.stats.power import TTestIndPower

    values = {i: 0.9 + (0.01 if i % 2 else -0.01) for i in range(600)}
    found = seeds_only(values, {i + 1000: v for i, v in values.items()})
    for size in (0.008, 0.01, 0.02):
        wanted = TTestIndPower().solve_power(effect_size=size / 0.01, power=0.8, alpha=0.05)
        runs = next(n for n in range(2, 100) if sees(found, size, n, None))
        assert runs == pytest.approx(wanted, abs=1.5)


def test_a_variance_that_few_runs_know_asks_for_more_seeds_and_gives_a_range() -> None:
    values = {i: 0.9 + 0.01 * v for i, v in enumerate((-1, 0, 1))}
    found = seeds_only(values, {i + 10: v for i, v in values.items()})
    plan = needed(found, 0.01)
    assert plan.seeds is not None and plan.bounds is not None
    low, high = plan.bounds
    # Julious & Owen (2006): the quantile of a noncentral t with the pilot's 4 degrees of freedom.
    factor = scipy.stats.nct.ppf(0.8, 4, scipy.stats.norm.ppf(0.975))
    assert plan.seeds == pytest.approx(2 * factor**2, rel=0.15)
    assert low < 17 < plan.seeds and high is not None and high > 40


def test_what_is_far_more_than_is_practical_has_no_number() -> None:
    values = {i: 0.9 + 0.03 * v for i, v in enumerate((-1, 0, 1))}
    found = seeds_only(values, {i + 10: v for i, v in values.items()})
    plan = needed(found, 0.001)
    assert plan == Needed("seeds", None, None, None)


def test_where_endless_items_would_not_do_the_seeds_are_the_limit() -> None:
    """Two of three seeds of one side collapsed: no number of test items makes up for that."""
    shares = ((0.25, 0.9, 0.25), (0.9, 0.9, 0.9))
    one, other = (
        scores(np.concatenate([drawn(i, 1, 500, p).values for p in side]))
        for i, side in enumerate(shares)
    )
    assert needed(several_runs(one, other), 0.01) == Needed("seeds")


def test_items_that_are_asked_for_show_it_with_the_seeds_that_are_asked_for() -> None:
    """Where both sides get the same items right on average, what seeds and items have together is
    all there is, and a dozen items do not show a point."""
    right = np.ones((3, 12))
    one, other = right.copy(), right.copy()
    for run in range(3):
        one[run, [run, 9, 10, 11]] = 0
        other[run, [(run + 1) % 3, 9, 10, 11]] = 0
    found = several_runs(scores(one), scores(other))
    plan = needed(found, 0.01)
    assert plan.limit == "items" and plan.seeds and plan.items
    assert sees(found, 0.01, plan.seeds, plan.items)
    # The rest varies by p(1 - p) = 0.22 on each side for the three items that come and go.
    rest = 2 * 0.22 * 3 / 12
    assert plan.items * plan.seeds > rest / (0.01 / 2.8) ** 2
