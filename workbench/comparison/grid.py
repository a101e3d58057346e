"""A comparison as columns of readable text, the same for every format made for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench import formatting
from workbench.comparison.configuration import MOST_READ
from workbench.comparison.findings import Finding, finding_of, standing_of
from workbench.comparison.rows import Reference, Row, Summary
from workbench.comparison.worth import worth_sentences
from workbench.recipe.catalogue import higher_is_better

if TYPE_CHECKING:
    from workbench.comparison.comparison import Comparison

SCORE_NOTE = "score ± half of the 95% interval of its mean over seeds (number of seeds)"
LOWER = "↓"


@dataclass(frozen=True)
class Column:
    """One column: a cell for each row, then one for each reference."""

    header: str
    cells: list[str]
    align: Literal["left", "right"] = "right"
    drop: int = 0
    """Which columns go first where there is no room, the highest first; 0 always stays."""


@dataclass(frozen=True)
class Grid:
    """The table of one group of comparable rows; the last ``references`` lines have no cost."""

    title: str
    columns: list[Column]
    references: int
    notes: list[str]

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """The cells line by line."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def grids(comparison: Comparison, *, findings: bool = False) -> list[Grid]:
    """One grid for each group.

    Args:
        findings: give verdicts and the Pareto front a column each, for tables without a terminal's
            width whose readers do not see the sentences.
    """
    groups = list(dict.fromkeys(row["group"] for row in comparison.rows))
    several = len(groups) > 1
    return [_grid(comparison, group, several=several, findings=findings) for group in groups]


def plain(text: str) -> str:
    """Text of a run folder on one line, with nothing in it that a terminal could obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _grid(comparison: Comparison, group: int, *, several: bool, findings: bool) -> Grid:
    rows = [row for row in comparison.rows if row["group"] == group]
    references = [r for r in comparison.references if r["group"] == group]
    columns = [
        _names(rows, references),
        *_score_columns(comparison, rows, references),
        *(_verdict_column(comparison, rows, references) if findings else []),
        *_pareto_column(comparison, rows, references, asked=findings),
        *(_column(h, [text(row) for row in rows], references, drop) for h, drop, text in _COSTS),
    ]
    studies = plain(", ".join(dict.fromkeys(row["study"] for row in rows)))
    models = plain(", ".join(dict.fromkeys(row["model"] for row in rows if row["model"])))
    title = " · ".join(part for part in (studies, models) if part)
    notes = [SCORE_NOTE, *_direction_note(rows), *_pareto_note(comparison, asked=findings)]
    notes += _configuration_note(comparison, group)
    return Grid(f"Group {group}: {title}" if several else title, columns, len(references), notes)


def _names(rows: Sequence[Row], references: Sequence[Reference]) -> Column:
    names = [
        row["label"] if row["method"] in row["label"] else f"{row['label']} ({row['method']})"
        for row in rows
    ]
    names += [reference["name"] for reference in references]
    return Column("recipe", [plain(name) for name in names], "left")


def _score_columns(
    comparison: Comparison, rows: Sequence[Row], references: Sequence[Reference]
) -> list[Column]:
    """Every metric, the primary one first and followed by the difference to the baseline."""
    primary = _primary(rows)
    names = dict.fromkeys(
        [*([primary] if primary else []), *(m for r in rows for m in r["metrics"])]
    )
    columns = []
    for position, name in enumerate(names):
        cells = [_score(row["metrics"].get(name)) for row in rows]
        cells += [formatting.score(reference["metrics"].get(name)) for reference in references]
        columns.append(Column(_metric_header(name), cells, drop=10 + position if position else 0))
        if name == primary and any(row["baseline"] for row in rows):
            columns.append(_difference_column(comparison, rows, references, name))
    return columns


def _primary(rows: Sequence[Row]) -> str | None:
    return next((row["primary_metric"] for row in rows if row["primary_metric"]), None)


def _metric_header(name: str) -> str:
    return plain(name) if higher_is_better(name) else f"{plain(name)} {LOWER}"


def _direction_note(rows: Sequence[Row]) -> list[str]:
    """What the arrow at a metric means, where there is one."""
    if all(higher_is_better(name) for row in rows for name in row["metrics"]):
        return []
    compared = any(row["baseline"] for row in rows) and not higher_is_better(_primary(rows) or "")
    return [f"{LOWER} lower is better" + (", so Δ below 0 is an improvement" if compared else "")]


def _difference_column(
    comparison: Comparison, rows: Sequence[Row], references: Sequence[Reference], metric: str
) -> Column:
    """The ± is the verdict's where there is one, else that of the differences by seed."""
    cells = []
    for row in rows:
        if row["baseline"] == row["label"]:
            cells.append("baseline")
            continue
        found = finding_of(comparison.verdicts, row) if row["baseline"] else None
        half = _half_of(found) if found and found["metric"] == metric else None
        paired = _half(row["baseline_paired"].get(metric))
        delta = row["baseline_delta"].get(metric)
        cells.append(formatting.difference(delta, half if half is not None else paired))
    baselines = list(dict.fromkeys(row["baseline"] for row in rows if row["baseline"]))
    name = plain(baselines[0]) if len(baselines) == 1 else "baseline"
    return _column(f"Δ vs {name}", cells, references, 0)


