"""What verdicts and intervals promise, in simulated studies of known truth.

The whole table is ``python -m benchmarks.coverage``; docs/comparing.md gives its numbers.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import (
    coverage,
    decided,
    false_in_family,
    main,
    ours,
    paired_t,
    pooled,
)
from benchmarks.studies import GRADED, MIXED, UNEQUAL, Graded, Scenario, apart, study, truth
from workbench.comparison.power import needed
from workbench.comparison.testing import seeds_only, several_runs, single_runs

STUDIES = 400
DOUBT = 3 * (0.05 * 0.95 / STUDIES) ** 0.5
"""Three standard errors of a share of 5% in so many studies: 0.033."""

BY_NAME = {scenario.name: scenario for scenario in GRADED + MIXED + UNEQUAL}
QUICK = ("easy task, as BBC news", "middling task", "mixed", "mixed, same luck", "clusters of 10")


def cells(*quick: str, among: tuple[Scenario, ...] = GRADED + MIXED) -> list[object]:
    """The others only at night."""
    night = pytest.mark.nightly
    return [
        pytest.param(each, id=each.name, marks=() if each.name in quick else (night,))
        for each in among
    ]


@pytest.mark.parametrize("scenario", cells(*QUICK))
@pytest.mark.parametrize("runs", [3, pytest.param(5, marks=pytest.mark.nightly)])
def test_one_in_twenty_equal_methods_is_called_different(scenario: Scenario, runs: int) -> None:
    (found,) = decided(scenario, runs=runs, items=500, studies=STUDIES)
    assert 0.05 - DOUBT <= found.false <= 0.06 + DOUBT


@pytest.mark.parametrize("scenario", cells(among=UNEQUAL))
def test_seeds_that_vary_unlike_err_in_a_tenth_at_most(scenario: Scenario) -> None:
    """Three seeds do not tell which side varies how much; where a side near 1 does, its variance
    is taken at the mean of both."""
    (found,) = decided(scenario, runs=3, items=500, studies=2 * STUDIES)
    assert found.false <= 0.10


@pytest.mark.parametrize("scenario", cells("middling task"))
def test_of_eight_equal_methods_any_is_seldom_called_different(scenario: Scenario) -> None:
    share = false_in_family(scenario, runs=3, items=200, studies=STUDIES // 2)
    assert share <= 0.05 + DOUBT * 2**0.5


@pytest.mark.parametrize("scenario", cells("middling task", "mixed"))
def test_a_difference_is_found_as_often_as_by_the_best_test(scenario: Scenario) -> None:
    """The same studies for all of them: the better one of the paired and of the pooled t test, as
    far as that does not call more equal methods different."""
    tests = (ours, paired_t, pooled)
    found, *others = decided(scenario, runs=3, items=1000, studies=STUDIES, tests=tests)
    valid = [each for each in others if each.false <= 0.06]
    assert found.found >= max((each.found for each in valid), default=0) - 0.05


@pytest.mark.parametrize("scenario", cells("middling task", "mixed", among=GRADED + MIXED))
def test_both_intervals_of_a_row_hold_its_score(scenario: Scenario) -> None:
    over_seeds, over_both = coverage(scenario, runs=3, items=400, studies=STUDIES)
    assert over_seeds == pytest.approx(0.95, abs=DOUBT + 0.02)
    assert over_both == pytest.approx(0.95, abs=DOUBT + 0.01)


def test_single_runs_hold_for_the_two_adapters() -> None:
    (found,) = decided(GRADED[0], runs=1, items=500, studies=STUDIES)
    assert found.false <= 0.05 + DOUBT


def test_a_paired_t_test_over_seeds_forgets_the_items() -> None:
    """The simulation can tell."""
    (found,) = decided(GRADED[0], runs=5, items=200, studies=STUDIES, tests=[paired_t])
    assert found.false > 0.1


@pytest.mark.parametrize("scenario", [GRADED[4], MIXED[1], MIXED[4]], ids=lambda s: s.name)
def test_a_generator_knows_its_accuracy(scenario: Scenario) -> None:
    better = apart(scenario, 0.05)
    sides = list(study(better, runs=8, items=1000, studies=150, seed=3))
    means = np.mean([[side.mean for side in pair] for pair in sides], axis=0)
    assert truth(better) == pytest.approx(0.05) and means == pytest.approx(
        better.accuracy, abs=0.01
    )


def power(scenario: Scenario, runs: int, items: int, studies: int, seed: int) -> float:
    """Share of studies that show the scenario's difference."""
    test = single_runs if runs == 1 else several_runs
    drawn = study(scenario, runs=runs, items=items, studies=studies, seed=seed)
    found = [test(*pair) for pair in drawn]
    return sum(abs(each.estimate) > each.spread.half_width() for each in found) / studies


