"""A metric against what is left of the base: stability against plasticity."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.group import Analysis
from workbench.charts.figure import Csv, Figure, Picture
from workbench.charts.style import (
    MUTED,
    SCORE,
    Chart,
    axis_title,
    methods_of,
    row_color,
    score_scale,
    tooltips,
)
from workbench.comparison.result import ends, shown_interval
from workbench.comparison.retention import in_words
from workbench.comparison.schema import Row
from workbench.formatting import score

HEIGHT = 340
_MEASURED = ("retention", "retention_low", "retention_high")


def score_against_retention(rows: Sequence[Row], metric: str) -> Chart | None:
    """A metric against retention with the intervals of both; None without a row that has both."""
    points = _points(rows, metric)
    if not points:
        return None
    spread = [1.0, *(point[name] for point in points for name in _MEASURED)]
    margin = 0.08 * (max(spread) - min(spread)) or 0.02
    scale = alt.Scale(zero=False, nice=False, domain=[min(spread) - margin, max(spread)])
    axis = alt.Axis(tickCount=6)
    x = alt.X("retention:Q", title="retention (1: the base)", scale=scale, axis=axis)
    heights = score_scale(metric, [point[end] for point in points for end in ("low", "high")])
    up: dict[str, Any] = {"title": axis_title(metric), "scale": heights, "axis": axis}
    color = row_color("label:N", methods_of(rows))
    base = alt.Chart(pd.DataFrame(points)).encode(x=x, y=alt.Y("mean:Q", **up), color=color)
    fields: dict[str, str | tuple[str, str]] = {"label:N": "recipe", "mean:Q": (metric, SCORE)}
    fields |= {f"{name}:Q": (name.replace("_", " "), SCORE) for name in _MEASURED}
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, clip=True)
    layers = [
        alt.Chart().mark_rule(color=MUTED, strokeDash=[5, 4]).encode(x=alt.datum(1.0)),
        bars.encode(y=alt.Y("low:Q", **up), y2="high:Q"),
        bars.encode(x=alt.X("retention_low:Q", scale=scale), x2="retention_high:Q"),
        base.mark_point(filled=True, size=110, opacity=1).encode(tooltip=tooltips(fields)),
    ]
    return alt.layer(*layers).properties(height=HEIGHT)


def _points(rows: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = []
    for row in rows:
        found, kept = row["metrics"].get(metric), row["retention"]
        if not found or found["mean"] is None or not kept or kept["mean"] is None:
            continue
        low, high = shown_interval(found) or (found["mean"], found["mean"])  # no bar
        least, most = ends(kept) or (kept["mean"], kept["mean"])
        point = {"label": row["label"], "mean": found["mean"], "low": low, "high": high}
        points.append(point | dict(zip(_MEASURED, (kept["mean"], least, most), strict=True)))
    return points


def _draw(analysis: Analysis) -> list[Picture]:
    chart = score_against_retention(analysis.group.rows, analysis.metric)
    if chart is None:
        return []
    points = _points(analysis.group.rows, analysis.metric)
    listed = "; ".join(
        f"{p['label']} {score(p['mean'])} at {score(p['retention'])}" for p in points
    )
    return [
        Picture(
            name="score-against-retention",
            title=f"Test {axis_title(analysis.metric)} against retention",
            chart=chart,
            alt=f"{analysis.metric} and retention of each recipe: {listed}.",
            caption=f"Retention: {in_words(analysis.group.rows)}. Bars are 95% intervals, of the "
            "score as in the table, of retention over seeds and passages.",
        )
    ]


def _csv(analysis: Analysis) -> Csv:
    return [{"metric": analysis.metric, **p} for p in _points(analysis.group.rows, analysis.metric)]


FIGURE = Figure(
    name="score-and-retention",
    section="Scores",
    title="Score and retention",
    draw=_draw,
    csv=_csv,
    csv_about="score and retention of each recipe, with their intervals",
)
