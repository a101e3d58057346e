"""``python -m benchmarks.coverage``: do the intervals of ``workbench compare`` hold what they say?

Two methods are simulated on the same test items: an item is answered rightly when the method's
skill, what its seed changed, how hard the item is, how hard it is for this method, and chance add
up to more than nothing. Their true difference is known, so it can be counted how often a 95%
interval holds it, and how often a difference is called real where there is none.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from workbench.comparison.items import ItemScores
from workbench.comparison.testing import Difference, seeds_only, several_runs, single_runs

HARD, OWN = 3.0, 1.2
"""Deviations of how hard items are for both, and for one method: at 96.5% accuracy two adapters
then disagree on about 3% of the items, as those of the BBC study do."""


@dataclass(frozen=True)
class Scenario:
    """Two methods: their accuracies and how much a seed changes them (in units of chance)."""

    name: str
    accuracy: tuple[float, float]
    seeds: tuple[float, float]
    common: float = 0.0
    """Share of a seed's effect that both methods have from the same seed."""

    @property
    def truth(self) -> float:
        return self.accuracy[0] - self.accuracy[1]

    def draw(
        self, runs: tuple[int, int], items: int, rng: np.random.Generator
    ) -> tuple[ItemScores, ItemScores]:
        """One study: the right and wrong answers of all runs of both methods."""
        hard = HARD * rng.normal(size=items)
        shared = rng.normal(size=max(runs))
        sides = []
        for accuracy, spread, count in zip(self.accuracy, self.seeds, runs, strict=True):
            total = math.sqrt(1 + HARD**2 + OWN**2 + spread**2)
            skill = NormalDist().inv_cdf(accuracy) * total
            own = rng.normal(size=count)
            effect = math.sqrt(self.common) * shared[:count] + math.sqrt(1 - self.common) * own
            logits = skill + spread * effect[:, None] + hard + OWN * rng.normal(size=items)
            right = (logits + rng.normal(size=(count, items)) > 0).astype(float)
            sides.append(
                ItemScores(values=right, ids=tuple(map(str, range(items))), right_or_wrong=True)
            )
        return sides[0], sides[1]


SCENARIOS = (
    Scenario("easy task, steady seeds", (0.965, 0.965), (0.0, 0.0)),
    Scenario("easy task, as BBC news", (0.965, 0.965), (0.3, 0.3)),
    Scenario("easy task, wild seeds", (0.965, 0.965), (1.0, 1.0)),
    Scenario("one wild, one steady", (0.965, 0.965), (1.0, 0.0)),
    Scenario("middling task", (0.8, 0.8), (0.3, 0.3)),
    Scenario("middling, a difference", (0.83, 0.8), (0.3, 0.1)),
    Scenario("same seed, same luck", (0.8, 0.8), (0.3, 0.3), common=0.5),
    Scenario("hard task", (0.6, 0.6), (0.3, 0.3)),
)

Interval = Callable[[ItemScores, ItemScores, np.random.Generator], tuple[float, float]]


def ours(one: ItemScores, other: ItemScores, rng: np.random.Generator) -> tuple[float, float]:
    """The interval of ``workbench compare``."""
    return _bounds(compared(one, other))


def compared(one: ItemScores, other: ItemScores) -> Difference:
    """The test that ``workbench compare`` takes."""
    single = len(one.values) == len(other.values) == 1
    return (single_runs if single else several_runs)(one, other)


def over_seeds(one: ItemScores, other: ItemScores, rng: np.random.Generator) -> tuple[float, float]:
    """A paired t interval over the seeds: what most papers give."""
    sides = [dict(enumerate(side.values.mean(axis=1).tolist())) for side in (one, other)]
    return _bounds(seeds_only(*sides))


def bootstrap(one: ItemScores, other: ItemScores, rng: np.random.Generator) -> tuple[float, float]:
    """Percentiles of 200 samples with replacement of seeds and items."""
    items = one.values.shape[1]
    weights = rng.multinomial(items, np.full(items, 1 / items), size=200) / items
    means = []
    for side in (one, other):
        runs = len(side.values)
        chosen = rng.multinomial(runs, np.full(runs, 1 / runs), size=200) / runs
        means.append(((chosen @ side.values) * weights).sum(axis=1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high)


def _bounds(found: Difference) -> tuple[float, float]:
    """The interval; of no width where nothing varies and the workbench gives none."""
    if found.low is None or found.high is None:
        return found.estimate, found.estimate
    return found.low, found.high


def coverage(
    scenario: Scenario,
    runs: tuple[int, int],
    items: int,
    studies: int,
    interval: Interval = ours,
    seed: int = 0,
) -> tuple[float, float]:
    """Share of intervals that hold the true difference, and their mean half-width."""
    rng = np.random.default_rng(seed)
    hits, width = 0, 0.0
    for _ in range(studies):
        low, high = interval(*scenario.draw(runs, items, rng), rng)
        hits += low <= scenario.truth <= high
        width += (high - low) / 2
    return hits / studies, width / studies


def false_positives(
    scenario: Scenario, runs: tuple[int, int], items: int, studies: int, seed: int = 0
) -> float:
    """Share of studies in which p is at most 0.05."""
    rng = np.random.default_rng(seed)
    found = (compared(*scenario.draw(runs, items, rng)).p_value for _ in range(studies))
    return sum(p is not None and p <= 0.05 for p in found) / studies


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints coverage (and mean half-width in points) of three intervals for each cell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per cell")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 5])
    parser.add_argument("--items", type=int, nargs="+", default=[100, 500, 2000])
    asked = parser.parse_args(arguments)
    intervals = {"workbench": ours, "t over seeds": over_seeds, "bootstrap": bootstrap}
    print(f"{'':26}{'seeds':>6}{'items':>7}  " + "".join(f"{name:>20}" for name in intervals))
    lowest: dict[tuple[int, str], list[float]] = {}
    for scenario in SCENARIOS:
        for runs in asked.seeds:
            if runs == 1 and max(scenario.seeds) > 0:
                continue  # one run each says nothing of the methods, and does not claim to
            for items in asked.items:
                cells = []
                for name, interval in intervals.items():
                    if runs == 1 and name == "t over seeds":
                        cells.append("")
                        continue
                    # Two hundred samples of each study take 50 times as long as a formula.
                    studies = max(asked.studies // 4, 1) if name == "bootstrap" else asked.studies
                    share, width = coverage(scenario, (runs, runs), items, studies, interval)
                    lowest.setdefault((runs, name), []).append(share)
                    cells.append(f"{share:.3f} (±{100 * width:5.2f})")
                line = "".join(f"{cell:>20}" for cell in cells)
                print(f"{scenario.name:26}{runs:6}{items:7}  {line}", flush=True)
    print("\nlowest, mean and highest coverage over all scenarios and numbers of items")
    for (runs, name), shares in sorted(lowest.items()):
        mean = sum(shares) / len(shares)
        print(f"{runs} seeds  {name:14}{min(shares):.3f}  {mean:.3f}  {max(shares):.3f}")


if __name__ == "__main__":
    main()
