"""The tests behind the verdicts, against scipy and statsmodels."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from item_scores import drawn, scores
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_effectsize

from workbench.comparison.crossed import SMALLEST, Crossed
from workbench.comparison.power import detectable, needed
from workbench.comparison.statistics import holm, t_two_sided
from workbench.comparison.testing import (
    mcnemar,
    seeds_only,
    several_runs,
    single_runs,
)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.3, 60.0])
@pytest.mark.parametrize("df", [1, 2, 3, 7, 30])
def test_the_tail_of_t_is_that_of_scipy(t: float, df: int) -> None:
    assert t_two_sided(t, df) == pytest.approx(2 * scipy.stats.t.sf(t, df), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("counts", [(0, 0), (5, 0), (3, 9), (12, 12), (2, 20)])
def test_few_disagreements_are_tested_exactly(counts: tuple[int, int]) -> None:
    table = [[50, counts[0]], [counts[1], 7]]
    name, p = mcnemar(*counts)
    assert name == "mcnemar-exact"
    assert p == pytest.approx(min(1.0, statsmodels_mcnemar(table, exact=True).pvalue))


@pytest.mark.parametrize("counts", [(10, 15), (30, 50), (40, 40), (200, 260)])
def test_many_disagreements_are_tested_by_mid_p(counts: tuple[int, int]) -> None:
    name, p = mcnemar(*counts)
    n, low = sum(counts), min(counts)
    below, at = scipy.stats.binom.cdf(low - 1, n, 0.5), scipy.stats.binom.pmf(low, n, 0.5)
    assert name == "mcnemar-mid-p" and p == pytest.approx(2 * (below + at / 2))
    # The textbook's chi-squared without correction is close to it.
    chi = statsmodels_mcnemar([[0, counts[0]], [counts[1], 0]], exact=False, correction=False)
    assert p == pytest.approx(float(chi.pvalue), abs=0.01)


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.2, 0.9]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert holm([]) == [] and holm([0.5]) == [0.5]


def test_single_runs_of_right_and_wrong() -> None:
    one, other = drawn(0, 1, 200), drawn(1, 1, 200, 0.8)
    found = single_runs(one, other)
    better = int((one.values > other.values).sum())
    worse = int((one.values < other.values).sum())
    assert found.p_value == mcnemar(better, worse)[1] and found.covers == ("items",)
    assert found.estimate == pytest.approx(one.mean - other.mean)
    # Agresti & Min (2005): Wald's interval after half an item has been added to each cell.
    n = 202
    p = ((better + 0.5) / n, (worse + 0.5) / n)
    error = math.sqrt((p[0] + p[1] - (p[0] - p[1]) ** 2) / n)
    assert found.low == pytest.approx(p[0] - p[1] - scipy.stats.norm.ppf(0.975) * error)
    assert found.high == pytest.approx(p[0] - p[1] + scipy.stats.norm.ppf(0.975) * error)
    assert found.effect_size == pytest.approx((better + 0.5) / (worse + 0.5))


def test_single_runs_that_agree_on_everything_leave_doubt() -> None:
    found = single_runs(drawn(0, 1, 50), drawn(0, 1, 50))
    assert found.estimate == 0 and found.p_value == 1
    assert found.low is not None and found.low < 0 < (found.high or 0)


def test_single_runs_of_numbers_are_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.gamma(2, size=(1, 80)), rng.gamma(3, size=(1, 80))
    found = single_runs(scores(left), scores(right))
    expected = scipy.stats.ttest_rel(left[0], right[0])
    assert found.test == "items-t" and found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    difference = left[0] - right[0]
    assert found.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_equal_seeds_are_a_paired_t_test_of_scipy() -> None:
    one, other = {0: 0.91, 1: 0.93, 4: 0.95}, {0: 0.90, 1: 0.90, 4: 0.91}
    found = seeds_only(one, other)
    expected = scipy.stats.ttest_rel(list(one.values()), list(other.values()))
    assert found.test == "seeds-paired-t" and found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_other_seeds_are_welchs_t_test() -> None:
    one, other = {0: 0.91, 1: 0.93, 2: 0.95}, {5: 0.90, 6: 0.905, 7: 0.91, 8: 0.9}
    found = seeds_only(one, other)
    expected = scipy.stats.ttest_ind(list(one.values()), list(other.values()), equal_var=False)
    assert found.test == "seeds-welch" and found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_one_seed_gives_a_difference_and_no_interval() -> None:
    found = seeds_only({0: 0.9}, {0: 0.8, 1: 0.82})
    assert found.estimate == pytest.approx(0.09) and found.low is None and found.p_value is None
    assert needed(found, 0.01).limit is None and detectable(found) is None


@pytest.mark.parametrize("lower", [0.70, 0.71])
def test_seeds_that_differ_by_the_same_are_not_tested(lower: float) -> None:
    for other in ({0: lower, 1: lower}, {5: lower, 6: lower, 7: lower}):
        found = seeds_only({0: 0.71, 1: 0.71 + 1e-16}, other)
        assert found.estimate == pytest.approx(0.71 - lower)
        assert found.low is found.high is found.p_value is None and found.covers == ()
        assert detectable(found) is None


def test_items_that_differ_by_the_same_are_not_tested() -> None:
    """Numbers, as a squared error is; of right and wrong two more items leave some doubt."""
    values = np.random.default_rng(0).random((1, 40))
    for runs in (1, 2):
        one, other = scores(np.repeat(values, runs, 0)), scores(np.repeat(values - 0.3, runs, 0))
        for shifted, estimate in ((other, 0.3), (one, 0.0)):
            found = (single_runs if runs == 1 else several_runs)(one, shifted)
            assert found.estimate == pytest.approx(estimate)
            assert found.low is found.p_value is None and found.covers == ()


def test_seeds_and_items_are_both_in_the_interval() -> None:
    one, other = drawn(2, 3, 150, 0.85), drawn(3, 3, 150, 0.8)
    found = several_runs(one, other)
    assert found.covers == ("seeds", "items") and found.items == 150
    assert found.effect_size == pytest.approx(proportion_effectsize(one.mean, other.mean))


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_items_without_end_leave_the_t_test_over_seeds(runs: int) -> None:
    """Numbers to whose variance items add nothing; of two sides that vary alike."""
    level = np.linspace(-0.01, 0.01, runs)[:, None]
    one, other = scores(0.912 + level + np.zeros((1, 50))), scores(0.9 - level + np.zeros((1, 50)))
    expected = scipy.stats.ttest_ind(level[:, 0] + 0.912, 0.9 - level[:, 0])
    found = several_runs(one, other)
    # Two sides that vary exactly alike have the pooled degrees of freedom and a little more, which
    # make up for those that by chance do not.
    assert found.spread.error.df >= expected.df
    error = (found.estimate / expected.statistic) ** 2
    assert found.spread.error.variance == pytest.approx(error)


def test_one_side_that_varies_has_its_own_degrees_of_freedom() -> None:
    level = np.array([-0.01, 0.002, 0.008])[:, None]
    one, other = scores(0.912 + level + np.zeros((1, 50))), scores(np.full((3, 50), 0.9))
    found = several_runs(one, other)
    expected = scipy.stats.ttest_1samp(0.012 + level[:, 0], 0.0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_seeds_that_change_nothing_leave_the_t_test_over_items() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.gamma(2, size=(1, 80)), rng.gamma(2.2, size=(1, 80))
    found = several_runs(scores(np.repeat(left, 3, axis=0)), scores(np.repeat(right, 4, axis=0)))
    expected = scipy.stats.ttest_rel(left[0], right[0])
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("case", range(4))
def test_the_error_is_that_of_a_mixed_model_of_statsmodels(case: int) -> None:
    """Crossed random effects by REML, which for balanced data are the moments' where none is 0."""
    rng = np.random.default_rng([7, case])
    runs, items = 5, 40
    both = rng.normal(size=items)
    sides = [
        0.3 * side
        + both
        + 0.7 * rng.normal(size=items)
        + 0.4 * rng.normal(size=(runs, 1))
        + rng.normal(size=(runs, items))
        for side in (1, 0)
    ]
    found = several_runs(*(scores(side) for side in sides))
    frame = pd.DataFrame(
        [
            {"side": 1 - s, "seed": f"{s}-{r}", "item": i, "own": f"{s}-{i}", "y": y}
            for s, side in enumerate(sides)
            for (r, i), y in np.ndenumerate(side)
        ]
    )
    frame["all"] = 1
    parts = {name: f"0 + C({name})" for name in ("seed", "item", "own")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how it converges
        model = MixedLM.from_formula("y ~ side", groups="all", vc_formula=parts, data=frame)
        fitted = model.fit(reml=True)
    assert found.estimate == pytest.approx(fitted.params["side"], abs=1e-6)
    # Half of the residual stays where the seeds vary less than the residual alone makes them.
    assert math.sqrt(found.spread.error.variance) == pytest.approx(fitted.bse["side"], rel=0.01)


def test_seeds_whose_scores_go_together_count_as_pairs() -> None:
    rng = np.random.default_rng(3)
    luck = np.array([-0.05, 0.04, 0.02, -0.03, 0.06])[:, None]
    noise = rng.normal(0, 0.02, size=(2, 5, 400))
    sides = [
        scores(0.8 + shift + luck + each) for shift, each in zip((0.02, 0), noise, strict=True)
    ]
    alone = several_runs(*sides)
    paired = several_runs(*(replace(side, seeds=tuple(range(5))) for side in sides))
    expected = scipy.stats.ttest_rel(*(side.values.mean(axis=1) for side in sides))
    assert alone.p_value is not None and paired.p_value is not None
    # Higher by what 400 items add to five pairs.
    assert alone.p_value > 0.3 and paired.p_value == pytest.approx(expected.pvalue, rel=0.25)
    others = (replace(sides[0], seeds=tuple(range(5))), replace(sides[1], seeds=(7, 8, 9, 10, 11)))
    assert several_runs(*others).p_value == alone.p_value


def test_three_pairs_that_go_together_by_chance_narrow_the_interval_by_a_third_at_most() -> None:
    """With three seeds differences vary as little as this in one study of twenty without any
    correlation."""
    luck = np.array([-0.02, 0.0, 0.02])[:, None]
    own = np.array([0.003, -0.006, 0.003])[:, None]
    sides = [scores(0.8 + luck + sign * own + np.zeros((1, 500))) for sign in (1, -1)]
    alone = several_runs(*sides).spread
    paired = several_runs(*(replace(side, seeds=(0, 1, 2)) for side in sides)).spread
    for comparisons in (1, 8):
        least = math.sqrt(0.4) * alone.half_width(comparisons)
        assert paired.half_width(comparisons) >= least * (1 - 1e-9)
    assert paired.half_width() < 0.7 * alone.half_width()


def test_three_lucky_runs_near_1_vary_as_they_would_where_the_other_side_is() -> None:
    """Their logits vary alike; the variance of a share goes with the square of p(1 - p)."""
    lucky = np.array([0.968, 0.970, 0.972])
    sides = (np.repeat(each[:, None], 2000, 1) for each in (lucky, np.full(3, 0.9)))
    one, other = (replace(scores(side), share=True) for side in sides)
    found = several_runs(one, other)
    steepness = (0.9 * 0.1) / (0.97 * 0.03)
    assert found.spread.error.variance == pytest.approx(
        steepness**2 * lucky.var(ddof=1) / 3, rel=1e-6
    )
    far = replace(one, values=one.values * 0 + np.array([[0.9995], [0.9995], [1.0]]))
    surely = several_runs(far, other)
    assert surely.p_value is not None and surely.p_value < 0.05
    plain = several_runs(replace(one, share=False), other)
    assert plain.spread.error.variance == pytest.approx(lucky.var(ddof=1) / 3)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05, 0.1])
