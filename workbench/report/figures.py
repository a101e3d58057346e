"""The pictures of a group: each with its title, what it shows in words, and the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.comparison import Row
from workbench.comparison.rows import Sample
from workbench.comparison.units import count, score, size
from workbench.recipe.catalogue import higher_is_better
from workbench.report import charts
from workbench.report.bands import LOSS, seed_bands, validation_metrics
from workbench.report.classes import Classes, most_common
from workbench.report.findings import pareto_front
from workbench.report.pictures import WIDTH
from workbench.report.tables import Table

MOST_MATRICES = 6
"""Confusion matrices on a page, those of the best recipes; the tables have all."""
HALF_WIDTH = 430
"""Pixels of a plot of which two stand side by side."""


@dataclass(frozen=True)
class Figure:
    """One picture of a page."""

    name: str
    title: str
    alt: str
    """What there is to see, in a sentence with the numbers."""
    caption: str
    chart: charts.Chart
    width: int = WIDTH
    table: Table | None = None
    small: bool = False
    lines: list[dict[str, Any]] = field(default_factory=list)


def cost_figure(rows: Sequence[Row], metric: str, references: Mapping[str, float]) -> Figure | None:
    """The metric against trainable parameters."""
    front = pareto_front(rows, metric, "trainable_parameters")
    chart = charts.score_against_cost(rows, metric, references, front=front)
    if chart is None:
        return None
    far = charts.far_references(rows, metric, references)
    higher = higher_is_better(metric)
    caption = "Bars are the 95% intervals of the mean over seeds; the axis is logarithmic."
    if len(front) > 1:
        caption += " The line joins the recipes that no other beats in both."
    if far:
        named = ", ".join(f"{name} {score(value)}" for name, value in far.items())
        caption += f" {'Below' if higher else 'Above'} the axis: {named}."
    return Figure(
        "score-against-parameters",
        f"{charts.axis_title(metric)} against trainable parameters",
        f"{metric} and trainable parameters of each recipe: {listed(rows, metric)}.",
        caption,
        chart,
    )


def listed(rows: Sequence[Row], metric: str) -> str:
    """``lora 0.957 with 75.7k trained parameters; full ...``."""
    parts = []
    for row in rows:
        found = row["metrics"].get(metric)
        low, high = (found["ci_low"], found["ci_high"]) if found else (None, None)
        half = (high - low) / 2 if low is not None and high is not None else None
        value = score(found["mean"] if found else None, half)
        parts.append(f"{row['label']} {value} with {count(row['trainable_parameters'])} trained")
    return "; ".join(parts)


def memory_figure(bars: Sequence[Mapping[str, Any]], table: Table) -> Figure | None:
    """Memory by component with the measured peak, and the forecast where there is one."""
    chart = charts.memory_bars(bars)
    if chart is None:
        return None
    foretold = any(bar["forecast"]["peak_memory_bytes"] is not None for bar in bars)
    peaks = "; ".join(f"{bar['label']} {size(bar['peak_memory_bytes'])}" for bar in bars)
    caption = "Mean over seeds; the red tick is the measured peak."
    if foretold:
        caption += " The fainter bar is what was forecast before the run."
    return Figure(
        "memory",
        "Peak memory by component",
        f"Peak memory of training by component; measured peaks: {peaks}.",
        caption,
        chart,
        table=table,
    )


def curve_figures(samples: Sequence[Sample], metric: str) -> list[Figure]:
    """Training loss and the validation metric over the steps, seeds taken together."""
    labels = [sample.label for sample in samples]
    measured = validation_metrics(samples)
    wanted = [(LOSS, "training loss", 0.8)]
    chosen = metric if metric in measured else next(iter(measured), None)
    wanted += [(chosen, f"validation {charts.axis_title(chosen)}", 0.0)] if chosen else []
    figures = []
    for quantity, title, smoothing in wanted:
        bands = [p for sample in samples for p in seed_bands(sample, quantity, "step", smoothing)]
        chart = charts.seed_curves(bands, title, labels, points=quantity != LOSS)
        if chart is None:
            continue
        last = {point["label"]: point for point in bands}
        ends = "; ".join(
            f"{name} {score(p['mean'])} at step {p['x']:.0f}" for name, p in last.items()
        )
        smooth = ", as running mean" if smoothing else ""
        figures.append(
            Figure(
                f"curve-{'loss' if quantity == LOSS else 'validation'}",
                title[0].upper() + title[1:],
                f"{title} of each recipe over the steps of training; at the end: {ends}.",
                f"Mean over seeds{smooth}; the band reaches from the lowest to the highest seed.",
                chart,
                width=HALF_WIDTH,
                lines=[{"curve": title, **point} for point in bands],
            )
        )
    return figures


def class_figures(classes: Mapping[str, Classes], table: Table | None) -> list[Figure]:
    """F1 of each class, then a confusion matrix for each of the first recipes."""
    if not classes:
        return []
    first = next(iter(classes.values()))
    kept = most_common(first)
    names = [first.names[i] for i in kept]
    rows = [
        {
            "label": label,
            "name": found.name,
            "mean": found.f1,
            "low": found.f1_low,
            "high": found.f1_high,
            "support": found.support,
        }
        for label, each in classes.items()
        for found in each.scores
        if found.name in names
    ]
    chart = charts.class_scores(rows, list(classes))
    figures = []
    if chart is not None:
        weakest = "; ".join(
            f"{label}: {lowest.name} {score(lowest.f1)}"
            for label, each in classes.items()
            if (lowest := min(each.scores, key=lambda s: s.f1, default=None))
        )
        left_out = len(first.names) - len(names)
        figures.append(
            Figure(
                "classes",
                "F1 of each class",
                f"F1 of each class by recipe; the lowest of each recipe: {weakest}.",
                "The dot is the mean over seeds, the line reaches from the lowest to the highest."
                + (
                    f" {left_out} classes with fewer examples are in the table." if left_out else ""
                ),
                chart,
                width=760,
                table=table,
            )
        )
    return figures + _matrices(classes)


def _matrices(classes: Mapping[str, Classes]) -> list[Figure]:
    figures: list[Figure] = []
    for label, each in list(classes.items())[:MOST_MATRICES]:
        if each.confusion is None or len(each.names) < 2:
            continue
        kept = most_common(each)
        counts = [[each.confusion[i][j] for j in kept] for i in kept]
        names = [each.names[i] for i in kept]
        wrong = [
            (count, names[i], names[j])
            for i, row in enumerate(counts)
            for j, count in enumerate(row)
            if i != j and count > 0
        ]
        worst = ", ".join(f"{a} taken for {b} {n:.3g} times" for n, a, b in sorted(wrong)[:-4:-1])
        figures.append(
            Figure(
                f"confusion-{len(figures) + 1}",
                label,
                f"Confusion matrix of {label}. Most frequent confusions: {worst or 'none'}.",
                f"{label}: right class by row, prediction by column, test examples per seed.",
                charts.confusion_matrix(counts, names),
                small=True,
            )
        )
    return figures
