"""Curves of a training: one run's loss and validation, or the seeds of several recipes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from workbench.analysis.records import finite, part
from workbench.charts.style import (
    ACCENT,
    HEIGHT,
    SCORE,
    SECOND,
    Chart,
    Row,
    axis_title,
    few_ticks,
    row_colors,
    row_legend,
)

MAX_POINTS = 800
SMOOTHING = 0.9


def loss_curve(events: Sequence[Row], *, height: int = HEIGHT) -> Chart | None:
    """Training loss over steps, faint as logged and bold as running mean; None before the first."""
    steps = [
        (row["step"], row["loss"])
        for row in events
        if row.get("kind") == "step" and finite(row.get("step")) and finite(row.get("loss"))
    ]
    if not steps:
        return None
    frame = pd.DataFrame(thin(steps), columns=["step", "loss"])
    frame["running mean"] = running_mean(list(frame["loss"]))
    base = alt.Chart(frame).encode(x=alt.X("step:Q", title="step", axis=few_ticks()))
    raw = base.mark_line(color=ACCENT, opacity=0.4, strokeWidth=1).encode(
        y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False, nice=True))
    )
    mean = base.mark_line(color=ACCENT, strokeWidth=2.2).encode(
        y="running mean:Q",
        tooltip=[
            alt.Tooltip("step:Q", title="step"),
            alt.Tooltip("loss:Q", format=".4f"),
            alt.Tooltip("running mean:Q", format=".4f"),
        ],
    )
    layers = [raw, mean]
    if len(frame) == 1:
        layers = [base.mark_point(color=ACCENT, filled=True, size=60).encode(y="loss:Q")]
    return alt.layer(*layers).properties(height=height)


def validation_curve(events: Sequence[Row], metric: str, *, height: int = HEIGHT) -> Chart | None:
    """A validation metric over steps with the state that is kept marked; None before the first."""
    rows = []
    for row in events:
        value = part(row, "metrics").get(metric) if row.get("kind") == "validation" else None
        if finite(value) and finite(row.get("step")):
            rows.append({"step": row["step"], "value": value, "best": bool(row.get("best"))})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    base = alt.Chart(frame).encode(
        x=alt.X("step:Q", title="step", axis=few_ticks(), scale=alt.Scale(zero=True)),
        y=alt.Y(
            "value:Q",
            title=f"validation {axis_title(metric)}",
            scale=alt.Scale(zero=False, nice=True),
        ),
        tooltip=[
            alt.Tooltip("step:Q", title="step"),
            alt.Tooltip("value:Q", title=metric, format=SCORE),
        ],
    )
    line = base.mark_line(color=SECOND, strokeWidth=2.2)
    points = base.mark_point(color=SECOND, filled=True, size=45, opacity=1)
    kept = [i for i, row in enumerate(rows) if row["best"]][-1:]
    best = (
        alt.Chart(frame.iloc[kept])
        .mark_point(color=SECOND, size=190, strokeWidth=2, filled=False)
        .encode(x="step:Q", y="value:Q")
    )
    return alt.layer(line, points, best).properties(height=height)


def running_mean(values: Sequence[float], keep: float = SMOOTHING) -> list[float]:
    """Exponential running mean without the pull towards zero at the start."""
    means, total, weight = [], 0.0, 0.0
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        means.append(total / weight)
    return means


def thin(
    points: Sequence[tuple[float, float]], limit: int = MAX_POINTS
) -> list[tuple[float, float]]:
    """At most ``limit`` points: means of equally many neighbours, so that nothing is hidden."""
    width = math.ceil(len(points) / limit)
    if width <= 1:
        return list(points)
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def seed_curves(
    bands: Sequence[Row],
    title: str,
    labels: Sequence[str],
    *,
    x_title: str = "step",
    log_x: bool = False,
    log_y: bool = False,
    points: bool = False,
    height: int = HEIGHT,
) -> Chart | None:
    """The mean over seeds of each recipe with a band from the lowest to the highest seed.

    Args:
        bands: ``label``, ``x``, ``mean``, ``low``, ``high`` and ``seeds`` of each point.
        title: what is on the y axis.
        labels: every label of the page, so that colours are the same in each chart.
        x_title: what is on the x axis.
        log_x: whether the x axis is logarithmic; points at 0 and below are then left out.
        log_y: the same for the y axis.
        points: whether each point is marked, for values that are far apart.
        height: pixels of the plot.
    """
    shown = [row for row in bands if (row["x"] > 0 or not log_x) and (row["low"] > 0 or not log_y)]
    if not shown:
        return None
    across = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False, nice=False)
    up = alt.Scale(type="log") if log_y else alt.Scale(zero=False, nice=True)
    whole = x_title == "step" and not log_x
    axis = few_ticks() if whole else alt.Axis(tickCount=6, grid=False, format="~s")
    base = alt.Chart(pd.DataFrame(shown)).encode(
        x=alt.X("x:Q", title=x_title, scale=across, axis=axis),
        color=alt.Color("label:N", scale=row_colors(labels), legend=row_legend()),
    )
    band = base.mark_area(opacity=0.16, line=False).encode(
        y=alt.Y("low:Q", title=title, scale=up), y2="high:Q"
    )
    mean = base.mark_line(
        strokeWidth=2, point=alt.OverlayMarkDef(size=34, filled=True) if points else False
    ).encode(
        y=alt.Y("mean:Q", title=title, scale=up),
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("x:Q", title=x_title, format=".4~s"),
            alt.Tooltip("mean:Q", title="mean", format=SCORE),
            alt.Tooltip("low:Q", title="lowest seed", format=SCORE),
            alt.Tooltip("high:Q", title="highest seed", format=SCORE),
            alt.Tooltip("seeds:Q"),
        ],
    )
    return alt.layer(band, mean).properties(height=height)
