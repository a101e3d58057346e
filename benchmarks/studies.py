"""Simulated studies of known truth, for ``benchmarks.coverage``: methods with several seeds each on
the same test items, of which it is known how much they truly differ.

Two generators that share no code. In the first all items are alike but for how hard they are. In
the second they are easy, contested or impossible, may lie in clusters, and seeds may collapse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Protocol

import numpy as np

from workbench.comparison.items import ItemScores, by_group

HARD, OWN = 3.0, 1.2
"""Deviations of how hard items are for all, and for one method: at 96.5% accuracy two adapters
then disagree on about 3% of the items, as those of the BBC study do."""

_NORMAL = NormalDist()
_CELLS = 4_000_000
"""Answers that are drawn at a time."""


class Scenario(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def accuracy(self) -> tuple[float, float]:
        """Expected, over all seeds and items, of the first method and of each of the others."""

    def draw(
        self, methods: int, runs: int, items: int, studies: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """For each method the right answers, (studies, runs, items)."""

    @property
    def cluster(self) -> int: ...


def truth(scenario: Scenario) -> float:
    return scenario.accuracy[0] - scenario.accuracy[1]


def study(
    scenario: Scenario,
    *,
    methods: int = 2,
    runs: int,
    items: int,
    studies: int,
    seed: int = 0,
) -> Iterator[list[ItemScores]]:
    """The item scores of all methods, study by study."""
    rng, left = np.random.default_rng(seed), studies
    names = np.arange(items) // scenario.cluster
    while left > 0:
        count = min(left, max(1, _CELLS // (runs * items * methods)))
        left -= count
        drawn = list(scenario.draw(methods, runs, items, count, rng))
        for number in range(count):
            yield [_scores(side[number], names, scenario.cluster) for side in drawn]


def _scores(right: np.ndarray, names: np.ndarray, cluster: int) -> ItemScores:
    values = right.astype(float)
    if cluster > 1:
        values = np.stack([by_group(names, row)[1] for row in values])
    return ItemScores(
        values=values,
        ids=(),
        right_or_wrong=cluster == 1,
        grouped=cluster > 1,
        share=True,
        seeds=tuple(range(len(values))),
    )


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _seed_effects(
    luck: float, methods: int, runs: int, studies: int, rng: np.random.Generator
) -> np.ndarray:
    """(methods, studies, runs, 1): what a seed does, ``luck`` of its variance to all methods."""
    shared = math.sqrt(luck) * _normal(rng, 1, studies, runs, 1)
    return shared + math.sqrt(1 - luck) * _normal(rng, methods, studies, runs, 1)


@dataclass(frozen=True, kw_only=True)
class Graded:
    """An item is answered rightly when the method's skill, what its seed changed, how hard the item
    is, how hard it is for this method, and chance add up to more than nothing."""

    name: str
    accuracy: tuple[float, float]
    seeds: tuple[float, float]
    """How much a seed changes the methods, in units of chance."""
    luck: float = 0.0
    """Share of a seed's effect that all methods have from the same seed."""
    cluster: int = 1

    def draw(
        self, methods: int, runs: int, items: int, studies: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        hard = HARD * _normal(rng, studies, 1, items)
        effects = _seed_effects(self.luck, methods, runs, studies, rng)
        for number in range(methods):
            accuracy, spread = (pair[min(number, 1)] for pair in (self.accuracy, self.seeds))
            total = math.sqrt(1 + HARD**2 + OWN**2 + spread**2)
            skill = _NORMAL.inv_cdf(accuracy) * total + spread * effects[number]
            own = OWN * _normal(rng, studies, 1, items)
            yield skill + hard + own + _normal(rng, studies, runs, items) > 0


EASY, CONTESTED = 0.65, 0.30
"""Shares of items that are easy and contested; the others are impossible."""
SURE = 2.5
"""How far easy and impossible items are from even odds, in units of chance."""


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Easy items that all get right but for slips, impossible ones, and contested ones, on which
    methods and seeds differ. Examples of a cluster share how hard they are, for all and for each
    method. A collapsed seed answers the class that half of the items have."""

    name: str
    better: float = 0.0
    """What the first method is better by on contested items, in units of chance."""
    seeds: tuple[float, float] = (0.3, 0.3)
    luck: float = 0.0
    collapse: float = 0.0
    cluster: int = 1

    @property
    def _deviations(self) -> tuple[float, float, float]:
        """Of clusters for all, of clusters for a method, of items for a method."""
        return (1.0, 0.5, 0.6) if self.cluster > 1 else (0.0, 0.0, 0.8)

    @property
    def accuracy(self) -> tuple[float, float]:
        one, other = (self._accuracy(side) for side in (0, 1))
        return one, other

    def _accuracy(self, side: int) -> float:
        spread = [1.0, 1.0, self.seeds[side], *self._deviations]
        level = (self.better if side == 0 else 0.0) / math.hypot(*spread)
        sure = EASY * _NORMAL.cdf(SURE) + (1 - EASY - CONTESTED) * _NORMAL.cdf(-SURE)
        trained = sure + CONTESTED * _NORMAL.cdf(level)
        return (1 - self.collapse) * trained + self.collapse / 2

    def draw(
        self, methods: int, runs: int, items: int, studies: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        kind = rng.random((studies, 1, items), dtype=np.float32)
        contested = (kind >= EASY) & (kind < EASY + CONTESTED)
        sure = np.where(kind < EASY, np.float32(SURE), np.float32(-SURE))
        majority = rng.random((studies, 1, items), dtype=np.float32) < 0.5
        clusters = -(-items // self.cluster)

        def shared(deviation: float) -> np.ndarray:
            drawn = deviation * _normal(rng, studies, 1, clusters if deviation else 1)
            return np.repeat(drawn, self.cluster, axis=2)[:, :, :items] if deviation else drawn

        for_all, for_method, for_item = self._deviations
        hard = _normal(rng, studies, 1, items) + shared(for_all)
        effects = _seed_effects(self.luck, methods, runs, studies, rng)
        for number in range(methods):
            skill = self.seeds[min(number, 1)] * effects[number]
            skill = skill + (self.better if number == 0 else 0.0)
            own = shared(for_method) + for_item * _normal(rng, studies, 1, items)
            level = np.where(contested, skill + hard + own, sure)
            right = level + _normal(rng, studies, runs, items) > 0
            lost = rng.random((studies, runs, 1)) < self.collapse
            yield np.where(lost, majority, right)


GRADED: tuple[Scenario, ...] = (
    Graded(name="easy task, steady seeds", accuracy=(0.965, 0.965), seeds=(0.0, 0.0)),
    Graded(name="easy task, as BBC news", accuracy=(0.965, 0.965), seeds=(0.3, 0.3)),
    Graded(name="easy task, wild seeds", accuracy=(0.965, 0.965), seeds=(1.0, 1.0)),
    Graded(name="middling task", accuracy=(0.8, 0.8), seeds=(0.15, 0.15)),
    Graded(name="middling, wilder seeds", accuracy=(0.8, 0.8), seeds=(0.3, 0.3)),
    Graded(name="hard task", accuracy=(0.6, 0.6), seeds=(0.3, 0.3)),
    Graded(name="same seed, same luck", accuracy=(0.8, 0.8), seeds=(0.3, 0.3), luck=0.5),
)
MIXED: tuple[Scenario, ...] = (
    Mixed(name="mixed, steady seeds", seeds=(0.0, 0.0)),
    Mixed(name="mixed"),
    Mixed(name="mixed, wild seeds", seeds=(0.8, 0.8)),
    Mixed(name="mixed, same luck", luck=0.5),
    Mixed(name="clusters of 5", cluster=5),
    Mixed(name="clusters of 10", cluster=10, seeds=(0.1, 0.1)),
)
UNEQUAL: tuple[Scenario, ...] = (
    Graded(name="one wild, one steady", accuracy=(0.965, 0.965), seeds=(1.0, 0.0)),
    Graded(name="middling, unequal", accuracy=(0.8, 0.8), seeds=(0.3, 0.1)),
    Mixed(name="mixed, unequal", seeds=(0.8, 0.1)),
    Mixed(name="collapsing seeds", collapse=0.2),
)
SCENARIOS = GRADED + MIXED + UNEQUAL


def apart(scenario: Scenario, gap: float) -> Scenario:
    """The same with a first method that is truly better by ``gap``."""
    if isinstance(scenario, Graded):
        base = scenario.accuracy[1]
        return replace(scenario, accuracy=(min(base + gap, 0.995), base))
    assert isinstance(scenario, Mixed)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        more = truth(replace(scenario, better=middle)) < gap
        low, high = (middle, high) if more else (low, middle)
    return replace(scenario, better=low)
