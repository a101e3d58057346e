"""Which recipes nothing beats in everything: the Pareto front, uncertainty included."""

from collections.abc import Callable, Iterable, Sequence

from workbench.comparison.rows import by_seed
from workbench.comparison.schema import Dominance, ParetoStatus, Row
from workbench.comparison.testing import seeds_only
from workbench.errors import UsageError
from workbench.recipe.catalogue import higher_is_better
from workbench.recipe.suggest import choice

METRIC = "metric"
"""Stands for the primary metric of each group."""

EXACT = ("trainable_parameters", "adapter_parameters", "adapter_bytes")
MEASURED = ("peak_memory_bytes", "train_seconds")
RETENTION = "retention"
OBJECTIVES = {
    METRIC: "score",
    RETENTION: "retention",
    "trainable_parameters": "trainable parameters",
    "adapter_parameters": "adapter parameters",
    "adapter_bytes": "adapter size",
    "peak_memory_bytes": "peak memory",
    "train_seconds": "training time",
}
DEFAULT = (METRIC, "trainable_parameters", "peak_memory_bytes")

SINGLE_RUN_DOUBT = 0.1
"""Relative difference in memory or time up to which one run each decides nothing."""

Intervals = dict[tuple[str, str, str], tuple[float, float]]
"""By metric and the labels of two rows: the 95% interval of the first minus the second."""

_Compared = tuple[int, Callable[[], int | None]]
"""One row against another by means, and, once it is called, surely, or None where runs or machines
do not allow to tell: +1 the first is better, -1 worse, 0 equal."""


def pareto(
    rows: Sequence[Row],
    objectives: Sequence[str] = DEFAULT,
    intervals: Intervals | None = None,
) -> list[ParetoStatus]:
    """The Pareto status of each row among those of its group, in the order of the rows.

    A row is ``dominated`` when another is surely at least as good in every objective and surely
    better in one; on the ``front`` when it surely beats each other row in something; everything
    else is ``possibly_dominated``. Costs that are counted are exact; scores, memory and time
    differ surely when the 95% interval leaves out 0. A row that lacks a value has no status.

    Args:
        objectives: two or three of ``OBJECTIVES`` and of the names of metrics; else a UsageError.
        intervals: of differences of metrics; where one is not there, that over the seeds is taken.
    """
    metrics = sorted({name for row in rows for name in row["metrics"]})
    known = [METRIC, *EXACT, *MEASURED, RETENTION, *metrics]
    for name in objectives:
        if name not in known and (rows or name.count("_")):
            raise UsageError(f"no objective {name!r}", fix=choice(name, known))
    if not 2 <= len(set(objectives)) == len(objectives) <= 3:
        raise UsageError(
            f"a Pareto front of {', '.join(objectives) or 'nothing'}",
            why="it is drawn between two or three different objectives",
            fix=f"e.g. {','.join(DEFAULT)}",
        )
    return [_status(row, rows, objectives, intervals or {}) for row in rows]


def _status(
    row: Row, rows: Sequence[Row], objectives: Sequence[str], intervals: Intervals
) -> ParetoStatus:
    complete = _is_complete(row, objectives)
    surely: list[str] = []
    possibly: list[str] = []
    by_means = True
    counted_first = sorted(objectives, key=lambda name: name not in EXACT)
    for other in rows if complete else []:
        if other is row or other["group"] != row["group"] or not _is_complete(other, objectives):
            continue
        compared = [_compare(other, row, name, intervals) for name in counted_first]
        sure = _until_worse(tell for _, tell in compared)
        if set(sure) <= {0, 1} and 1 in sure:
            surely.append(other["label"])
        elif -1 not in sure and set(sure) != {0}:
            possibly.append(other["label"])
        by_means = by_means and not _beats(compared)
    status: Dominance = "dominated" if surely else "possibly_dominated" if possibly else "front"
    return {
        "group": row["group"],
        "label": row["label"],
        "status": status if complete else None,
        "on_front_by_means": by_means if complete else None,
        "dominated_by": surely,
        "possibly_dominated_by": possibly,
        "values": {name: _value(row, name) for name in objectives},
    }


