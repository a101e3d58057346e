"""Tables of a report and of the UI besides that of the comparison itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from workbench import formatting
from workbench.analysis.classes import Classes
from workbench.analysis.costs import COMPONENTS, FORECASTS, PEAK, error
from workbench.analysis.disagreements import Pair
from workbench.comparison.result import ComparisonResult
from workbench.comparison.schema import Conclusion, Verdict
from workbench.comparison.sentences import margin_in_words, needs
from workbench.comparison.table import Cell, Column, Table, amount, table_of
from workbench.formatting import ABSENT, difference, duration, listing, plural, score, size
from workbench.recipe.catalogue import is_share


def memory_table(bars: Sequence[Mapping[str, Any]]) -> Table:
    keys = [*COMPONENTS, PEAK]
    lines = [[Cell(str(bar["label"])), *(amount(bar[key], size) for key in keys)] for bar in bars]
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
            line += [
                amount(expected, text),
                amount(measured, text),
                Cell(error(expected, measured)),
            ]
        lines.append(line)
    return table_of("Forecast and measurement", headers, lines)


def class_table(classes: Mapping[str, Classes]) -> Table:
    names = next(iter(classes.values())).names
    by_name = [{s.name: s for s in found.scores} for found in classes.values()]
    lines = []
    for name in names:
        scores = [found.get(name) for found in by_name]
        support = next((s.support for s in scores if s), 0)
        cells = [amount(s.f1 if s else None, score) for s in scores]
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


VERDICTS: dict[Conclusion, str] = {
    "better": "better",
    "worse": "worse",
    "same": "equivalent",
    "run_better": "one run each, better",
    "run_worse": "one run each, worse",
    "run_same": "one run each, equivalent",
    "hint": "may differ",
    "unclear": "not significant",
    "trivial": "nothing learned",
    "untested": "not tested",
}


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """The first recipe of each pair minus the second, what that is worth, and what it lacks."""
    metric = verdicts[0]["metric"]
    points = is_share(metric)
    ratios = any(verdict["ratio"] is not None for verdict in verdicts)
    name = f"ratio of {metric}" if ratios else f"difference{', points' if points else ''}"
    lines = []
    for each in verdicts:
        value, low, high = (
            (each["ratio"], each["ratio_low"], each["ratio_high"])
            if ratios
            else (_points(each[key], points) for key in ("difference", "ci_low", "ci_high"))
        )
        known = [number for number in (value, low, high) if number is not None]
        write = partial(_ratio, known) if ratios else partial(_signed, points=points)
        ends = " to ".join(write(end).removeprefix("+") for end in known[1:])
        verdict = VERDICTS[each["conclusion"]]
        line = [
            Cell(each["label"]),
            Cell(each["against"]),
            amount(value, write),
            Cell(ends or ABSENT),
        ]
        lines.append([*line, Cell(verdict), Cell(_settles(each))])
    headers = ["recipe", "against", name, "95% CI", "verdict", "what would settle it"]
    return table_of("Conclusions", headers, lines, left=["against", *headers[3:]])


def _points(value: float | None, points: bool) -> float | None:
    return 100 * value if points and value is not None else value


def _ratio(known: Sequence[float], value: float | None) -> str:
    """With as many decimals as the ratio and its interval need."""
    return ABSENT if value is None else formatting.ratios(value, *known)[0]


def _signed(value: float | None, *, points: bool) -> str:
    """One decimal of points; the end of an interval that leaves out 0 is not written as 0."""
    if value is None or not points:
        return difference(value)
    return f"{value:+.1f}" if abs(value) >= 0.05 or value == 0 else f"{value:+.1g}"


def _settles(verdict: Verdict) -> str:
    """What the runs lack; nothing where they decide."""
    conclusion = verdict["conclusion"]
    if conclusion in ("unclear", "hint"):
        shown = margin_in_words(verdict)
        takes = needs(verdict).rpartition(" takes ")[2]
        return takes or f"little: these runs show {shown} in 4 of 5 cases"
    if conclusion == "trivial":
        return "runs that learn something"
    if conclusion.startswith("run_"):
        return "three seeds each at least"
    if conclusion != "untested":
        return ABSENT
    if verdict["difference"] is None:
        return "a score of both"
    runs = {verdict["label"]: verdict["runs"], verdict["against"]: verdict["runs_against"]}
    single = [label for label, count in runs.items() if count < 2]
    return f"more seeds of {listing(single)}" if single else "more test items and seeds"


def run_table(comparison: ComparisonResult) -> Table:
    metrics = list(dict.fromkeys(name for row in comparison.rows for name in row["metrics"]))
    lines = []
    for sample in comparison.samples:
        for run, record in zip(sample.runs, sample.records, strict=True):
            scores = [amount(record.metrics.test.get(name), score) for name in metrics]
            peak, seconds = record.memory.peak_memory_bytes, record.time.train_seconds
            line = [Cell(run.id), Cell(sample.label), Cell(str(record.seed), record.seed), *scores]
            others = record.time.measured_beside
            ran_on = record.hardware + (f", beside {plural(others, 'run')}" if others else "")
            line += [amount(peak, size), amount(seconds, duration), Cell(ran_on)]
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


_SCALES: dict[str, Sequence[tuple[float, str]]] = {
    "bytes": ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")),
    "seconds": ((1, "s"), (60, "min"), (3600, "h")),
    "count": ((1, ""),),
}
_MOST = {"bytes": 20_000, "seconds": 6_000, "count": math.inf}
"""The largest number of a unit that is shown in it."""


def in_one_unit(column: Column) -> Column:
    """A column of amounts as bare numbers, the unit at its head; others as they are."""
    kind = next((cell.unit for cell in column.cells if cell.unit), None)
    values = [abs(cell.value) for cell in column.cells if cell.value is not None]
    if kind is None or not values:
        return column
    scales = _SCALES[kind]
    size, name = next((s for s in scales if max(values) / s[0] < _MOST[kind]), scales[-1])
    cells = [
        cell if cell.value is None else cell._replace(text=_bare(cell.value / size))
        for cell in column.cells
    ]
    header = f"{column.header}, {name}" if name else column.header
    return replace(column, header=header, cells=cells)


def _bare(value: float) -> str:
    """Three digits or more, and all of a whole number."""
    if value == 0 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.{max(0, min(6, 2 - math.floor(math.log10(abs(value)))))}f}"
