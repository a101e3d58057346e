"""Memory by component, forecast beside measured."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.costs import COMPONENTS, PEAK, forecast_rows, memory_rows
from workbench.analysis.group import Analysis
from workbench.analysis.records import finite, get_section
from workbench.analysis.tables import forecast_table, memory_table
from workbench.charts.figure import Csv, Figure, Picture
from workbench.charts.style import ALARM, BYTES, NAME, Chart, Fields, Row, tooltips
from workbench.comparison.table import Table
from workbench.formatting import size

_COLORS = ["#7d868c", "#d07a26", "#6f63b6", "#0f8a80"]
MEASURED, FORECAST = "measured", "forecast"


def memory_bars(rows: Sequence[Row]) -> Chart | None:
    """Memory of each recipe by component, with the peak as a tick; forecasts are fainter bars."""
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
    layers = [_bars(pd.DataFrame(parts, columns=_COLUMNS), places, forecast)]
    if peaks:
        ticks = alt.Chart(pd.DataFrame(peaks))
        layers.append(
            ticks.mark_tick(color=ALARM, thickness=2.5, height={"band": 0.85}).encode(
                x=alt.X("peak:Q", axis=_AXIS),
                tooltip=tooltips({**_SHOWN, "peak:Q": ("peak", ".3s")}),
                **places,
            )
        )
    return alt.layer(*layers).properties(height=(44 if forecast else 34) * len(labels) + 60)


_COLUMNS = ["label", "which", "part", "bytes", "order"]
_AXIS = alt.Axis(tickCount=5, labelExpr=BYTES)
_SHOWN: Fields = {"label:N": "recipe", "which:N": "which"}


def _bars(frame: pd.DataFrame, places: dict[str, Any], forecast: bool) -> alt.Chart:
    colors = alt.Scale(domain=list(COMPONENTS.values()), range=_COLORS)
    bars = alt.Chart(frame).mark_bar(height={"band": 0.8 if forecast else 0.62})
    if forecast:  # without a legend, which would have none of the colours
        faint = alt.Scale(domain=[MEASURED, FORECAST], range=[1, 0.5])
        bars = bars.encode(opacity=alt.Opacity("which:N", scale=faint, legend=None))
    drawn: alt.Chart = bars.encode(
        x=alt.X("bytes:Q", title=None, stack="zero", axis=_AXIS),
        color=alt.Color("part:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
        order="order:O",
        tooltip=tooltips({**_SHOWN, "part:N": "part", "bytes:Q": ("bytes", ".3s")}),
        **places,
    )
    return drawn


def _draw(analysis: Analysis) -> list[Picture]:
    bars = memory_rows(analysis.group)
    chart = memory_bars(bars)
    if chart is None:
        return []
    peaks = "; ".join(f"{bar['label']} {size(bar[PEAK])}" for bar in bars)
    caption = "Mean over seeds; the red tick is the peak."
    if any(bar[FORECAST][PEAK] is not None for bar in bars):
        caption = "Mean over seeds. The full bar and its red tick, the peak, were measured; the "
        caption += "fainter bar and its tick were forecast before the run."
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
