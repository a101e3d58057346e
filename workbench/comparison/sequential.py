"""Seeds added until a comparison is decided: each look at the data spends a part of the 5%.

Lan & DeMets 1983, with their spending function of the type of O'Brien & Fleming 1979: early looks
take next to nothing, the last one nearly all. What a look costs depends on the looks before it and
on the most seeds there may be, and not on what was seen. The looks stand in a file of the study's
folder, written before each of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workbench.comparison.rows import Sample
from workbench.comparison.statistics import CONFIDENCE, Looks
from workbench.comparison.testing import Difference
from workbench.formatting import listing
from workbench.store import read_record, write_json

if TYPE_CHECKING:
    import numpy as np

LEVEL = 1 - CONFIDENCE
MOST_SEEDS = 200
_NODES = 64
"""Of the Gauss-Legendre quadrature; with 256 the boundaries are the same to six digits."""
_SMALLEST = 1e-12
"""The strictest level at which an interval is given: there is no other where none can decide."""
_NEVER = 38.0
"""Standard deviations that no number of double precision lies beyond."""

Count = Annotated[int, Field(ge=2, le=MOST_SEEDS)]


def spent(fraction: float, level: float = LEVEL) -> float:
    """The part of the error that may be spent by the time that this fraction of the data is in:
    half of it on each side, each by the function of Lan & DeMets for one side."""
    return _spent(fraction, NormalDist().inv_cdf(1 - level / 4))


def _spent(fraction: float, z: float) -> float:
    return 2 * math.erfc(z / math.sqrt(2 * min(fraction, 1.0)))


def critical_values(fractions: tuple[float, ...], level: float = LEVEL) -> list[float]:
    """The |z| to be reached at each look, two-sided, so that the looks err in ``level`` together.

    The recursion of Armitage, McPherson & Rowe (1969): the density of the score over the runs of a
    study that was not decided before.
    """
    return [float(each[0]) for each in _critical(fractions, (NormalDist().inv_cdf(1 - level / 4),))]


def _critical(fractions: tuple[float, ...], levels: tuple[float, ...]) -> list[np.ndarray]:
    """Those of several levels at once, each given by the z that its quarter lies above."""
    import numpy as np
    from scipy.special import ndtr

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # By level: of the score, a Brownian motion in the fraction.
    at, mass = np.zeros((len(levels), 1)), np.ones((len(levels), 1))
    before_fraction, before_spent = 0.0, np.zeros(len(levels))
    found = []
    for fraction in fractions:
        step = math.sqrt(fraction - before_fraction)
        so_far = np.array([_spent(fraction, z) for z in levels])
        low, high = np.zeros(len(levels)), np.full(len(levels), _NEVER * math.sqrt(fraction))
        for _ in range(48):
            middle = (low + high) / 2
            tails = ndtr((at - middle[:, None]) / step) + ndtr((-at - middle[:, None]) / step)
            above = (mass * tails).sum(axis=1) > so_far - before_spent
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        found.append(high / math.sqrt(fraction))
        places = high[:, None] * nodes
        kernel = np.exp(-(((places[:, :, None] - at[:, None, :]) / step) ** 2) / 2)
        arriving = (kernel @ mass[:, :, None])[:, :, 0] / (step * math.sqrt(2 * math.pi))
        at, mass = places, high[:, None] * weights * arriving
        before_fraction, before_spent = fraction, so_far
    return found


@lru_cache(maxsize=256)
def _last_critical(fractions: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """The last critical value at many levels, ascending, and the levels in deviations; from where
    it no longer falls with the level on, as all is spent on earlier looks, there are none."""
    deviations = sorted({*(k / 10 for k in range(10, 91)), NormalDist().inv_cdf(1 - LEVEL / 4)})
    last = _critical(fractions, tuple(deviations))[-1].tolist()
    start = max((i for i in range(1, len(last)) if last[i] <= last[i - 1]), default=0)
    return last[start:], deviations[start:]


@lru_cache(maxsize=1024)
def nominal_level(fractions: tuple[float, ...]) -> float:
    """What p has to be at most at the last of these looks."""
    return math.erfc(critical_values(fractions)[-1] / math.sqrt(2))


def repeated_p(p: float, fractions: tuple[float, ...]) -> float:
    """The smallest level at which a look with this p decides: a p that holds whenever one stops,
    so that Holm's correction may be put upon it (Jennison & Turnbull 2000, chapter 9)."""
    import numpy as np

    if len(fractions) == 1 and fractions[0] == 1:
        return p
    critical, deviations = _last_critical(fractions)
    z = NormalDist().inv_cdf(1 - p / 2) if p > 1e-15 else _NEVER
    if z < critical[0]:
        return 1.0
    return 2 * math.erfc(float(np.interp(z, critical, deviations)) / math.sqrt(2))


