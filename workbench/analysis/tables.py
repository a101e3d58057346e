"""Tables of a report and of the UI besides that of the comparison itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.analysis.classes import Classes
from workbench.analysis.costs import COMPONENTS, FORECASTS, PEAK, error
from workbench.analysis.disagreements import Pair
from workbench.comparison.result import ComparisonResult
from workbench.comparison.table import Cell, Table, table_of
from workbench.formatting import ABSENT, duration, score, size


def memory_table(bars: Sequence[Mapping[str, Any]]) -> Table:
    keys = [*COMPONENTS, PEAK]
    lines = [[Cell(str(bar["label"])), *(_cell(bar[key], size) for key in keys)] for bar in bars]
    headers = ["recipe", *COMPONENTS.values(), "measured peak"]
    return table_of("Memory of training, mean over seeds", headers, lines)


def forecast_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What was forecast, what was measured, and how far off it was; of ``forecast_rows``."""
    headers, lines = ["recipe"], []
    # One that no row has a forecast of is left out.
    keys = [k for k in FORECASTS if any(k in row and row[k][0] is not None for row in rows)]
    for name, _ in (FORECASTS[key] for key in keys):
        headers += [f"{name}, forecast", f"{name}, measured", f"{name}, error"]
    for row in rows:
        line = [Cell(str(row["label"]))]
        for key in keys:
            (expected, measured), text = row[key], FORECASTS[key][1]
            line += [_cell(expected, text), _cell(measured, text), Cell(error(expected, measured))]
        lines.append(line)
    return table_of("Forecast and measurement", headers, lines)


def class_table(classes: Mapping[str, Classes]) -> Table:
    names = next(iter(classes.values())).names
    by_name = [{s.name: s for s in found.scores} for found in classes.values()]
    lines = []
    for name in names:
        scores = [found.get(name) for found in by_name]
        support = next((s.support for s in scores if s), 0)
        cells = [_cell(s.f1 if s else None, score) for s in scores]
        lines.append([Cell(name), Cell(str(support), support), *cells])
    headers = ["class", "test examples", *classes]
    return table_of("F1 of each class, mean over seeds", headers, lines)


def pair_table(pairs: Sequence[Pair]) -> Table:
    lines = [
        [Cell(f"{pair.first} and {pair.second}"), *(Cell(str(n), n) for n in pair.counts)]
        for pair in pairs
    ]
    headers = ["recipes", "both right", "only the first", "only the second", "neither"]
    title = "Test examples by who is right, with more than half of the seeds of a recipe"
    return table_of(title, headers, lines)


def run_table(comparison: ComparisonResult) -> Table:
    metrics = list(dict.fromkeys(name for row in comparison.rows for name in row["metrics"]))
    lines = []
    for sample in comparison.samples:
        for run, record in zip(sample.runs, sample.records, strict=True):
            scores = [_cell(record.metrics.test.get(name), score) for name in metrics]
            peak, seconds = record.memory.peak_memory_bytes, record.time.train_seconds
            line = [Cell(run.id), Cell(sample.label), Cell(str(record.seed), record.seed), *scores]
            line += [_cell(peak, size), _cell(seconds, duration), Cell(record.hardware)]
            lines.append(line)
    headers = ["run", "recipe", "seed", *metrics, "peak memory", "train time", "ran on"]
    return table_of("Every run behind this page", headers, lines, left=["recipe", "ran on"])


def difference_table(
    differences: Mapping[str, Mapping[str, object]], labels: Sequence[str]
) -> Table:
    """The keys of the recipes whose values differ; empty where a recipe does not have the key."""
    lines = [
        [Cell(key), *(Cell(setting(found[n]) if n in found else ABSENT) for n in labels)]
        for key, found in differences.items()
    ]
    return table_of("What the recipes set differently", ["key", *labels], lines, left=labels)


def setting(value: object) -> str:
    """A value of a recipe as a recipe writes it."""
    if isinstance(value, list):
        return ", ".join(map(setting, value)) or "[]"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _cell(value: float | None, text: Any) -> Cell:
    return Cell(text(value), value)