def _until_worse(ways: Iterable[Callable[[], int | None]]) -> list[int | None]:
    """What is sure in each objective, up to the first in which the row is worse: it decides."""
    found: list[int | None] = []
    for tell in ways:
        found.append(tell())
        if found[-1] == -1:
            break
    return found


def _beats(compared: Sequence[_Compared]) -> bool:
    """Whether a row is, by means, at least as good in everything and better in something."""
    signs = [sign for sign, _ in compared]
    return min(signs) >= 0 < max(signs)


def _is_complete(row: Row, objectives: Sequence[str]) -> bool:
    return all(_value(row, name) is not None for name in objectives)


def front_by_means(rows: Sequence[Row], metric: str, cost: str) -> list[str]:
    """Labels of the rows that no other beats in both a metric and a cost, by their means."""
    both = (metric, cost)
    known = [row for row in rows if metric and _is_complete(row, both)]
    return [
        row["label"]
        for row in known
        if not any(
            _beats([_compare(other, row, name, {}) for name in both])
            for other in known
            if other is not row and other["group"] == row["group"]
        )
    ]


def _metric(row: Row, objective: str) -> str:
    return row["primary_metric"] or "" if objective == METRIC else objective


def _value(row: Row, objective: str) -> float | None:
    if objective in EXACT or objective in MEASURED:
        return row[objective]  # type: ignore[literal-required, no-any-return]
    if objective == RETENTION:
        return row["retention"]["mean"] if row["retention"] else None
    summary = row["metrics"].get(_metric(row, objective))
    return summary["mean"] if summary else None


def _compare(one: Row, other: Row, objective: str, intervals: Intervals) -> _Compared:
    left, right = _value(one, objective), _value(other, objective)
    assert left is not None and right is not None  # complete rows only
    if objective in EXACT:
        sign = (left < right) - (left > right)
        return sign, lambda: sign
    if objective in MEASURED:
        if one["hardware"] != other["hardware"]:
            return -1, _unknown  # figures of two machines rank nothing
        sign = (left < right) - (left > right)
        return sign, lambda: _surely(_over_runs(one, other, objective, left, right), -1)
    if objective == RETENTION:
        return _compare_retention(one, other)
    metric = _metric(one, objective)
    if metric != _metric(other, objective):
        return -1, _unknown  # nor do two metrics
    direction = 1 if higher_is_better(metric) else -1

    def surely() -> int | None:
        found = intervals.get((metric, one["label"], other["label"])) or _over_seeds(
            by_seed(one, one["metrics"][metric]["values"]),
            by_seed(other, other["metrics"][metric]["values"]),
        )
        return _surely(found, direction)

    return direction * ((left > right) - (left < right)), surely


def _unknown() -> None:
    """Where nothing allows to tell."""


def _compare_retention(one: Row, other: Row) -> _Compared:
    ours, theirs = one["retention"], other["retention"]
    assert ours is not None and theirs is not None  # complete rows only
    left, right = ours["mean"], theirs["mean"]
    if ours["measure"] != theirs["measure"] or left is None or right is None:
        return -1, _unknown
    sides = by_seed(one, ours["values"]), by_seed(other, theirs["values"])
    return (left > right) - (left < right), lambda: _surely(_over_seeds(*sides), 1)


def _surely(interval: tuple[float, float] | None, direction: int) -> int | None:
    """The sign of a difference whose interval leaves out 0, turned so that +1 is better."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return direction if interval[0] > 0 else -direction


def _over_seeds(one: dict[int, float], other: dict[int, float]) -> tuple[float, float] | None:
    if min(len(one), len(other)) < 2:
        return None
    found = seeds_only(one, other)
    return (found.low, found.high) if found.low is not None and found.high is not None else None


def _over_runs(
    one: Row, other: Row, cost: str, left: float, right: float
) -> tuple[float, float] | None:
    """The interval of a difference in cost; of single runs, 10% either way."""
    sides = [by_seed(row, row["per_seed"][cost]) for row in (one, other)]
    interval = _over_seeds(*sides)
    if interval is not None or max(left, right) <= 0:
        return interval
    # Memory that is the same in each of several runs was counted and not measured.
    doubt = SINGLE_RUN_DOUBT * max(left, right) if min(map(len, sides)) < 2 else 0.0
    return left - right - doubt, left - right + doubt
