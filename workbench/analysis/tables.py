"""Tables of a report: cells with the text for a reader and the exact number behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.analysis.classes import Classes
from workbench.analysis.disagreements import Pair
from workbench.comparison import Comparison, Row
from workbench.comparison.grid import LOWER, Grid
from workbench.formatting import ABSENT, duration, score, size

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and the number as it is in the record."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """Headers with their alignment, and lines of as many cells."""

    caption: str
    headers: list[tuple[str, Align]]
    lines: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def comparison_table(grid: Grid, rows: Sequence[Row]) -> Table:
    """The table of a group as the command line prints it, with the exact means behind the scores.

    Args:
        grid: the group's columns; its lines are the rows, then the references.
        rows: the rows of the group, in the same order.
    """
    lines = []
    for i, texts in enumerate(grid.lines):
        metrics = rows[i]["metrics"] if i < len(rows) else {}
        line = []
        for column, text in zip(grid.columns, texts, strict=True):
            found = metrics.get(column.header.removesuffix(f" {LOWER}"))
            line.append(Cell(text, found["mean"] if found else None))
        lines.append(line)
    headers: list[tuple[str, Align]] = [(column.header, column.align) for column in grid.columns]
    return Table("Recipes side by side", headers, lines, list(grid.notes))


_MEMORY = (
    ("weights", "weights_bytes"),
    ("gradients", "gradients_bytes"),
    ("optimizer", "optimizer_bytes"),
    ("activations", "activations_bytes"),
)


def memory_table(bars: Sequence[Mapping[str, Any]]) -> Table:
    """Components and peak of each recipe as measured."""
    headers = ["recipe", *(name for name, _ in _MEMORY), "measured peak"]
    keys = [*(key for _, key in _MEMORY), "peak_memory_bytes"]
    lines = [
        [Cell(str(bar["label"])), *(Cell(size(bar[key]), bar[key]) for key in keys)] for bar in bars
    ]
    return Table("Memory of training, mean over seeds", _headers(headers), lines)


_FORETOLD: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("peak", "peak_memory_bytes", size),
    ("step", "seconds_per_step", duration),
    ("adapter", "adapter_bytes", size),
)


def forecast_table(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """What was forecast before the runs beside what came, and how far off it was."""
    if not rows:
        return None
    headers = ["recipe"]
    for name, _, _ in _FORETOLD:
        headers += [f"{name}, forecast", f"{name}, measured", "off by"]
    lines = []
    for row in rows:
        line = [Cell(str(row["label"]))]
        for _, key, text in _FORETOLD:
            expected, measured = row[key]
            off = (expected - measured) / measured if measured and expected is not None else None
            line += [Cell(text(expected), expected), Cell(text(measured), measured)]
            line.append(Cell(ABSENT if off is None else f"{100 * off:+.1f}%", off))
        lines.append(line)
    return Table("Forecast before the runs beside what was measured", _headers(headers), lines)


def class_table(names: Sequence[str], classes: Mapping[str, Classes]) -> Table:
    """F1 of each class by recipe, with the number of its test examples."""
    by_name = {label: {s.name: s for s in found.scores} for label, found in classes.items()}
    lines = []
    for name in names:
        scores = [found.get(name) for found in by_name.values()]
        support = next((s.support for s in scores if s), 0)
        line = [Cell(name), Cell(str(support), support)]
        line += [Cell(score(s.f1 if s else None), s.f1 if s else None) for s in scores]
        lines.append(line)
    headers = ["class", "test examples", *classes]
    return Table("F1 of each class, mean over seeds", _headers(headers), lines)


def pair_table(pairs: Sequence[Pair]) -> Table:
    """Two recipes on the same test examples."""
    lines = [
        [
            Cell(f"{pair.first} and {pair.second}"),
            *(
                Cell(str(n), n)
                for n in (pair.both, pair.only_first, pair.only_second, pair.neither)
            ),
        ]
        for pair in pairs
    ]
    headers = ["recipes", "both right", "only the first", "only the second", "neither"]
    return Table(
        "Test examples by who is right, with more than half of the seeds of a recipe",
        _headers(headers),
        lines,
    )


def run_table(comparison: Comparison, metrics: Sequence[str]) -> Table:
    """Every run that the page is made from, with its own scores."""
    lines = []
    for sample in comparison.samples:
        for run, record in zip(sample.runs, sample.records, strict=True):
            scores = [record.metrics.test.get(name) for name in metrics]
            peak, seconds = record.memory.peak_memory_bytes, record.time.train_seconds
            lines.append(
                [
                    Cell(run.id),
                    Cell(sample.label),
                    Cell(str(record.seed), record.seed),
                    *(Cell(score(value), value) for value in scores),
                    Cell(size(peak), peak),
                    Cell(duration(seconds), seconds),
                    Cell(record.hardware),
                ]
            )
    headers = ["run", "recipe", "seed", *metrics, "peak memory", "train time", "ran on"]
    left = {"run", "recipe", "ran on"}
    return Table(
        "Every run behind this page",
        [(h, "left" if h in left else "right") for h in headers],
        lines,
    )


def difference_table(differing: Mapping[str, Mapping[str, object]], labels: Sequence[str]) -> Table:
    """The keys of the recipes whose values differ; empty where a recipe does not have the key."""
    lines = [
        [Cell(key), *(Cell(said(values[name]) if name in values else ABSENT) for name in labels)]
        for key, values in differing.items()
    ]
    headers: list[tuple[str, Align]] = [("key", "left"), *((name, "left") for name in labels)]
    return Table("What the recipes set differently", headers, lines)


def said(value: object) -> str:
    """A value of a recipe as a recipe writes it."""
    if isinstance(value, list):
        return ", ".join(map(said, value)) or "[]"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _headers(names: Sequence[str]) -> list[tuple[str, Align]]:
    return [(name, "right" if i else "left") for i, name in enumerate(names)]
