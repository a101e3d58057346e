"""Memory by component, forecast beside measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.costs import COMPONENTS, PEAK, forecast_rows, memory_rows
from workbench.analysis.group import Analysis
from workbench.analysis.records import finite, get_section
from workbench.analysis.tables import forecast_table, memory_table
from workbench.charts.figure import Csv, Figure, Picture
from workbench.charts.style import (
    BYTES,
    MUTED,
    NAME,
    Chart,
    Fields,
    Row,
    row_colors,
    tooltips,
)
from workbench.comparison.table import Table
from workbench.formatting import size

_OPACITIES = [1, 0.72, 0.5, 0.32]
"""Of the components, in the colour of their row's method."""
MEASURED, FORECAST = "measured", "forecast"


def memory_bars(rows: Sequence[Row], methods: Mapping[str, str]) -> Chart | None:
    """Memory of each recipe by component, with the peak as a tick; forecasts are thinner bars.

    Args:
        methods: of all recipes of the page, by label.
    """
    parts, peaks = [], []
    for row in rows:
        for which, found in ((MEASURED, row), (FORECAST, get_section(row, FORECAST))):
            place = {"label": str(row["label"]), "which": which}
            parts += [
                place | {"part": name, "bytes": found[key], "order": order}
                for order, (key, name) in enumerate(COMPONENTS.items())
                if finite(found.get(key))
            ]
            if finite(found.get(PEAK)):
                peaks.append(place | {"peak": found[PEAK]})
    if not parts and not peaks:
        return None
    labels = [str(row["label"]) for row in rows]
    forecast = any(each["which"] == FORECAST for each in (*parts, *peaks))
    kinds = alt.Scale(domain=[MEASURED, FORECAST])
    offset = {"yOffset": alt.YOffset("which:N", scale=kinds)} if forecast else {}
    names = alt.Axis(labelLimit=260, labelOverlap=False, labelExpr=NAME)
    places: dict[str, Any] = {"y": alt.Y("label:N", title=None, sort=labels, axis=names), **offset}
    layers = [
        _bars(these, methods, height, places)
        for which, height in ((MEASURED, 0.8 if forecast else 0.62), (FORECAST, 0.4))
        if (these := [each for each in parts if each["which"] == which])
    ]
    if peaks:
        ticks = alt.Chart(pd.DataFrame(peaks))
        layers.append(
            ticks.mark_tick(color=MUTED, thickness=2.5, height={"band": 0.85}).encode(
                x=alt.X("peak:Q", axis=_AXIS),
                tooltip=tooltips({**_SHOWN, "peak:Q": ("peak", ".3s")}),
                **places,
            )
        )
    return alt.layer(*layers).properties(height=(44 if forecast else 34) * len(labels) + 60)


_COLUMNS = ["label", "which", "part", "bytes", "order"]
_AXIS = alt.Axis(tickCount=5, labelExpr=BYTES)
_SHOWN: Fields = {"label:N": "recipe", "which:N": "which"}


def _bars(
    parts: list[dict[str, Any]], methods: Mapping[str, str], height: float, places: dict[str, Any]
) -> alt.Chart:
    legend = alt.Legend(
        title=None, orient="top", symbolType="square", symbolFillColor=MUTED, symbolStrokeWidth=0
    )
    shades = alt.Scale(type="ordinal", domain=list(COMPONENTS.values()), range=_OPACITIES)
    bars = alt.Chart(pd.DataFrame(parts, columns=_COLUMNS)).mark_bar(height={"band": height})
    drawn: alt.Chart = bars.encode(
        x=alt.X("bytes:Q", title=None, stack="zero", axis=_AXIS),
        color=alt.Color("label:N", scale=row_colors(methods), legend=None),
        opacity=alt.Opacity("part:O", scale=shades, legend=legend),
        order="order:O",
        tooltip=tooltips({**_SHOWN, "part:N": "part", "bytes:Q": ("bytes", ".3s")}),
        **places,
    )
    return drawn


def _draw(analysis: Analysis) -> list[Picture]:
    bars = memory_rows(analysis.group)
    chart = memory_bars(bars, analysis.methods)
    if chart is None:
        return []
    peaks = "; ".join(f"{bar['label']} {size(bar[PEAK])}" for bar in bars)
    caption = "Mean over seeds; the grey tick is the peak."
    if any(bar[FORECAST][PEAK] is not None for bar in bars):
        caption = "Mean over seeds. The thick bar and its grey tick, the peak, were measured; the "
        caption += "thin bar and its tick were forecast before the run."
    return [
        Picture(
            name="memory",
            title="Peak memory by component",
            chart=chart,
            alt=f"Peak memory of training by component; measured peaks: {peaks}.",
            caption=caption,
        )
    ]


def _csv(analysis: Analysis) -> Csv:
    return [
        {key: value for key, value in bar.items() if key != FORECAST}
        | {f"forecast_{key}": value for key, value in bar[FORECAST].items()}
        for bar in memory_rows(analysis.group)
    ]


def _forecasts(analysis: Analysis) -> list[Table]:
    rows = forecast_rows(analysis.group)
    return [forecast_table(rows)] if rows else []


FIGURE = Figure(
    name="memory",
    section="Costs",
    title="Memory",
    draw=_draw,
    tables=lambda analysis: [memory_table(memory_rows(analysis.group))],
    csv=_csv,
    csv_about="memory by component, forecast and measured, in bytes",
    absent="These runs did not measure memory.",
)
FORECAST_FIGURE = Figure(
    name="forecast",
    section="Costs",
    title="Forecast and measurement",
    draw=lambda _: [],
    tables=_forecasts,
)
