"""The pictures of a group: each with its title, what it shows in words, and the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench import charts
from workbench.analysis.classes import Classes, most_common
from workbench.analysis.conclusions import pareto_front
from workbench.analysis.costs import memory_rows
from workbench.analysis.learning_curves import LOSS, seed_bands, validation_metrics
from workbench.analysis.tables import Table
from workbench.charts.alt_text import class_rows, confusion_in_words, cost_in_words, memory_in_words
from workbench.comparison.rows import Sample
from workbench.formatting import score
from workbench.report.pictures import WIDTH

MOST_MATRICES = 6
"""Confusion matrices on a page, those of the best recipes; the tables have all."""
HALF_WIDTH = 430
"""Pixels of a plot of which two stand side by side."""
SMOOTHING = 0.8

AnyRow = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
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


def score_memory_and_curves(
    rows: Sequence[AnyRow],
    samples: Sequence[Sample],
    metric: str,
    references: Mapping[str, float],
) -> list[Figure]:
    """The pictures that every task has."""
    some = [cost_figure(rows, metric, references), memory_figure(memory_rows(rows, samples))]
    return [f for f in some if f is not None] + curve_figures(samples, metric)


def cost_figure(
    rows: Sequence[AnyRow], metric: str, references: Mapping[str, float]
) -> Figure | None:
    """The metric against trainable parameters."""
    front = pareto_front(rows, metric, "trainable_parameters")
    chart = charts.score_against_cost(rows, metric, references, front=front)
    if chart is None:
        return None
    words = cost_in_words(rows, metric, references, front)
    title = f"{charts.axis_title(metric)} against trainable parameters"
    return Figure(
        name="score-against-parameters",
        title=title,
        alt=words.alt,
        caption=words.caption,
        chart=chart,
    )


def memory_figure(bars: Sequence[AnyRow], table: Table | None = None) -> Figure | None:
    """Memory by component with the measured peak, and the forecast where there is one."""
    chart = charts.memory_bars(bars)
    if chart is None:
        return None
    words = memory_in_words(bars)
    title = "Peak memory by component"
    return Figure(
        name="memory", title=title, alt=words.alt, caption=words.caption, chart=chart, table=table
    )


def curve_figures(samples: Sequence[Sample], metric: str) -> list[Figure]:
    """Training loss and the validation metric over the steps, seeds taken together."""
    labels = [sample.label for sample in samples]
    measured = validation_metrics(samples)
    wanted = [(LOSS, "training loss", SMOOTHING)]
    chosen = metric if metric in measured else next(iter(measured), None)
    wanted += [(chosen, f"validation {charts.axis_title(chosen)}", 0.0)] if chosen else []
    figures = []
    for quantity, title, smoothing in wanted:
        bands = [p for sample in samples for p in seed_bands(sample, quantity, "step", smoothing)]
        chart = charts.seed_curves(bands, title, labels, points=quantity != LOSS)
        if chart is None:
            continue
        last = {point["label"]: point for point in bands}
        ends = [f"{name} {score(p['mean'])} at step {p['x']:.0f}" for name, p in last.items()]
        several = any(point["seeds"] > 1 for point in bands)
        caption = "Mean over seeds" if several else "One seed each"
        caption += ", as running mean" if smoothing else ""
        caption += "; the band reaches from the lowest to the highest seed." if several else "."
        figures.append(
            Figure(
                name=f"curve-{'loss' if quantity == LOSS else 'validation'}",
                title=title[0].upper() + title[1:],
                alt=f"{title} of each recipe over the steps; at the end: {'; '.join(ends)}.",
                caption=caption,
                chart=chart,
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
    names = [first.names[i] for i in most_common(first)]
    chart = charts.class_scores(class_rows(classes, names), list(classes))
    figures = []
    if chart is not None:
        lowest = {label: min(each.scores, key=lambda s: s.f1) for label, each in classes.items()}
        weakest = "; ".join(f"{label}: {s.name} {score(s.f1)}" for label, s in lowest.items())
        rest = len(first.names) - len(names)
        more = f" {rest} classes with fewer examples are in the table." if rest else ""
        figures.append(
            Figure(
                name="classes",
                title="F1 of each class",
                alt=f"F1 of each class by recipe; the lowest of each recipe: {weakest}.",
                caption=f"Dot: mean over seeds; line: lowest to highest seed.{more}",
                chart=chart,
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
        figures.append(
            Figure(
                name=f"confusion-{len(figures) + 1}",
                title=label,
                alt=confusion_in_words(label, counts, names),
                caption=f"{label}: right class by row, prediction by column, "
                "test examples per seed.",
                chart=charts.confusion_matrix(counts, names),
                small=True,
            )
        )
    return figures
