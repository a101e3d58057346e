"""Small charts of how a training went on: its learning rate and its speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.records import finite
from workbench.charts import MUTED, SECOND, Point, running_mean, thin

HEIGHT = 130
LATEST = 10
"""Steps over which the speed of the moment is taken."""

Row = dict[str, Any]


def learning_rate_curve(events: Sequence[Row]) -> alt.Chart | None:
    """The learning rate over steps; None before the first."""
    points = [
        (row["step"], row["learning_rate"])
        for row in _steps(events)
        if finite(row.get("learning_rate"))
    ]
    # As an expression because the format writes 0 as 0e+0.
    powers = "datum.value === 0 ? '0' : format(datum.value, '~e')"
    return _line(points, "learning rate", SECOND, alt.Axis(tickCount=3, labelExpr=powers))


def speed_curve(events: Sequence[Row]) -> alt.Chart | None:
    """Tokens per second over steps, as a running mean; None where they were not logged."""
    points = [
        (row["step"], row["tokens"] / row["seconds"])
        for row in _steps(events)
        if finite(row.get("tokens")) and finite(row.get("seconds")) and row["seconds"] > 0
    ]
    means = running_mean([value for _, value in points])
    return _line(
        [(step, mean) for (step, _), mean in zip(points, means, strict=True)],
        "tokens per second",
        MUTED,
        alt.Axis(tickCount=3, format="~s"),
    )


def speed_now(events: Sequence[Row]) -> float | None:
    """Tokens per second over the latest steps."""
    latest = [
        row for row in _steps(events) if finite(row.get("tokens")) and finite(row.get("seconds"))
    ][-LATEST:]
    seconds = sum(row["seconds"] for row in latest)
    return sum(row["tokens"] for row in latest) / seconds if seconds > 0 else None


def _steps(events: Sequence[Row]) -> list[Row]:
    return [row for row in events if row.get("kind") == "step" and finite(row.get("step"))]


def _line(points: Sequence[Point], title: str, color: str, axis: alt.Axis) -> alt.Chart | None:
    if not points:
        return None
    frame = pd.DataFrame(thin(points), columns=["step", "value"])
    chart = alt.Chart(frame)
    marks = (
        chart.mark_point(color=color, filled=True)
        if len(frame) == 1
        else chart.mark_line(color=color, strokeWidth=1.8)
    )
    drawn: alt.Chart = marks.encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=6, grid=False, format="d")),
        y=alt.Y(
            "value:Q",
            title=None,
            axis=axis,
            scale=alt.Scale(zero=True),
        ),
        tooltip=[
            alt.Tooltip("step:Q", title="step"),
            alt.Tooltip("value:Q", title=title, format=".3~g"),
        ],
    ).properties(height=HEIGHT)
    return drawn
