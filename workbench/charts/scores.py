"""A metric against what it costs."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.costs import COSTS, PEAK, TRAINABLE
from workbench.analysis.group import Analysis
from workbench.analysis.records import finite, get_section
from workbench.charts.figure import Figure, Option, Picture
from workbench.charts.style import (
    BYTES,
    MOST_NAMED,
    MUTED,
    SCORE,
    Chart,
    Fields,
    Row,
    axis_title,
    log_axis,
    log_domain,
    methods_of,
    row_colors,
    score_scale,
    shown_name,
    tooltips,
)
from workbench.comparison.pareto import front_by_means
from workbench.comparison.result import covered, shown_interval
from workbench.formatting import ABSENT, score
from workbench.recipe.catalogue import higher_is_better

_FORMATS = {TRAINABLE: (",", None), PEAK: (".3s", BYTES), "train_seconds": (".3~s", None)}
_FORMATS["adapter_bytes"] = _FORMATS[PEAK]
"""How Vega writes a cost in a tooltip, and at the ticks of its axis where SI prefixes do not do."""

HEIGHT = 340
_NEAR_X, _NEAR_Y = 0.14, 0.07
"""Shares of the two axes within which two names would be written over each other."""
_SIDES: dict[str, tuple[str, float, dict[str, Any]]] = {
    "above": ("high", 0.0, {"dy": -10}),
    "below": ("low", 0.0, {"dy": 14}),
    "right": ("mean", 0.08, {"align": "left", "dx": 9}),
    "left": ("mean", -0.08, {"align": "right", "dx": -9}),
}
"""Where a name may stand: at which number of its row, how far aside as a share of the axis, and how
Vega writes it."""


def score_against_cost(
    rows: Sequence[Row],
    metric: str,
    references: Mapping[str, float],
    *,
    cost: str = TRAINABLE,
    front: Collection[str] = (),
    bubbles: bool = False,
) -> Chart | None:
    """A metric against a cost (log axis), with its interval; None without a point. Rows
    of the ``front`` are joined by a line; the area of ``bubbles`` is peak memory."""
    points = _points(rows, metric, cost)
    if not points:
        return None
    frame = pd.DataFrame(_with_sides(points, front))
    title, (_, ticks) = axis_title(metric), _FORMATS[cost]
    longest = max(len(f"{p['label']} {p['text']}") for p in points)
    x = log_axis([p["cost"] for p in points], "cost", COSTS[cost].axis, ticks, longest)
    far = far_references(rows, metric, references)
    near = {name: value for name, value in references.items() if name not in far}
    ends = [float(p[end]) for p in points for end in ("low", "high")]
    scale = score_scale(metric, [*ends, *near.values()])
    color = alt.Color("label:N", legend=None, scale=row_colors(methods_of(rows)))
    base = alt.Chart(frame).encode(x=x, color=color)
    few = alt.Axis(tickCount=6)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        y=alt.Y("low:Q", title=title, scale=scale, axis=few), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        y=alt.Y("mean:Q", title=title, scale=scale, axis=few), tooltip=_tooltip(metric, cost)
    )
    if bubbles and frame["memory"].notna().all():
        area = alt.Scale(domainMin=0, range=[0, 900])
        dots = dots.encode(size=alt.Size("memory:Q", scale=area, legend=None)).mark_point(
            filled=True, opacity=0.75
        )
    layers = [*_front(points, front, x), bars, dots, *_names(frame, x)]
    return alt.layer(*layers, *_rules(near, points)).properties(height=HEIGHT)


def _points(rows: Sequence[Row], metric: str, cost: str = TRAINABLE) -> list[dict[str, Any]]:
    """What there is to draw of each row: cost, mean and interval of a metric."""
    points: list[dict[str, Any]] = []
    for row in rows:
        found = get_section(get_section(row, "metrics"), metric)
        mean, spent = found.get("mean"), row.get(cost)
        if not finite(mean) or not finite(spent) or spent <= 0:
            continue
        low, high = found.get("population_ci_low"), found.get("population_ci_high")
        if low is None:
            low, high = found.get("ci_low"), found.get("ci_high")
        memory = row.get(PEAK)
        points.append(
            {
                "label": str(row.get("label") or row.get("recipe")),
                "study": str(row.get("study")),
                "seeds": len(row.get("seeds") or []),
                "cost": spent,
                "text": score(mean),
                "parameters": row.get(TRAINABLE),
                "memory": memory if finite(memory) else None,
                "mean": mean,
                "low": low if finite(low) else mean,
                "high": high if finite(high) else mean,
            }
        )
    return points


def _tooltip(metric: str, cost: str) -> list[alt.Tooltip]:
    spent = {} if cost == TRAINABLE else {"cost:Q": (COSTS[cost].axis, _FORMATS[cost][0])}
    shown: Fields = {"label:N": "recipe", "study:N": "study", "mean:Q": (metric, SCORE)}
    shown |= {"low:Q": ("95% low", SCORE), "high:Q": ("95% high", SCORE), **spent}
    shown |= {"parameters:Q": ("trainable", ","), "memory:Q": ("peak memory", ".3s")}
    return tooltips(shown | {"seeds:Q": "seeds"})


def _with_sides(points: list[dict[str, Any]], front: Collection[str]) -> list[dict[str, Any]]:
    """Says for each point on which side of its interval or dot its name goes, those of the front
    first; on none where it would be written over another, or many are named."""
    costs = [math.log10(p["cost"]) for p in points]
    width = (max(costs) - min(costs)) or 1.0
    height = (max(p["high"] for p in points) - min(p["low"] for p in points)) or 1.0
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: p["label"] not in front):
        point["side"] = ""
        at = (math.log10(point["cost"]) - min(costs)) / width
        for side, (end, shift, _) in _SIDES.items() if len(taken) < MOST_NAMED else ():
            x, y = at + shift, point[end] / height
            inside = not shift or 0 <= x <= 1
            if inside and all(abs(x - u) > _NEAR_X or abs(y - v) > _NEAR_Y for u, v in taken):
                point["side"] = side
                taken.append((x, y))
                break
    return points


def _names(frame: pd.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Name and score of each row beside its interval or dot. They have the page's colour of texts:
    most rows' own have a contrast below 4.5 on white."""
    base = alt.Chart(frame).encode(x=x)
    written = f"{shown_name('datum.label')} + ' ' + datum.text"
    return [
        base.transform_filter(f"datum.side == '{side}'")
        .transform_calculate(name=written)
        .mark_text(fontSize=12, fontWeight=600, **look)
        .encode(y=f"{end}:Q", text="name:N")
        for side, (end, _, look) in _SIDES.items()
        if (frame["side"] == side).any()
    ]


