"""Memory by component, forecast beside measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.costs import BYTES
from workbench.analysis.records import finite, part
from workbench.charts.style import ALARM, Chart, Row

COMPONENTS: dict[str, tuple[str, str]] = {
    "weights_bytes": ("weights", "#7d868c"),
    "gradients_bytes": ("gradients", "#d07a26"),
    "optimizer_bytes": ("optimizer", "#6f63b6"),
    "activations_bytes": ("activations", "#0f8a80"),
}
MEASURED, FORECAST = "measured", "forecast"


def memory_bars(rows: Sequence[Row]) -> Chart | None:
    """Memory of each recipe by component, with the measured peak as a tick.

    Args:
        rows: ``label``, ``peak_memory_bytes`` and the components, in bytes; absent is None. Under
            ``forecast`` the same as it was foretold, drawn as a second, fainter bar.
    """
    parts, peaks = [], []
    for row in rows:
        for which, found in ((MEASURED, row), (FORECAST, part(row, FORECAST))):
            place = {"label": str(row["label"]), "which": which}
            parts += [place | piece for piece in _pieces(found)]
            if finite(found.get("peak_memory_bytes")):
                peaks.append(place | {"peak": found["peak_memory_bytes"]})
    if not parts and not peaks:
        return None
    bars, ticks = pd.DataFrame(parts, columns=_COLUMNS), pd.DataFrame(peaks)
    labels = [str(row["label"]) for row in rows]
    forecast = any(piece["which"] == FORECAST for piece in (*parts, *peaks))
    layers = [_bars(bars, labels, forecast)]
    if peaks:
        layers.append(_ticks(ticks, labels, forecast))
    return alt.layer(*layers).properties(height=(44 if forecast else 34) * len(labels) + 60)


_COLUMNS = ["label", "which", "part", "bytes", "order"]


def _pieces(found: Row) -> list[dict[str, Any]]:
    return [
        {"part": name, "bytes": found[key], "order": order}
        for order, (key, (name, _)) in enumerate(COMPONENTS.items())
        if finite(found.get(key))
    ]


def _bars(frame: pd.DataFrame, labels: list[str], forecast: bool) -> alt.Chart:
    names = [name for name, _ in COMPONENTS.values()]
    colors = alt.Scale(domain=names, range=[color for _, color in COMPONENTS.values()])
    bars = alt.Chart(frame).mark_bar(height={"band": 0.8 if forecast else 0.62})
    drawn: alt.Chart = bars.encode(
        y=_places(labels),
        x=alt.X("bytes:Q", title=None, stack="zero", axis=_bytes_axis()),
        color=alt.Color("part:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
        order="order:O",
        tooltip=["label:N", "which:N", "part:N", alt.Tooltip("bytes:Q", format=".3s")],
    )
    if not forecast:
        return drawn
    faint = alt.Opacity(
        "which:N",
        scale=alt.Scale(domain=[MEASURED, FORECAST], range=[1, 0.5]),
        legend=None,  # its symbols would have none of the colours
    )
    paired: alt.Chart = drawn.encode(yOffset=_beside(), opacity=faint)
    return paired


def _ticks(frame: pd.DataFrame, labels: list[str], forecast: bool) -> alt.Chart:
    ticks = alt.Chart(frame).mark_tick(color=ALARM, thickness=2.5, height={"band": 0.85})
    drawn: alt.Chart = ticks.encode(
        y=_places(labels),
        x=alt.X("peak:Q", axis=_bytes_axis()),
        tooltip=["label:N", "which:N", alt.Tooltip("peak:Q", title="peak", format=".3s")],
    )
    if forecast:
        drawn = drawn.encode(yOffset=_beside())
    return drawn


def _places(labels: list[str]) -> alt.Y:
    axis = alt.Axis(labelLimit=220, labelOverlap=False)
    return alt.Y("label:N", title=None, sort=labels, axis=axis)


def _beside() -> alt.YOffset:
    return alt.YOffset("which:N", scale=alt.Scale(domain=[MEASURED, FORECAST]))


def _bytes_axis() -> alt.Axis:
    return alt.Axis(tickCount=5, labelExpr=BYTES)