def test_p_reaches_5_percent_where_the_interval_reaches_0(shift: float) -> None:
    rng = np.random.default_rng(4)
    one, other = scores(rng.normal(size=(3, 200))), scores(rng.normal(shift, size=(3, 200)))
    found = several_runs(one, other)
    assert found.low is not None and found.high is not None and found.p_value is not None
    assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    edge = found.estimate - (found.low if found.estimate > 0 else found.high)
    moved = scores(one.values - found.estimate + edge * (1 + 1e-9))
    assert several_runs(moved, other).p_value == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("df", [1, 2, 3.3, 50])
@pytest.mark.parametrize("errors", [0.01, 2.0, 30.0])
def test_a_variance_of_seeds_alone_has_the_p_of_t(df: float, errors: float) -> None:
    expected = 2 * scipy.stats.t.sf(errors, df)
    found = Crossed(fixed=0.0, seeds=4.0, df=df).p_value(2 * errors)
    assert found == pytest.approx(max(expected, SMALLEST), rel=1e-5)


def test_runs_that_are_all_alike_leave_the_items() -> None:
    once = drawn(5, 1, 300, 0.9).values
    one, other = scores(np.repeat(once, 3, axis=0)), drawn(6, 3, 300, 0.9)
    assert one.seed_variance == 0 and several_runs(one, other).p_value is not None
    both = several_runs(one, scores(np.repeat(drawn(7, 1, 300, 0.7).values, 3, axis=0)))
    assert both.p_value is not None and both.p_value < 0.01
