"""Tables: cells with the text for a reader and the exact number behind it, for every format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from workbench import formatting
from workbench.comparison.collapse import remark
from workbench.comparison.pareto import METRIC, OBJECTIVES
from workbench.comparison.result import (
    ComparisonResult,
    Group,
    ends,
    half_interval,
    shown_interval,
)
from workbench.comparison.schema import Row, Summary, Verdict
from workbench.comparison.statistics import scale_of
from workbench.comparison.table_notes import (
    LOWER,
    configuration_note,
    direction_note,
    interval_note,
    retention_note,
)
from workbench.formatting import plain
from workbench.recipe.catalogue import higher_is_better

MARK = "†"
ROUNDED = 0.0005
"""Half of the last digit that is shown: by less an interval may be off its middle and have a ±."""


class Cell(NamedTuple):
    """What a reader sees, and the number as it is in the record."""

    text: str
    value: float | None = None
    unit: Literal["bytes", "seconds", "count"] | None = None
    """Of a value that may be written in another one of its kind."""


@dataclass(frozen=True)
class Column:
    header: str
    cells: Sequence[Cell]
    align: Literal["left", "right"] = "right"
    drop: int = 0
    """Which columns go first where there is no room, the highest first; 0 always stays."""


@dataclass(frozen=True)
class Table:
    """A table under its title; the last ``references`` lines are set apart."""

    title: str
    columns: Sequence[Column]
    references: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def headers(self) -> list[str]:
        return [column.header for column in self.columns]

    @property
    def lines(self) -> list[tuple[Cell, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


def amount(value: float | None, text: Callable[[float | None], str]) -> Cell:
    """A number that may be absent, as ``formatting`` writes it."""
    return Cell(text(value), value, _UNITS.get(text))


_UNITS: dict[Callable[[float | None], str], Literal["bytes", "seconds", "count"]] = {
    formatting.size: "bytes",
    formatting.duration: "seconds",
    formatting.count: "count",
}


def table_of(
    title: str, headers: Sequence[str], lines: Sequence[Sequence[Cell]], left: Sequence[str] = ()
) -> Table:
    """A table from its lines; ``left`` are the columns of words, besides the first."""
    columns = [
        Column(header, [line[i] for line in lines], "left" if not i or header in left else "right")
        for i, header in enumerate(headers)
    ]
    return Table(title, columns)


def comparison_tables(comparison: ComparisonResult, *, findings: bool = False) -> list[Table]:
    """One table for each group; ``findings`` adds columns of verdicts and of the Pareto front, for
    readers who do not see the sentences."""
    pareto = findings or comparison.pareto_column
    return [
        comparison_table(group, verdicts=findings, pareto=pareto) for group in comparison.groups()
    ]


def comparison_table(
    group: Group, *, verdicts: bool = False, pareto: bool = False, wide: bool = False
) -> Table:
    """The rows of a group with scores and costs, then its references with their scores; ``wide``
    gives method, seeds and the share of the parameters columns of their own."""
    pareto = pareto and bool(group.pareto)
    names = [_name(row, wide=wide) for row in group.rows]
    names += [reference["name"] for reference in group.references]
    found = [group.verdict_on(row) for row in group.rows] if verdicts else []
    columns = [Column("recipe", [Cell(plain(name)) for name in names], "left")]
    if wide:
        if any(row["method"] != row["label"] for row in group.rows):
            methods = [Cell(plain(row["method"])) for row in group.rows]
            columns.append(_column(group, "method", methods, align="left"))
        seeds = [len(row["seeds"]) for row in group.rows]
        columns.append(_column(group, "seeds", [Cell(str(count), count) for count in seeds]))
    columns += _score_columns(group, counted=not wide)
    if any(found):
        columns.append(
            _column(group, "verdict", [Cell(each["conclusion"] if each else "") for each in found])
        )
    if pareto:
        statuses = [group.pareto_status(row) for row in group.rows]
        words = [((each and each["status"]) or formatting.ABSENT) for each in statuses]
        shown = [Cell(word.replace("_", " ")) for word in words]
        columns.append(_column(group, "Pareto", shown, align="left" if wide else "right"))
    columns += _retention_column(group)
    columns += [
        _column(group, header, [cell(row) for row in group.rows], drop)
        for header, drop, cell in (_APART if wide else _TOGETHER) + _COSTS
    ]
    if wide:  # what a narrow reader keeps longest comes first
        columns.sort(key=lambda column: column.drop)
    notes = [f"{MARK} {plain(text)}" for row in group.rows if (text := remark(row))]
    notes += [
        interval_note(group, counted=not wide),
        *direction_note(group),
        *retention_note(group),
    ]
    notes += [*([_pareto_note(group)] if pareto else []), *configuration_note(group)]
    return Table(plain(group.title), columns, len(group.references), notes)


def _name(row: Row, *, wide: bool) -> str:
    """A row's label, with the method where neither it nor a column of its own says it."""
    label, method = row["label"], row["method"]
    name = label if wide or method in label else f"{label} ({method})"
    return f"{name} {MARK}" if remark(row) else name


def _pareto_note(group: Group) -> str:
    between = [name if name == METRIC else OBJECTIVES.get(name, name) for name in group.objectives]
    return (
        f"Pareto, between {', '.join(between)}: front, no other row can beat it in "
        "all of them; dominated, another row surely does; possibly dominated, where the "
        "intervals leave it open"
    )