def _front(points: Sequence[Row], labels: Collection[str], x: alt.X) -> list[alt.Chart]:
    """The line from one row that nothing beats to the next: what more cost buys."""
    kept = sorted((p for p in points if p["label"] in labels), key=lambda p: float(p["cost"]))
    if len(kept) < 2:
        return []
    line = alt.Chart(pd.DataFrame(kept)).mark_line(
        interpolate="step-after", color=MUTED, strokeWidth=1, opacity=0.6
    )
    return [line.encode(x=x, y="mean:Q", order=alt.Order("cost:Q"))]


def _rules(references: Mapping[str, float], points: Sequence[Row]) -> list[alt.Chart]:
    """A dashed rule for each reference, with its name and score where no row is near."""
    if not references:
        return []
    lines = [{"name": k, "value": v, "text": f"{k} {score(v)}"} for k, v in references.items()]
    rules = alt.Chart(pd.DataFrame(lines))
    names = rules.mark_text(opacity=0.75, dy=-7, fontSize=11)
    return [
        rules.mark_rule(color=MUTED, strokeDash=[5, 4]).encode(y="value:Q"),
        names.encode(y="value:Q", x=alt.datum(_widest_gap(points)), text="text:N"),
    ]


def _widest_gap(points: Sequence[Row]) -> float:
    """The cost in the middle of the widest gap between rows, on a logarithmic axis."""
    low, high = log_domain([float(p["cost"]) for p in points])
    places = [low, *sorted(float(p["cost"]) for p in points), high]
    return max((right / left, math.sqrt(left * right)) for left, right in pairwise(places))[1]


def far_references(
    rows: Sequence[Row], metric: str, references: Mapping[str, float]
) -> dict[str, float]:
    """The references that are so much worse than every row that they would flatten all the rows."""
    sign = 1 if higher_is_better(metric) else -1
    points = _points(rows, metric)
    if not points:
        return {}
    worst = min(sign * point[end] for point in points for end in ("low", "high"))
    best = max(sign * point["mean"] for point in points)
    room = 1.5 * max(best - worst, 0.01 * max(1.0, abs(worst)))
    return {name: value for name, value in references.items() if sign * value < worst - room}


def _draw(analysis: Analysis, *, cost: str = TRAINABLE, bubbles: bool = False) -> list[Picture]:
    group, metric = analysis.group, analysis.metric
    front = front_by_means(group.rows, metric, cost)
    chart = score_against_cost(
        group.rows, metric, group.reference_scores, cost=cost, front=front, bubbles=bubbles
    )
    if chart is None:
        return []
    name = COSTS[cost].name
    return [
        Picture(
            name=f"score-against-{name.replace(' ', '-')}",
            title=f"Test {axis_title(metric)} against {name}",
            chart=chart,
            alt=f"{metric} and {name} of each recipe: {_listed(analysis, cost)}.",
            caption=_caption(analysis, cost, front),
        )
    ]


def _caption(analysis: Analysis, cost: str, front: Collection[str]) -> str:
    group, metric = analysis.group, analysis.metric
    found = [row["metrics"].get(metric) for row in group.rows]
    text = f"The axis of {COSTS[cost].name} is logarithmic."
    kinds = dict.fromkeys(covered(each) for each in found if each and covered(each))
    if kinds:
        text = f"Bars are 95% intervals {' or '.join(kinds)}. {text}"
    if len(front) > 1:
        text += " The line joins the recipes that no other beats in both, by their means."
    points = _with_sides(_points(group.rows, metric, cost), front)
    if (count := sum(bool(point["side"]) for point in points)) < len(points):
        text += f" {count} of {len(points)} recipes are named; the table has all."
    if far := far_references(group.rows, metric, group.reference_scores):
        named = ", ".join(f"{name} {score(value)}" for name, value in far.items())
        text += f" {'Below' if higher_is_better(metric) else 'Above'} the axis: {named}."
    return text


def _listed(analysis: Analysis, cost: str) -> str:
    """``lora 0.957 with 75.7k; full ...``."""
    parts = []
    for row in analysis.group.rows:
        found = row["metrics"].get(analysis.metric)
        value = score(found["mean"], shown_interval(found)) if found else ABSENT
        spent = COSTS[cost].text(row[cost])  # type: ignore[literal-required]
        parts.append(f"{row['label']} {value} with {spent}")
    return "; ".join(parts)


FIGURE = Figure(
    name="score-and-cost",
    section="Scores",
    title="Score and cost",
    draw=_draw,
    options=lambda _: [
        Option(
            key="cost",
            label="Cost",
            choices=list(COSTS),
            default=TRAINABLE,
            names=lambda key: COSTS[key].name,
        ),
        Option(key="bubbles", label="Size of a dot by memory", default=False),
    ],
    absent="No recipe here has both a score and this cost.",
)
