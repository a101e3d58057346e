"""Which recipes nothing beats in everything: the Pareto front, uncertainty included."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from workbench.comparison.rows import Row
from workbench.comparison.testing import seeds_only
from workbench.errors import UsageError
from workbench.recipe.catalogue import higher_is_better

METRIC = "metric"
"""Stands for the primary metric of each group."""

EXACT = ("trainable_parameters", "adapter_parameters", "adapter_bytes")
MEASURED = ("peak_memory_bytes", "train_seconds")
DEFAULT = (METRIC, "trainable_parameters", "peak_memory_bytes")

SINGLE_RUN_DOUBT = 0.1
"""Relative difference in memory or time up to which one run each decides nothing."""

Intervals = Mapping[tuple[str, str, str], tuple[float, float]]
"""By metric and the labels of two rows: the 95% interval of the first minus the second."""


class Standing(TypedDict):
    """Where a row stands among those of its group; the rules are in docs/comparing.md."""

    group: int
    label: str
    standing: Literal["front", "perhaps", "dominated"] | None
    on_front_by_means: bool | None
    dominated_by: list[str]
    perhaps_dominated_by: list[str]
    values: dict[str, float | None]


@dataclass(frozen=True)
class _Compared:
    """One row against another in one objective: +1 the first is better, -1 worse, 0 equal."""

    by_means: int
    surely: int | None
    """None where runs or machines do not allow to tell."""


def pareto(
    rows: Sequence[Row],
    objectives: Sequence[str] = DEFAULT,
    intervals: Intervals | None = None,
) -> list[Standing]:
    """The standing of each row among those of its group, in the order of the rows.

    A row is ``dominated`` when another is surely at least as good in every objective and surely
    better in one; it is on the ``front`` when it surely beats each other row in something, so that
    none can dominate it; everything else is ``perhaps``. Costs that are counted are exact; scores,
    memory and time differ surely when the 95% interval of the difference leaves out 0. A row that
    lacks a value has no standing.

    Args:
        objectives: two or three of ``metric`` (or the name of one), ``trainable_parameters``,
            ``adapter_parameters``, ``adapter_bytes``, ``peak_memory_bytes`` and ``train_seconds``.
        intervals: of differences of metrics; where one is not there, that over the seeds is taken.

    Raises:
        UsageError: when these are not two or three different objectives.
    """
    check_objectives(rows, objectives)
    values = [{name: _value(row, name) for name in objectives} for row in rows]
    complete = [None not in found.values() for found in values]
    standings = []
    for i, row in enumerate(rows):
        sure: list[str] = []
        perhaps: list[str] = []
        by_means = True
        for j, other in enumerate(rows):
            if i == j or other["group"] != row["group"] or not (complete[i] and complete[j]):
                continue
            compared = [_compare(other, row, name, intervals or {}) for name in objectives]
            if all(c.surely in (0, 1) for c in compared) and any(c.surely == 1 for c in compared):
                sure.append(other["label"])
            elif not any(c.surely == -1 for c in compared) and any(c.surely != 0 for c in compared):
                perhaps.append(other["label"])
            worst, best = (f(c.by_means for c in compared) for f in (min, max))
            by_means = by_means and not (worst >= 0 and best > 0)
        standings.append(_standing(row, values[i], complete[i], by_means, sure, perhaps))
    return standings


def _standing(
    row: Row,
    values: dict[str, float | None],
    complete: bool,
    by_means: bool,
    sure: list[str],
    perhaps: list[str],
) -> Standing:
    standing: Literal["front", "perhaps", "dominated"]
    standing = "dominated" if sure else "perhaps" if perhaps else "front"
    return {
        "group": row["group"],
        "label": row["label"],
        "standing": standing if complete else None,
        "on_front_by_means": by_means if complete else None,
        "dominated_by": sure,
        "perhaps_dominated_by": perhaps,
        "values": values,
    }


def check_objectives(rows: Sequence[Row], objectives: Sequence[str]) -> None:
    """Refuses what is no objective.

    Raises:
        UsageError: with those that there are.
    """
    metrics = sorted({name for row in rows for name in row["metrics"]})
    known = [METRIC, *EXACT, *MEASURED, *metrics]
    for name in objectives:
        if name not in known and (rows or name.count("_")):
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"no objective {name!r}", fix=f"{hint}Use {', '.join(known)}.")
    if not 2 <= len(set(objectives)) == len(objectives) <= 3:
        raise UsageError(
            f"a Pareto front of {', '.join(objectives) or 'nothing'}",
            why="it is drawn between two or three different objectives",
            fix=f"e.g. {','.join(DEFAULT)}",
        )


def _metric(row: Row, objective: str) -> str:
    return row["primary_metric"] or "" if objective == METRIC else objective


def _value(row: Row, objective: str) -> float | None:
    if objective in EXACT or objective in MEASURED:
        return row[objective]  # type: ignore[literal-required, no-any-return]
    summary = row["metrics"].get(_metric(row, objective))
    return summary["mean"] if summary else None


def _compare(one: Row, other: Row, objective: str, intervals: Intervals) -> _Compared:
    left, right = _value(one, objective), _value(other, objective)
    assert left is not None and right is not None  # complete rows only
    if objective in EXACT:
        sign = (left < right) - (left > right)
        return _Compared(sign, sign)
    if objective in MEASURED:
        if one["hardware"] != other["hardware"]:
            return _Compared(-1, None)  # figures of two machines rank nothing
        sign = (left < right) - (left > right)
        return _Compared(sign, _surely(_over_runs(one, other, objective, left, right), -1))
    metric = _metric(one, objective)
    if metric != _metric(other, objective):
        return _Compared(-1, None)  # nor do two metrics
    direction = 1 if higher_is_better(metric) else -1
    found = intervals.get((metric, one["label"], other["label"])) or _over_seeds(
        _by_seed(one, one["metrics"][metric]["values"]),
        _by_seed(other, other["metrics"][metric]["values"]),
    )
    return _Compared(direction * ((left > right) - (left < right)), _surely(found, direction))


def _surely(interval: tuple[float, float] | None, direction: int) -> int | None:
    """The sign of a difference whose interval leaves out 0, turned so that +1 is better."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return direction if interval[0] > 0 else -direction


def _by_seed(row: Row, values: Sequence[float | None]) -> dict[int, float]:
    pairs = zip(row["seeds"], values, strict=True)
    return {seed: value for seed, value in pairs if value is not None}


def _over_seeds(one: dict[int, float], other: dict[int, float]) -> tuple[float, float] | None:
    if min(len(one), len(other)) < 2:
        return None
    found = seeds_only(one, other)
    return (found.low, found.high) if found.low is not None and found.high is not None else None


def _over_runs(
    one: Row, other: Row, cost: str, left: float, right: float
) -> tuple[float, float] | None:
    """The interval of a difference in cost; of single runs, 10% either way."""
    sides = [_by_seed(row, row["per_seed"][cost]) for row in (one, other)]
    interval = _over_seeds(*sides)
    if interval is not None or max(left, right) <= 0:
        return interval
    # Memory that is the same in each of several runs was counted and not measured.
    doubt = SINGLE_RUN_DOUBT * max(left, right) if min(map(len, sides)) < 2 else 0.0
    return left - right - doubt, left - right + doubt
