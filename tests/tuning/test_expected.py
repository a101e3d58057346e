"""Expected validation performance against the number of trials."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.tuning.expected import expected_best, shown_numbers

SCORES = [0.70, 0.91, 0.85, 0.85, 0.40]


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 5])
def test_expected_best_is_that_of_all_draws_with_replacement(trials: int) -> None:
    """Dodge et al. 2019, section 3.1: V*_n = E[max of n draws from the empirical distribution];
    every one of the 5^n draws, counted."""
    every = np.array([max(draw) for draw in itertools.product(SCORES, repeat=trials)])
    found = expected_best(SCORES, higher=True)[trials - 1]
    assert found.trials == trials
    assert found.mean == pytest.approx(every.mean(), abs=1e-12)
    assert found.deviation == pytest.approx(every.std(), abs=1e-9)
    ends = np.quantile(every, [0.025, 0.975], method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx(tuple(ends))


def test_expected_best_of_errors_is_the_lowest() -> None:
    perplexities = [30.0, 22.0, 25.0]
    every = [min(draw) for draw in itertools.product(perplexities, repeat=2)]
    found = expected_best(perplexities, higher=False)
    assert found[1].mean == pytest.approx(np.mean(every))
    assert found[1].low <= found[1].mean <= found[1].high
    assert [each.mean for each in found] == sorted((e.mean for e in found), reverse=True)


def test_expected_best_counts_trials_without_a_score_as_the_worst() -> None:
    found = expected_best([0.5, None, 0.9, None], higher=True)
    assert len(found) == 4
    assert found[0].mean == pytest.approx((0.5 + 0.9 + 0.5 + 0.5) / 4)
    assert expected_best([None, None], higher=True) == []
    assert expected_best([], higher=True) == []


def test_shown_numbers_double() -> None:
    assert shown_numbers(8) == [1, 2, 4, 8]
    assert shown_numbers(12) == [1, 2, 4, 8, 12]
    assert shown_numbers(1) == [1] and shown_numbers(0) == []
