"""Curves of one run while it trains: loss, validation, learning rate and speed."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.learning_curves import Point, running_mean, thin
from workbench.analysis.records import finite, get_section
from workbench.charts.style import (
    ACCENT,
    HEIGHT,
    MUTED,
    SCORE,
    SECOND,
    Chart,
    Fields,
    Row,
    axis_title,
    few_ticks,
    score_scale,
    tooltips,
)

MAX_POINTS = 800
SMOOTHING = 0.9
SMALL = 130  # pixels
LATEST = 10  # steps over which the speed of the moment is taken
PART_COLORS = ["#d07a26", "#6f63b6", "#c2504a", "#8b949a"]


def loss_curve(events: Sequence[Row]) -> Chart | None:
    """Training loss over steps, faint as logged and bold as running mean, as are, dashed, the
    losses that it is a weighted sum of; None before the first."""
    steps = _points(events, lambda row: row.get("loss"))
    if not steps:
        return None
    frame = _frame(steps, "loss", "running mean")
    base = alt.Chart(frame).encode(x=_STEPS)
    raw = base.mark_line(color=ACCENT, opacity=0.4, strokeWidth=1).encode(
        y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False, nice=True))
    )
    mean = base.mark_line(color=ACCENT, strokeWidth=2.2).encode(
        y="running mean:Q",
        tooltip=[_STEP, *(alt.Tooltip(f"{n}:Q", format=".4f") for n in ("loss", "running mean"))],
    )
    layers = [raw, mean]
    if len(frame) == 1:
        layers = [base.mark_point(color=ACCENT, filled=True, size=60).encode(y="loss:Q")]
    return alt.layer(*layers, *_parts(events)).properties(height=HEIGHT)


def _parts(events: Sequence[Row]) -> list[alt.Chart]:
    """The parts of the loss, thinned as the whole is."""
    frames = []
    for name in dict.fromkeys(name for row in events for name in get_section(row, "losses")):

        def part(row: Row, name: str = name) -> Any:
            return get_section(row, "losses").get(name)

        if found := _points(events, part):
            frames.append(_frame(found, "loss", "mean").assign(part=name.replace("_", " ")))
    if not frames:
        return []
    lines = alt.Chart(pd.concat(frames)).mark_line(
        strokeDash=[4, 3], strokeWidth=1.6, point=all(len(frame) == 1 for frame in frames)
    )
    scale = alt.Scale(domain=[frame["part"][0] for frame in frames], range=PART_COLORS)
    legend = alt.Legend(title=None, orient="top")
    shown: Fields = {"part:N": "part of the loss", "mean:Q": ("running mean", ".4f")}
    return [
        lines.encode(
            x="step:Q",
            y=alt.Y("mean:Q", title="training loss"),
            color=alt.Color("part:N", scale=scale, legend=legend),
            tooltip=[_STEP, *tooltips(shown)],
        )
    ]


def validation_curve(events: Sequence[Row], metric: str) -> Chart | None:
    """A validation metric over steps with the state that is kept marked; None before the first."""
    rows = []
    for row in events:
        found = get_section(row, "metrics") if row.get("kind") == "validation" else {}
        if finite(found.get(metric)) and finite(row.get("step")):
            best = bool(row.get("best"))
            rows.append({"step": row["step"], "value": found[metric], "best": best})
    if not rows:
        return None
    title, scale = (
        f"validation {axis_title(metric)}",
        score_scale(metric, [r["value"] for r in rows]),
    )
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("step:Q", title="step", axis=few_ticks(), scale=alt.Scale(zero=True)),
        y=alt.Y("value:Q", title=title, scale=scale),
        tooltip=[_STEP, alt.Tooltip("value:Q", title=metric, format=SCORE)],
    )
    # Two points are no curve.
    width = 2.2 if len(rows) > 2 else 0
    line = base.mark_line(color=SECOND, strokeWidth=width)
    points = base.mark_point(color=SECOND, filled=True, size=45, opacity=1)
    kept = alt.Chart(pd.DataFrame([row for row in rows if row["best"]][-1:]))
    best_mark = kept.mark_point(color=SECOND, size=190, strokeWidth=2, filled=False)
    best_mark = best_mark.encode(x="step:Q", y="value:Q")
    return alt.layer(line, points, best_mark).properties(height=HEIGHT)


def learning_rate_curve(events: Sequence[Row]) -> alt.Chart | None:
    """The learning rate over steps; None before the first."""
    # As an expression because the format writes 0 as 0e+0.
    powers = "datum.value === 0 ? '0' : format(datum.value, '~e')"
    points = _points(events, lambda row: row.get("learning_rate"))
    return _small(points, "learning rate", SECOND, alt.Axis(tickCount=3, labelExpr=powers))


def speed_curve(events: Sequence[Row]) -> alt.Chart | None:
    """Tokens per second over steps, as a running mean; None where they were not logged."""
    points = _points(events, _speed)
    means = running_mean([value for _, value in points], SMOOTHING)
    smooth = [(step, mean) for (step, _), mean in zip(points, means, strict=True)]
    return _small(smooth, "tokens per second", MUTED, alt.Axis(tickCount=3, format="~s"))


def speed_now(events: Sequence[Row]) -> float | None:
    steps = [row for row in events if row.get("kind") == "step"]
    latest = [r for r in steps if all(finite(r.get(k)) for k in ("step", *_PACE))][-LATEST:]
    tokens, seconds = (sum(row[key] for row in latest) for key in _PACE)
    return tokens / seconds if seconds > 0 else None


_PACE = ("tokens", "seconds")
_STEP = alt.Tooltip("step:Q", title="step")
_STEPS = alt.X("step:Q", title="step", axis=few_ticks())


def _speed(row: Row) -> float | None:
    tokens, seconds = (row.get(key) for key in _PACE)
    return tokens / seconds if finite(tokens) and finite(seconds) and seconds > 0 else None


def _points(events: Sequence[Row], value: Callable[[Row], Any]) -> list[Point]:
    """Step and value of the training steps that have both."""
    found = [(row.get("step"), value(row)) for row in events if row.get("kind") == "step"]
    return [(step, number) for step, number in found if finite(step) and finite(number)]


def _frame(points: Sequence[Point], name: str, mean: str) -> pd.DataFrame:
    frame = pd.DataFrame(thin(points, MAX_POINTS), columns=["step", name])
    frame[mean] = running_mean(list(frame[name]), SMOOTHING)
    return frame


def _small(points: Sequence[Point], title: str, color: str, axis: alt.Axis) -> alt.Chart | None:
    if not points:
        return None
    frame = pd.DataFrame(thin(points, MAX_POINTS), columns=["step", "value"])
    chart = alt.Chart(frame)
    marks = (
        chart.mark_point(color=color, filled=True)
        if len(frame) == 1
        else chart.mark_line(color=color, strokeWidth=1.8)
    )
    drawn: alt.Chart = marks.encode(
        x=_STEPS,
        y=alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=True)),
        tooltip=[_STEP, alt.Tooltip("value:Q", title=title, format=".3~g")],
    ).properties(height=SMALL)
    return drawn
