"""What all charts share: middle tones that hold on a light and on a dark page, axes, formats."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from workbench.recipe.catalogue import higher_is_better

Row = Mapping[str, Any]
Point = tuple[float, float]
Chart = alt.LayerChart | alt.FacetChart
Fields = dict[str, str | tuple[str, str]]

ACCENT, SECOND, MUTED, ALARM = "#0f8a80", "#d07a26", "#8b949a", "#c2504a"
PALETTE = (
    *(ACCENT, SECOND, "#6f63b6", ALARM),
    *("#4b8fc9", "#8a8f3c", "#b05c9d", "#7d868c"),
)
HEIGHT = 240
SCORE = ".4~r"
"""Vega's format of a score: four digits, whether it is an accuracy or a perplexity."""
BYTES = "format(datum.value, '~s') + 'B'"


def row_colors(labels: Sequence[str]) -> alt.Scale:
    """The colour of each row, the same in every chart that is given the same labels."""
    names = list(dict.fromkeys(labels))
    return alt.Scale(domain=names, range=[PALETTE[i % len(PALETTE)] for i in range(len(names))])


def row_color(field: str, labels: Sequence[str]) -> alt.Color:
    """The colour by row, with a legend above the plot and as strong as the lines."""
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, symbolType="circle")
    return alt.Color(field, scale=row_colors(labels), legend=legend)


def tooltips(fields: Fields) -> list[alt.Tooltip]:
    """What a reader sees at a mark: by field its title, or its title and Vega's format."""
    return [
        alt.Tooltip(field, title=shown)
        if isinstance(shown, str)
        else alt.Tooltip(field, title=shown[0], format=shown[1])
        for field, shown in fields.items()
    ]


def axis_title(metric: str) -> str:
    """The metric, and which way is better where that is down."""
    return metric if higher_is_better(metric) else f"{metric} (lower is better)"


def few_ticks() -> alt.Axis:
    """The axis of a count such as the step; Vega sets ticks at halves where there are few."""
    whole = "datum.value == floor(datum.value) ? format(datum.value, ',d') : ''"
    return alt.Axis(tickCount=6, grid=False, labelExpr=whole)


def log_domain(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of a logarithmic axis, with room for a name beside the outermost values."""
    return min(values) / 1.8, max(values) * 1.8


def log_axis(values: Sequence[float], field: str, title: str, labels: str | None = None) -> alt.X:
    """A logarithmic axis over positive amounts with a tick at each power of ten, or more if few;
    ``labels`` is Vega's expression for a tick's label, None for SI prefixes."""
    domain = list(log_domain(values))
    low, high = (math.log10(end) for end in domain)
    ticks = [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]
    if len(ticks) < 3:
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [d * 10.0**n for n in powers for d in (1, 2, 5) if low <= math.log10(d) + n <= high]
    axis = alt.Axis(format="~s", values=ticks)
    if labels:
        axis = alt.Axis(values=ticks, labelExpr=labels)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)