def _verdict_column(
    comparison: Comparison, rows: Sequence[Row], references: Sequence[Reference]
) -> list[Column]:
    """The conclusion on each row against its baseline, if there is one at all."""
    found = [finding_of(comparison.verdicts, row) for row in rows]
    if not any(found):
        return []
    cells = [each["verdict"] if each else "" for each in found]
    return [_column("verdict", cells, references, 0)]


def _pareto_column(
    comparison: Comparison, rows: Sequence[Row], references: Sequence[Reference], *, asked: bool
) -> list[Column]:
    if not _shows_pareto(comparison, asked):
        return []
    standings = [standing_of(comparison.pareto, row) for row in rows]
    cells = [(each and each["standing"]) or formatting.ABSENT for each in standings]
    return [_column("Pareto", cells, references, 0)]


def _shows_pareto(comparison: Comparison, asked: bool) -> bool:
    return bool(comparison.pareto) and (asked or comparison.pareto_column)


def _pareto_note(comparison: Comparison, *, asked: bool) -> list[str]:
    if not _shows_pareto(comparison, asked):
        return []
    between = ", ".join(comparison.pareto_objectives)
    return [
        f"Pareto, between {between}: front, surely not beaten in all of them by one other row; "
        "dominated, surely so beaten; perhaps, where the intervals leave it open"
    ]


def _half_of(found: Finding) -> float | None:
    low, high = found["ci_low"], found["ci_high"]
    return None if low is None or high is None else (high - low) / 2


def verdict_sentences(comparison: Comparison) -> list[str]:
    """What the tests say, one sentence for each pair, notes on them, then who beats a reference."""
    said = [verdict["sentence"] for verdict in comparison.verdicts] + comparison.verdict_notes
    return said + worth_sentences(comparison.rows, comparison.references)


def _column(header: str, cells: list[str], references: Sequence[Reference], drop: int) -> Column:
    return Column(header, cells + [""] * len(references), drop=drop)


def _score(summary: Summary | None) -> str:
    if summary is None:
        return formatting.ABSENT
    return formatting.score(summary["mean"], _half(summary), summary["n"])


def _half(summary: Summary | None) -> float | None:
    if summary is None or summary["ci_low"] is None or summary["ci_high"] is None:
        return None
    return (summary["ci_high"] - summary["ci_low"]) / 2


def _trainable(row: Row) -> str:
    trained = row["trainable_parameters"]
    return f"{formatting.count(trained)} ({formatting.share(trained, row['total_parameters'])})"


# Header, the order in which a narrow terminal loses the column, and the cell.
_COSTS = (
    ("trainable", 1, _trainable),
    ("task head", 5, lambda row: formatting.count(row["head_parameters"])),
    ("adapter file", 4, lambda row: formatting.size(row["adapter_bytes"])),
    ("peak memory", 2, lambda row: formatting.size(row["peak_memory_bytes"])),
    ("train time", 3, lambda row: formatting.duration(row["train_seconds"])),
)


def _configuration_note(comparison: Comparison, group: int) -> list[str]:
    """What the recipes of a group do differently besides the method itself."""
    if sum(row["group"] == group for row in comparison.rows) > MOST_READ:
        return [f"more than {MOST_READ} recipes: how they differ besides the method is not listed"]
    differences = comparison.config_difference(group)
    parts = []
    for key, values in differences.items():
        if key.startswith("method."):
            continue
        held: dict[str, list[str]] = {}
        for label, value in values.items():
            held.setdefault(str(value), []).append(label)
        shown = ", ".join(f"{value} ({', '.join(labels)})" for value, labels in held.items())
        parts.append(f"{key} = {shown}" if len(held) < 7 else f"{key} ({len(held)} values)")
    if not parts:
        return []
    more = f"; and {len(parts) - 4} more keys" if len(parts) > 4 else ""
    return [plain("besides the method, the recipes differ in " + "; ".join(parts[:4]) + more)]
