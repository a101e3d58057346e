"""Learning curves of several recipes, seeds taken together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.group import Analysis
from workbench.analysis.learning_curves import (
    LOSS,
    X_TITLES,
    Across,
    seed_bands,
    validation_metrics,
)
from workbench.charts.figure import HALF_WIDTH, Csv, Figure, Option, Picture
from workbench.charts.style import (
    HEIGHT,
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
from workbench.formatting import score

_SHOWN: Fields = {
    "mean:Q": ("mean", SCORE),
    "low:Q": ("lowest seed", SCORE),
    "high:Q": ("highest seed", SCORE),
    "seeds:Q": "seeds",
}
SMOOTHINGS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)


def seed_curves(
    bands: Sequence[Row],
    title: str,
    methods: Mapping[str, str],
    *,
    x_title: str = "step",
    log_x: bool = False,
    log_y: bool = False,
    points: bool = False,
    metric: str = "",
    shown_at: Fields = _SHOWN,
    ticks: Sequence[float] = (),
) -> Chart | None:
    """The mean over seeds of each recipe with a band from the lowest to the highest seed.

    On a logarithmic axis those at 0 and below are left out.

    Args:
        methods: of all recipes of the page, by label; they have a colour each.
        points: mark them, where they are far apart; two are no curve, but dots with intervals.
        metric: the score that is drawn, which has bounds; empty for a loss.
        shown_at: what a reader sees at a point.
        ticks: of the axis across, where there are few values of it.
    """
    shown = [row for row in bands if (row["x"] > 0 or not log_x) and (row["low"] > 0 or not log_y)]
    if not shown:
        return None
    up = alt.Scale(type="log") if log_y else alt.Scale(zero=False, nice=True)
    if metric and not log_y:
        up = score_scale(metric, [row[end] for row in shown for end in ("low", "high")])
    few = points and max(Counter(row["label"] for row in shown).values()) <= 2
    place: dict[str, Any] = {"x": _across(x_title, ticks, log=log_x)}
    if few and len({row["x"] for row in shown}) <= 2:  # beside each other
        place["x"] = alt.X("x:O", title=x_title, axis=alt.Axis(labelAngle=0, format="~s"))
        place["xOffset"] = alt.XOffset("label:N", sort=list(methods))
    color = row_color("label:N", methods)
    base = alt.Chart(pd.DataFrame(shown)).encode(color=color, **place)
    spread = base.mark_rule(strokeWidth=2, opacity=0.5) if few else base.mark_area(opacity=0.16)
    band = spread.encode(y=alt.Y("low:Q", title=title, scale=up), y2="high:Q")
    marks = alt.OverlayMarkDef(size=34, filled=True) if points else False
    mean = (
        base.mark_point(size=70, filled=True, opacity=1)
        if few
        else base.mark_line(strokeWidth=2, point=marks)
    ).encode(
        y=alt.Y("mean:Q", title=title, scale=up),
        tooltip=tooltips({"label:N": "recipe", "x:Q": (x_title, ".4~s"), **shown_at}),
    )
    return alt.layer(band, mean).properties(height=HEIGHT)


def _across(title: str, ticks: Sequence[float], *, log: bool) -> alt.X:
    """Numbers from left to right, marked at the ticks where there are any."""
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False, nice=False)
    whole = title in ("step", "trials") and not log
    axis = few_ticks() if whole else alt.Axis(tickCount=6, grid=False, format="~s")
    if ticks:
        axis = alt.Axis(values=list(ticks), grid=False, format="~s")
    return alt.X("x:Q", title=title, scale=scale, axis=axis)


def _draw(
    analysis: Analysis,
    *,
    over: Across = "step",
    smooth: float = 0.8,
    log: Sequence[str] = (),
    validation: str | None = None,
) -> list[Picture]:
    found = []
    for quantity, title, smoothing in _quantities(validation, smooth):
        bands = _bands(analysis, quantity, over, smoothing)
        chart = seed_curves(
            bands,
            title,
            analysis.methods,
            x_title=X_TITLES[over],
            log_x="x" in log,
            log_y="y" in log,
            points=quantity != LOSS,
            metric="" if quantity == LOSS else quantity,
        )
        if chart is None:
            continue
        last = {point["label"]: point for point in bands}
        ends = [f"{name} {score(p['mean'])} at {over} {p['x']:.4g}" for name, p in last.items()]
        several = any(point["seeds"] > 1 for point in bands)
        caption = "Mean over seeds" if several else "One seed each"
        caption += ", as running mean" if smoothing else ""
        caption += "; the band or bar is from the lowest to the highest seed." if several else "."
        caption += "" if validation else " These runs were not validated while training."
        found.append(
            Picture(
                name=f"curve-{'loss' if quantity == LOSS else 'validation'}",
                title=title[0].upper() + title[1:],
                chart=chart,
                alt=f"{title} of each recipe over {X_TITLES[over]}; at the end: {'; '.join(ends)}.",
                caption=caption,
                width=HALF_WIDTH,
            )
        )
    return found


def _quantities(validation: str | None, smooth: float) -> list[tuple[str, str, float]]:
    wanted = [(LOSS, "training loss", smooth)]
    return wanted + [(name, f"validation {axis_title(name)}", 0.0) for name in [validation] if name]


def _bands(
    analysis: Analysis, quantity: str, over: Across = "step", smooth: float = 0.0
) -> list[Row]:
    samples = analysis.group.samples
    return [point for each in samples for point in seed_bands(each, quantity, over, smooth)]


def _options(analysis: Analysis) -> list[Option]:
    measured = validation_metrics(analysis.group.samples)
    chosen = analysis.metric if analysis.metric in measured else next(iter(measured), None)
    return [
        Option(key="over", label="Horizontal axis", choices=list(X_TITLES), default="step"),
        Option(key="smooth", label="Smoothing of the loss", choices=SMOOTHINGS, default=0.8),
        Option(key="log", label="Logarithmic axes", choices=["x", "y"], default=[]),
        Option(key="validation", label="Validation metric", choices=measured, default=chosen),
    ]


def _csv(analysis: Analysis) -> Csv:
    chosen = {option.key: option.default for option in _options(analysis)}
    return [
        {"curve": title, **point}
        for quantity, title, smoothing in _quantities(chosen["validation"], chosen["smooth"])
        for point in _bands(analysis, quantity, smooth=smoothing)
    ]


FIGURE = Figure(
    name="curves",
    section="Curves",
    title="Learning curves",
    draw=_draw,
    options=_options,
    csv=_csv,
    csv_about="the learning curves",
    absent="No data for these axes.",
    layout="half",
)
