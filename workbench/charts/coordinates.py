"""Several scores and costs at once: a line for each recipe across parallel axes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.costs import COSTS
from workbench.analysis.group import Analysis
from workbench.analysis.records import finite, get_section
from workbench.charts.figure import Figure, Option, Picture
from workbench.charts.style import HEIGHT, Chart, Row, methods_of, row_color
from workbench.formatting import score
from workbench.recipe.catalogue import higher_is_better

_Axis = tuple[str, list[Any], Callable[[float], str]]


def parallel_coordinates(rows: Sequence[Row], metrics: Sequence[str]) -> Chart | None:
    """Each recipe as a line over its scores and costs (logarithmic), the better end of every axis
    on top. An axis is left out where a row lacks the value or all are equal."""
    names, points, ends = _axes(rows, metrics)
    if len(names) < 2 or len(rows) < 2:
        return None
    axis = alt.Axis(labelAngle=0, domain=False, ticks=False, labelPadding=26, grid=True)
    scale = alt.Scale(type="point", padding=0.3)
    x = alt.X("axis:N", sort=names, title=None, scale=scale, axis=axis)
    y = alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(pd.DataFrame(points)).encode(
        x=x, y=y, color=row_color("label:N", methods_of(rows))
    )
    lines = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=45, filled=True)).encode(
        tooltip=[alt.Tooltip("label:N", title="recipe"), "axis:N", "value:N"]
    )
    texts = alt.Chart(pd.DataFrame(ends)).encode(x=x, y=y, text="text:N")
    layers = [
        texts.transform_filter(f"datum.shift == '{way}'").mark_text(
            dy=dy, fontSize=11, opacity=0.75
        )
        for way, dy in (("up", -12), ("down", 14))
    ]
    return alt.layer(lines, *layers).properties(height=HEIGHT)


def _axes(
    rows: Sequence[Row], metrics: Sequence[str]
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """The axes by name, where each row meets them, and what stands at both ends."""
    axes: list[_Axis] = [
        (m, [get_section(get_section(row, "metrics"), m).get("mean") for row in rows], score)
        for m in metrics
    ]
    axes += [(cost.name, [row.get(key) for row in rows], cost.text) for key, cost in COSTS.items()]
    points: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    names: list[str] = []
    for name, found, text in axes:
        values = [value for value in found if finite(value)]
        cost = name not in metrics
        if len(values) < len(rows) or len(set(values)) < 2 or (cost and min(values) <= 0):
            continue
        scaled = [math.log10(value) for value in values] if cost else values
        low, high = min(scaled), max(scaled)
        up = not cost and higher_is_better(name)
        names.append(name)
        for row, value, at in zip(rows, values, scaled, strict=True):
            share = (at - low) / (high - low)
            place = {"axis": name, "height": share if up else 1 - share}
            points.append(place | {"label": str(row["label"]), "value": text(value)})
        for height, shift, best in ((1.0, "up", True), (0.0, "down", False)):
            end = max(values) if best == up else min(values)
            ends.append({"axis": name, "height": height, "text": text(end), "shift": shift})
    return names, points, ends


def _draw(analysis: Analysis, *, axes: Sequence[str]) -> list[Picture]:
    chart = parallel_coordinates(analysis.group.rows, axes)
    if chart is None:
        return []
    listed = ", ".join(analysis.labels)
    return [
        Picture(
            name="scores-and-costs",
            title="All scores and costs",
            chart=chart,
            alt="Each recipe as a line over its scores and costs, whose numbers are in the table "
            f"of the group: {listed}.",
            caption="The better end of each axis is on top; costs are logarithmic.",
        )
    ]


def _options(analysis: Analysis) -> list[Option]:
    metrics = list(dict.fromkeys(name for row in analysis.group.rows for name in row["metrics"]))
    chosen = [analysis.metric] if analysis.metric in metrics else []
    return [Option(key="axes", label="Scores", choices=metrics, default=chosen)]


FIGURE = Figure(
    name="scores-and-costs",
    section="Costs",
    title="All scores and costs",
    draw=_draw,
    options=_options,
)
