"""What a 95% interval promises, in simulated studies with items and seeds as they are in practice.

The whole table is ``python -m benchmarks.coverage``; docs/comparing.md gives its numbers.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import (
    SCENARIOS,
    Scenario,
    bootstrap,
    compared,
    coverage,
    false_positives,
    main,
    over_seeds,
)
from workbench.comparison.power import needed
from workbench.comparison.statistics import holm
from workbench.comparison.testing import seeds_only

STUDIES = 300
DOUBT = 3 * (0.05 * 0.95 / STUDIES) ** 0.5
"""Three standard errors of a share of 5% in so many studies: 0.038."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize(
    "runs", [(3, 3), *(pytest.param(runs, marks=pytest.mark.nightly) for runs in ((2, 2), (3, 5)))]
)
def test_the_interval_holds_the_true_difference(scenario: Scenario, runs: tuple[int, int]) -> None:
    share, _ = coverage(scenario, runs, 200, STUDIES)
    assert share >= 0.95 - DOUBT


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.truth == 0], ids=lambda s: s.name)
def test_no_difference_is_seldom_called_one(scenario: Scenario) -> None:
    assert false_positives(scenario, (3, 3), 200, STUDIES) <= 0.05 + DOUBT


def test_single_runs_hold_for_the_two_adapters() -> None:
    steady = next(s for s in SCENARIOS if max(s.seeds) == 0)
    assert false_positives(steady, (1, 1), 500, STUDIES) <= 0.05 + DOUBT
    assert coverage(steady, (1, 1), 500, STUDIES)[0] >= 0.95 - DOUBT


def test_what_others_do_with_few_seeds_does_not_hold() -> None:
    """The simulation can tell: seeds alone forget the items, a bootstrap of two seeds is blind."""
    steady, wild = SCENARIOS[0], SCENARIOS[2]
    assert coverage(steady, (5, 5), 200, STUDIES, over_seeds)[0] < 0.9
    assert coverage(wild, (2, 2), 500, STUDIES // 3, bootstrap)[0] < 0.9


def test_the_seeds_asked_for_show_the_difference_in_four_of_five_studies() -> None:
    real = Scenario("five points", (0.85, 0.8), (0.3, 0.3))
    rng = np.random.default_rng(0)
    plan = needed(compared(*real.draw((30, 30), 2000, rng)), 0.05)
    assert plan.seeds is not None and 3 <= plan.seeds <= 30
    seen = sum(
        (compared(*real.draw((plan.seeds,) * 2, 2000, rng)).p_value or 0) <= 0.05
        for _ in range(200)
    )
    assert 0.7 <= seen / 200 <= 0.93


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


@pytest.mark.parametrize("comparisons", [1, pytest.param(9, marks=pytest.mark.nightly)])
def test_the_seeds_asked_for_show_it_whatever_the_number_of_comparisons(comparisons: int) -> None:
    """Nine recipes against a baseline, one of them better: p has to survive Holm's correction."""
    real = Scenario("five points", (0.85, 0.8), (0.3, 0.3))
    null = Scenario("none", (0.8, 0.8), (0.3, 0.3))
    rng = np.random.default_rng(1)
    asked = needed(compared(*real.draw((30, 30), 1000, rng)), 0.05, comparisons)
    assert asked.seeds is not None and 3 <= asked.seeds <= 30
    seen = 0
    for _ in range(150):
        p_values = [compared(*real.draw((asked.seeds,) * 2, 1000, rng)).p_value]
        p_values += [
            compared(*null.draw((asked.seeds,) * 2, 1000, rng)).p_value
            for _ in range(comparisons - 1)
        ]
        assert None not in p_values
        seen += holm([p for p in p_values if p is not None])[0] <= 0.05
    assert 0.7 <= seen / 150


def test_the_command_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--studies", "4", "--seeds", "1", "3", "--items", "40"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("easy task, as BBC news") for line in lines) == 1
    assert any(line.startswith("lowest, mean and highest coverage") for line in lines)
    assert lines[-1].startswith("3 seeds")
