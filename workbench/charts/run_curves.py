"""Curves of one run while it trains: loss, validation, learning rate and speed."""

from collections.abc import Callable, Mapping, Sequence
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
    Chart,
    Fields,
    Row,
    axis_title,
    few_ticks,
    row_color,
    score_scale,
    tooltips,
)

MAX_POINTS = 800
SMOOTHING = 0.9
SMALL = 130  # pixels
LATEST = 10  # steps over which the speed of the moment is taken
DASHES = [[4, 3], [1, 3], [8, 3], [8, 3, 1, 3]]
"""Of the parts of a loss; colours are those of methods."""
LOGGED, SMOOTHED = "as logged", "running mean"


def loss_curve(
    events: Sequence[Row], color: str = ACCENT, smoothing: float = SMOOTHING
) -> Chart | None:
    """Training loss of one run over steps as `loss_curves` draws it, and, dashed, the losses that
    it is a weighted sum of; None before the first."""
    curve = _loss_layers({"": events}, alt.value(color), color, smoothing)
    if not curve:
        return None
    return alt.layer(*curve, *_parts(events, color, smoothing)).properties(height=HEIGHT)


def loss_curves(
    runs: Mapping[str, Sequence[Row]], methods: Mapping[str, str], smoothing: float = SMOOTHING
) -> Chart | None:
    """Training loss of several runs over steps: faint as logged, bold as running mean, with the
    values at the point that is nearest to the pointer; None before the first.

    Args:
        runs: what each run has logged, by its name.
        methods: of the runs, by the same name.
        smoothing: as `running_mean` keeps of the mean at each step, 0 for none.
    """
    curve = _loss_layers(runs, row_color("run:N", methods), MUTED, smoothing)
    return alt.layer(*curve).properties(height=HEIGHT) if curve else None


def _loss_layers(
    runs: Mapping[str, Sequence[Row]], color: Any, legend_color: str, smoothing: float
) -> list[alt.Chart]:
    limit = MAX_POINTS // min(4, max(1, len(runs)))
    found = {name: _points(events, lambda row: row.get("loss")) for name, events in runs.items()}
    frames = [
        _frame(points, "loss", "smoothed", smoothing, limit).assign(run=name)
        for name, points in found.items()
        if points
    ]
    if not frames:
        return []
    losses = alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False, nice=True))
    base = alt.Chart(pd.concat(frames)).encode(x=_STEPS, color=color)
    if all(len(frame) == 1 for frame in frames):
        return [base.mark_point(filled=True, size=60).encode(y=losses)]
    fields: Fields = {"run:N": "run"} if len(runs) > 1 else {}
    thinned = any(len(points) > limit for points in found.values())
    fields |= {"loss:Q": (f"loss{', mean of neighbouring steps' * thinned}", ".4f")}
    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointermove", clear="pointerout", empty=False
    )
    if not smoothing:
        lines = [base.mark_line(strokeWidth=1.6).encode(y=losses)]
    else:
        fields |= {"smoothed:Q": (f"running mean ({smoothing:g})", ".4f")}
        legend = alt.Legend(
            title=None, orient="bottom", symbolType="stroke", symbolStrokeColor=legend_color
        )
        scale = alt.Scale(type="ordinal", domain=[LOGGED, SMOOTHED], range=[0.5, 1])
        which = alt.Opacity("line:O", scale=scale, legend=legend)
        logged, smooth = (base.transform_calculate(line=f"'{n}'") for n in (LOGGED, SMOOTHED))
        lines = [
            logged.mark_line(strokeWidth=1).encode(y=losses, opacity=which),
            smooth.mark_line(strokeWidth=2.2).encode(y="smoothed:Q", opacity=which),
        ]
    dots = base.mark_point(filled=True, size=55).encode(
        y="smoothed:Q",
        opacity=alt.condition(nearest, alt.value(1), alt.value(0)),
        tooltip=[_STEP, *tooltips(fields)],
    )
    return [*lines, dots.add_params(nearest)]


def _parts(events: Sequence[Row], color: str, smoothing: float) -> list[alt.Chart]:
    """The parts of the loss, thinned as the whole is."""
    frames = []
    for name in dict.fromkeys(name for row in events for name in get_section(row, "losses")):

        def part(row: Row, name: str = name) -> Any:
            return get_section(row, "losses").get(name)

        if found := _points(events, part):
            frame = _frame(found, "loss", "mean", smoothing, MAX_POINTS)
            frames.append(frame.assign(part=name.replace("_", " ")))
    if not frames:
        return []
    lines = alt.Chart(pd.concat(frames)).mark_line(
        color=color, strokeWidth=1.6, point=all(len(frame) == 1 for frame in frames)
    )
    domain = [frame["part"][0] for frame in frames]
    dashes = [DASHES[number % len(DASHES)] for number in range(len(domain))]
    legend = alt.Legend(title=None, orient="top", symbolStrokeColor=color)
    shown: Fields = {"part:N": "part of the loss", "mean:Q": ("running mean", ".4f")}
    return [
        lines.encode(
            x="step:Q",
            y=alt.Y("mean:Q", title="training loss"),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=domain, range=dashes), legend=legend
            ),
            tooltip=[_STEP, *tooltips(shown)],
        )
    ]


def validation_curve(events: Sequence[Row], metric: str, color: str = ACCENT) -> Chart | None:
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
    line = base.mark_line(color=color, strokeWidth=width)
    points = base.mark_point(color=color, filled=True, size=45, opacity=1)
    kept = alt.Chart(pd.DataFrame([row for row in rows if row["best"]][-1:]))
    best_mark = kept.mark_point(color=color, size=190, strokeWidth=2, filled=False)
    best_mark = best_mark.encode(x="step:Q", y="value:Q")
    return alt.layer(line, points, best_mark).properties(height=HEIGHT)


def learning_rate_curve(events: Sequence[Row], color: str = ACCENT) -> alt.Chart | None:
    """The learning rate over steps; None before the first."""
    # As an expression because the format writes 0 as 0e+0.
    powers = "datum.value === 0 ? '0' : format(datum.value, '~e')"
    points = _points(events, lambda row: row.get("learning_rate"))
    return _small(points, "learning rate", color, alt.Axis(tickCount=3, labelExpr=powers))


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


def _frame(
    points: Sequence[Point], name: str, mean: str, smoothing: float, limit: int
) -> pd.DataFrame:
    """Smoothed step by step and then thinned, so that a long run is as smooth as a short one."""
    steps = [step for step, _ in points]
    means = running_mean([value for _, value in points], smoothing)
    smooth = thin(list(zip(steps, means, strict=True)), limit)
    frame = pd.DataFrame(thin(points, limit), columns=["step", name])
    frame[mean] = [value for _, value in smooth]
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
