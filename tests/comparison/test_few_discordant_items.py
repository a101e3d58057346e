"""What few test items leave open where none or hardly any of them tells two sides apart."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from item_scores import scores

from workbench.comparison.power import Needed, needed
from workbench.comparison.statistics import bounded
from workbench.comparison.testing import several_runs, single_runs


@pytest.mark.parametrize(("runs", "items"), [(1, 200), (3, 200), (1, 6), (3, 6), (3, 1000)])
def test_items_that_none_tells_apart_leave_the_exact_binomial_bound_open(
    runs: int, items: int
) -> None:
    sides = [scores(np.ones((runs, items)))] * 2
    found = (single_runs if runs == 1 else several_runs)(*sides)
    assert found.low is not None and found.high is not None
    bound = scipy.stats.binomtest(0, items).proportion_ci(0.95, method="exact").high
    low, high = bounded(found.estimate, found.low, found.high, 1.0)
    assert -low >= bound * (1 - 1e-9) and high >= bound * (1 - 1e-9)
    assert high == pytest.approx(bound, rel=0.02)
    assert found.p_value == 1


def test_one_item_that_differs_leaves_no_less_open_than_none() -> None:
    """Of one run in three: its own variance is less than that of an item not seen."""
    one, other = np.ones((3, 200)), np.ones((3, 200))
    one[0, 0] = 0
    none, found = (several_runs(scores(each), scores(other)) for each in (other, one))
    assert found.spread.half_width() >= none.spread.half_width() > 0.018


def test_the_larger_part_of_the_variance_is_the_limit_where_nothing_practical_is_enough() -> None:
    """Six items cannot tell how much seeds vary: three of them in one run are half of its score."""
    one, other = np.ones((3, 6)), np.ones((3, 6))
    one[1, [2, 3, 5]] = other[1, 3] = 0
    other[2, [1, 3, 5]] = 0
    assert needed(several_runs(scores(one), scores(other)), 0.01) == Needed("items")
    many = (np.repeat(each, 100, axis=1) for each in (one, other))
    assert needed(several_runs(*map(scores, many)), 0.01) == Needed("seeds")


@pytest.mark.parametrize("items", [6, 200])
def test_items_are_asked_for_by_the_exact_bound_where_none_differs(items: int) -> None:
    side = scores(np.ones((3, items)))
    plan = needed(several_runs(side, side), 0.01)
    assert plan.limit == "items" and plan.seeds is None
    share = scipy.stats.binomtest(0, items).proportion_ci(0.95, method="exact").high
    assert plan.items is not None and plan.items >= share * (2.8 / 0.01) ** 2
    single = scores(np.ones((1, items)))
    asked = needed(single_runs(single, single), 0.01).items
    assert asked is not None and asked == pytest.approx(share * (2.8 / 0.01) ** 2, rel=0.02)