class Look(BaseModel):
    """The data as they were once looked at."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    seeds: Count
    conclusions: dict[str, str] = {}
    """By the two labels of a pair; empty where the look was not completed."""


class Plan(BaseModel):
    """Recipes that seeds are added to until they are decided, and the looks so far."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    version: Literal[1] = 1
    recipes: Annotated[dict[str, str], Field(min_length=2)]
    """Fingerprints by name."""
    most: Count
    seeds: Annotated[list[int], Field(max_length=MOST_SEEDS)] = []
    """In the order in which they are added."""
    looks: Annotated[list[Look], Field(max_length=MOST_SEEDS)] = []

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        seeds = [look.seeds for look in self.looks]
        if seeds != sorted(set(seeds)) or (seeds and seeds[-1] > self.most):
            raise ValueError("looks at fewer seeds after more")
        return self

    @property
    def name(self) -> str:
        key = hashlib.sha256(repr(sorted(self.recipes.items())).encode()).hexdigest()
        return f"looks-{key[:8]}.json"

    def fractions(self, runs: int) -> tuple[float, ...]:
        """Of the most seeds, at the looks up to this one; one that was not planned counts too."""
        most = max(self.most, runs)
        before = [look.seeds for look in self.looks if look.seeds < runs]
        return tuple(seeds / most for seeds in (*before, runs))

    def with_look(self, look: Look) -> Plan:
        others = [each for each in self.looks if each.seeds != look.seeds]
        looks = sorted([*others, look], key=lambda each: each.seeds)
        return self.model_copy(update={"looks": looks})

    def write(self, study: Path) -> None:
        study.mkdir(parents=True, exist_ok=True)
        write_json(study / self.name, self.model_dump(mode="json"))

    def paid(self, found: Difference) -> Difference:
        """A difference with the looks paid for: p, and an interval that holds at all looks."""
        if found.p_value is None or min(found.runs) < 2:
            return found
        runs = min(found.runs)
        fractions = self.fractions(runs)
        level = nominal_level(fractions)
        half = found.spread.half_width(LEVEL / max(level, _SMALLEST))
        return replace(
            found,
            low=found.estimate - half,
            high=found.estimate + half,
            given_p=repeated_p(found.p_value, fractions),
            looks=Looks(count=len(fractions), level=level, note=self._note(runs)),
        )

    def _note(self, runs: int) -> str:
        looks = sorted({*(look.seeds for look in self.looks if look.seeds < runs), runs})
        return (
            f"seeds were added until decided, {max(self.most, runs)} at most (looks at "
            f"{listing([str(seeds) for seeds in looks], None)}): p and intervals pay for the looks "
            "(alpha spending, O'Brien-Fleming type)"
        )


def plans_of(samples: Sequence[Sample]) -> tuple[list[Plan], list[str]]:
    """The plans of the studies that some runs belong to, and what is wrong with others."""
    plans, problems = [], []
    for study in dict.fromkeys(run.path.parent for sample in samples for run in sample.runs):
        found, broken = read_plans(study)
        plans += found
        problems += [
            f"{study.name}/{name} cannot be read: if seeds were added until decided, these looks "
            "are not paid for"
            for name in broken
        ]
    return plans, problems


def read_plans(study: Path) -> tuple[list[Plan], list[str]]:
    """The plans of a study, and the names of files that hold none."""
    plans, broken = [], []
    for path in sorted(study.glob("looks-*.json")):
        try:
            plans.append(Plan.model_validate(read_record(path)))
        except ValidationError:
            broken.append(path.name)
    return plans, broken


def plan_of(plans: Sequence[Plan], fingerprints: Sequence[str]) -> Plan | None:
    """The plan with the most looks that has all of these recipes."""
    of = [plan for plan in plans if {*fingerprints} <= {*plan.recipes.values()}]
    return max(of, key=lambda plan: len(plan.looks), default=None)