@pytest.mark.parametrize(
    ("scenario", "runs", "items", "gap"),
    [
        (GRADED[4], 3, 1000, 0.05),
        pytest.param(GRADED[3], 3, 2000, 0.02, marks=pytest.mark.nightly),
        pytest.param(GRADED[4], 3, 2000, 0.03, marks=pytest.mark.nightly),
        pytest.param(MIXED[1], 3, 2000, 0.03, marks=pytest.mark.nightly),
    ],
)
def test_the_seeds_asked_for_show_the_difference_in_four_of_five_studies(
    scenario: Scenario, runs: int, items: int, gap: float
) -> None:
    """Forecasts of pilot studies, each followed by others with as many seeds as it asks for, or as
    it had where it says that they are enough."""
    asked = []
    for pair in study(scenario, runs=runs, items=items, studies=50, seed=1):
        plan = needed(several_runs(*pair), gap)
        if plan.limit != "items":
            asked.append(plan.seeds or runs)
    assert len(asked) > 30
    better = apart(scenario, gap)
    shares = [power(better, seeds, items, 8, i) for i, seeds in enumerate(asked)]
    assert 0.72 <= float(np.mean(shares)) <= 0.88


@pytest.mark.parametrize(
    ("accuracy", "gap", "items"),
    [
        (0.85, 0.03, 200),
        (0.965, 0.01, 200),
        pytest.param(0.85, 0.03, 600, marks=pytest.mark.nightly),
        pytest.param(0.6, 0.05, 200, marks=pytest.mark.nightly),
    ],
)
def test_the_items_asked_for_show_the_difference_of_two_adapters(
    accuracy: float, gap: float, items: int
) -> None:
    scenario = Graded(name="two adapters", accuracy=(accuracy, accuracy), seeds=(0.0, 0.0))
    asked = []
    for pair in study(scenario, runs=1, items=items, studies=200, seed=1):
        plan = needed(single_runs(*pair), gap)
        assert plan.limit in ("items", None) and plan.seeds is None
        asked.append(plan.items or items)
    ((one, other),) = study(apart(scenario, gap), runs=1, items=2_000_000, studies=1, seed=2)
    shares = [float((sign * (one.values - other.values) > 0).mean()) for sign in (1, -1)]
    found = [shown(shares, count, seed) for seed, count in enumerate(asked)]
    assert 0.74 <= float(np.mean(found)) <= 0.86


def shown(shares: list[float], items: int, seed: int) -> float:
    """Power of the interval of Agresti & Min (2005), by how often one side alone is right."""
    rng = np.random.default_rng(seed)
    better, worse, _ = rng.multinomial(items, [*shares, 1 - sum(shares)], size=1000).T
    centre = (better - worse) / (items + 2)
    error = np.sqrt(((better + worse + 1) / (items + 2) - centre**2) / (items + 2))
    return float((abs(centre) > 1.96 * error).mean())


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("items", [100, pytest.param(1000, marks=pytest.mark.nightly)])
def test_scores_of_seeds_that_tie_are_seldom_called_different(seeds: int, items: int) -> None:
    """A score of 100 items has few values, so two seeds often differ by exactly the same."""
    rng = np.random.default_rng(items + seeds)
    called = 0
    for _ in range(2000):
        one, other = (
            {i: round(0.9 * items + rng.normal(0, 0.008 * items)) / items for i in range(seeds)}
            for _ in range(2)
        )
        p = seeds_only(one, other).p_value
        called += p is not None and p <= 0.05
    assert called / 2000 <= 0.05


def test_the_command_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--studies", "8", "--seeds", "3", "--items", "40"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("easy task, as BBC news") for line in lines) == 1
    assert len(lines) == 2 + len(BY_NAME) and len(lines[2].split()) >= 11
