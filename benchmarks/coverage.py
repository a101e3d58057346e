"""``python -m benchmarks.coverage``: do the verdicts of ``workbench compare`` hold what they say?

Studies of two generators (``benchmarks.studies``) of which the truth is known: how often a
difference is called real where there is none, in one comparison and in eight with one baseline; how
often one of 3 points is found; and how often the intervals of a row hold its true score. Beside it
the paired t test over seeds, and the t test that pools the variances of the two sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from benchmarks.studies import SCENARIOS, Scenario, study, truth
from workbench.comparison.items import ItemScores
from workbench.comparison.statistics import interval
from workbench.comparison.testing import several_runs, single_runs

GAP = 0.03
"""The true difference that is to be found; a study without one, moved by as much, has it."""

METHODS = 8
"""That are compared with one baseline."""

Test = Callable[[ItemScores, ItemScores], tuple[float, float]]
"""The estimated difference and the half-width of its 95% interval."""


def ours(one: ItemScores, other: ItemScores, comparisons: int = 1) -> tuple[float, float]:
    """The interval of ``workbench compare``."""
    single = len(one.values) == len(other.values) == 1
    found = (single_runs if single else several_runs)(one, other)
    return found.estimate, found.spread.half_width(comparisons)


def paired_t(one: ItemScores, other: ItemScores) -> tuple[float, float]:
    """The t interval of the differences by seed: what most papers give."""
    differences = np.subtract(one.run_scores, other.run_scores)
    n = len(differences)
    error = differences.std(ddof=1) / np.sqrt(n)
    return float(differences.mean()), float(stats.t.ppf(0.975, n - 1) * error) or np.inf


def pooled(one: ItemScores, other: ItemScores) -> tuple[float, float]:
    """Seeds and items crossed: the variance over seeds of both sides together less the residual's,
    plus that over items, with the degrees of freedom of Satterthwaite. Not valid where the seeds
    of the two sides vary unlike or share their luck."""
    n, items = one.values.shape
    seeds = (one.seed_variance + other.seed_variance) / n
    residual = (one.residual_variance + other.residual_variance) / n / items
    over_items = float((one.by_item - other.by_item).var(ddof=1)) / items
    total = max(seeds - residual, 0.0) + over_items
    if total <= 0:
        return one.mean - other.mean, np.inf
    df = total**2 / (seeds**2 / (2 * n - 2) + over_items**2 / (items - 1))
    return one.mean - other.mean, float(stats.t.ppf(0.975, df) * np.sqrt(total))


TESTS: tuple[Test, ...] = (ours, paired_t, pooled)
COLUMNS = ("ours", "paired", "pooled", f"of {METHODS}", "ours", "paired", "pooled", "seeds", "both")


@dataclass(frozen=True)
class Shares:
    """Of studies: those with a false and with a true difference that is called real."""

    false: float
    found: float


def decided(
    scenario: Scenario,
    *,
    runs: int,
    items: int,
    studies: int,
    tests: Iterable[Test] = (ours,),
    seed: int = 0,
) -> list[Shares]:
    """What each of some tests decides of the same studies."""
    tests = list(tests)
    counts = np.zeros((len(tests), 2))
    true = truth(scenario)
    for one, other in study(scenario, runs=runs, items=items, studies=studies, seed=seed):
        for count, test in zip(counts, tests, strict=True):
            estimate, half = test(one, other)
            count += abs(estimate - true) > half, abs(estimate - true + GAP) > half
    return [Shares(*count) for count in (counts / studies).tolist()]


def false_in_family(
    scenario: Scenario, *, runs: int, items: int, studies: int, seed: int = 0
) -> float:
    """Share of studies in which any of `METHODS` methods that are alike is called better or worse
    than the baseline: Holm's correction calls none where the first step calls none."""
    wrong = 0
    drawn = study(scenario, methods=METHODS + 1, runs=runs, items=items, studies=studies, seed=seed)
    for baseline, *others in drawn:
        found = (ours(each, baseline, METHODS) for each in others)
        wrong += any(abs(estimate) > half for estimate, half in found)
    return wrong / studies


def coverage(
    scenario: Scenario, *, runs: int, items: int, studies: int, seed: int = 0
) -> tuple[float, float]:
    """Share of a row's two intervals that hold its score: over seeds the mean of 100 more seeds on
    the same items, over seeds and items the expected one."""
    held = np.zeros(2)
    more = 0 if runs == 1 else 100
    drawn = study(scenario, methods=1, runs=runs + more, items=items, studies=studies, seed=seed)
    for (side,) in drawn:
        few = replace(side, values=side.values[:runs])
        found = (interval(few.scores, scale="share"), few.population("share"))
        true = (np.mean(side.scores[runs:]) if more else np.nan, scenario.accuracy[0])
        for number, (each, score) in enumerate(zip(found, true, strict=True)):
            if each.low is not None and each.high is not None:
                held[number] += each.low <= score <= each.high
            else:
                held[number] += 0.95  # none is given, so none is wrong
    return held[0] / studies, held[1] / studies


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each scenario, number of seeds and number of items; percentages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per cell")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--items", type=int, nargs="+", default=[100, 500, 2000])
    asked = parser.parse_args(arguments)
    print(
        f"{'':26}{'':12}  called different though alike   found at {100 * GAP:g} points   held by"
    )
    print(f"{'':26}{'seeds':>6}{'items':>6}{'':2}" + "".join(f"{name:>7}" for name in COLUMNS))
    for scenario in SCENARIOS:
        for runs in asked.seeds:
            for items in asked.items:
                cell = {"runs": runs, "items": items}
                shares = decided(scenario, studies=asked.studies, tests=TESTS, **cell)
                few = max(asked.studies // 4, 1)
                line = [each.false for each in shares]
                line.append(false_in_family(scenario, studies=few, **cell))
                line += [each.found for each in shares]
                line += coverage(scenario, studies=few, **cell)
                numbers = "".join(f"{100 * share:7.1f}" for share in line)
                print(f"{scenario.name:26}{runs:6}{items:6}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