def _column(
    group: Group,
    header: str,
    cells: Sequence[Cell],
    drop: int = 0,
    align: Literal["left", "right"] = "right",
) -> Column:
    """A column about the rows alone."""
    return Column(header, [*cells, *[Cell("")] * len(group.references)], align, drop)


def _score_columns(group: Group, *, counted: bool) -> list[Column]:
    """Every metric, the group's own first and followed by the difference to the baseline."""
    names = dict.fromkeys([group.metric, *(m for row in group.rows for m in row["metrics"])])
    columns = []
    for position, name in enumerate(filter(None, names)):
        cells = [_score(row, name, counted=counted) for row in group.rows]
        scores = [reference["metrics"].get(name) for reference in group.references]
        cells += [Cell(formatting.score(score), score) for score in scores]
        header = plain(name) if higher_is_better(name) else f"{plain(name)} {LOWER}"
        columns.append(Column(header, cells, drop=10 + position if position else 0))
        if name == group.metric and any(row["baseline"] for row in group.rows):
            columns.append(_difference_column(group))
    return columns


def _score(row: Row, metric: str, *, counted: bool) -> Cell:
    """``counted``: with the number of seeds, which is said anyway where some lack the score."""
    if (found := row["metrics"].get(metric)) is None:
        return Cell(formatting.ABSENT)
    n = found["n"] if counted or found["n"] < len(row["seeds"]) else None
    return Cell(formatting.score(found["mean"], shown_interval(found), n), found["mean"])


def _difference_column(group: Group) -> Column:
    """The interval is the verdict's where there is one, else that of the differences by seed; of
    exponentials all are ratios."""
    cells, ratio = [], scale_of(group.metric) == "ratio"
    for row in group.rows:
        if row["baseline"] == row["label"]:
            cells.append(Cell("baseline", 1.0 if ratio else 0.0))
            continue
        verdict = group.verdict_on(row) if row["baseline"] else None
        tested: Summary | Verdict | None = None
        if verdict and verdict["metric"] == group.metric:
            tested = verdict
        if half_interval(tested) is None:
            tested = row["baseline_paired"].get(group.metric)
        delta = row["baseline_ratio" if ratio else "baseline_delta"].get(group.metric)
        text = _ratio(delta, tested) if ratio else _difference(delta, tested)
        cells.append(Cell(text, delta))
    baselines = list(dict.fromkeys(row["baseline"] for row in group.rows if row["baseline"]))
    name = plain(baselines[0]) if len(baselines) == 1 else "baseline"
    return _column(group, f"{'ratio' if ratio else 'Δ'} vs {name}", cells)


def _ratio(value: float | None, found: Summary | Verdict | None) -> str:
    """``1.16x [1.04, 1.29]``."""
    if value is None:
        return formatting.ABSENT
    low, high = ("ratio_low", "ratio_high") if found and "ratio" in found else ("ci_low", "ci_high")
    bounds = (found.get(low), found.get(high)) if found else (None, None)
    known = [float(end) for end in bounds if isinstance(end, float)]
    shown, *ends_shown = formatting.ratios(value, *known)
    return f"{shown}x" + (f" [{', '.join(ends_shown)}]" if known else "")


def _difference(delta: float | None, found: Summary | Verdict | None) -> str:
    """With the ends of the interval where ± would give others, as the bounds of a scale do."""
    half = half_interval(found)
    if delta is None or found is None or half is None:
        return formatting.difference(delta, half)
    low, high = found["ci_low"] or 0.0, found["ci_high"] or 0.0
    if abs((low + high) / 2 - delta) < ROUNDED * max(1.0, abs(delta), half):
        return formatting.difference(delta, half)
    sign = "+" if delta >= 0 else ""
    return f"{sign}{formatting.score(delta, (low, high))}"


def _retention_column(group: Group) -> list[Column]:
    found = [row["retention"] for row in group.rows]
    cells = [
        Cell(formatting.score(each["mean"], ends(each)), each["mean"])
        if each
        else Cell(formatting.ABSENT)
        for each in found
    ]
    return [_column(group, "retention", cells, 3)] if any(found) else []


def _trainable(row: Row) -> Cell:
    trained, total = row["trainable_parameters"], row["total_parameters"]
    return Cell(f"{formatting.count(trained)} ({formatting.share(trained, total)})", trained)


def _share(row: Row) -> Cell:
    trained, total = row["trainable_parameters"], row["total_parameters"]
    text = formatting.share(trained, total).removesuffix("%")
    return Cell(text, 100 * trained / total if total else None)


def _cost(key: str, text: Callable[[float | None], str]) -> Callable[[Row], Cell]:
    return lambda row: amount(row[key], text)  # type: ignore[literal-required]


# Header, the order in which a narrow terminal loses the column, and the cell.
_TOGETHER = (("trainable", 1, _trainable),)
_APART = (
    ("trainable parameters", 1, _cost("trainable_parameters", formatting.count)),
    ("% of all", 1, _share),
)
_COSTS = (
    ("task head", 6, _cost("head_parameters", formatting.count)),
    ("adapter file", 5, _cost("adapter_bytes", formatting.size)),
    ("peak memory", 2, _cost("peak_memory_bytes", formatting.size)),
    ("train time", 4, _cost("train_seconds", formatting.duration)),
)
