"""Charts: records in, an Altair chart out. Nothing here knows Streamlit or reads a file.

Colours are middle tones that hold on a light and on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from records import finite, part
from workbench.recipe.catalogue import higher_is_better

Row = Mapping[str, Any]
Point = tuple[float, float]
Chart = alt.LayerChart | alt.FacetChart

ACCENT, SECOND, MUTED = "#0f8a80", "#d07a26", "#8b949a"
COMPONENTS: dict[str, tuple[str, str]] = {
    "weights_bytes": ("weights", "#7d868c"),
    "gradients_bytes": ("gradients", "#d07a26"),
    "optimizer_bytes": ("optimizer", "#6f63b6"),
    "activations_bytes": ("activations", "#0f8a80"),
}
MAX_POINTS = 800
SCORE = ".4~r"
"""Vega's format of a score: four digits, whether it is an accuracy or a perplexity."""
SMOOTHING = 0.9
HEIGHT = 240


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
    base = alt.Chart(frame).encode(x=alt.X("step:Q", title="step", axis=_few_ticks()))
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
        x=alt.X("step:Q", title="step", axis=_few_ticks(), scale=alt.Scale(zero=True)),
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


def _points(rows: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    """What there is to draw of each row: parameters, mean and interval of a metric."""
    points: list[dict[str, Any]] = []
    for row in rows:
        found = part(part(row, "metrics"), metric)
        parameters = row.get("trainable_parameters")
        if not finite(found.get("mean")) or not finite(parameters) or parameters <= 0:
            continue
        mean = found["mean"]
        low, high = found.get("ci_low"), found.get("ci_high")
        points.append(
            {
                "label": str(row.get("label") or row.get("recipe")),
                "method": str(row.get("method")),
                "study": str(row.get("study")),
                "seeds": len(row.get("seeds") or []),
                "parameters": parameters,
                "mean": mean,
                "low": low if finite(low) else mean,
                "high": high if finite(high) else mean,
            }
        )
    return points


def score_against_parameters(
    rows: Sequence[Row], metric: str, references: Mapping[str, float], *, height: int = 380
) -> Chart | None:
    """A metric against trainable parameters (log axis), with its interval over seeds.

    Args:
        rows: as in ``compare --format json``.
        metric: one of their metrics.
        references: score of each reference, drawn as a dashed rule.
    """
    points = _points(rows, metric)
    if not points:
        return None
    frame = pd.DataFrame(points)
    x = alt.X(
        "parameters:Q",
        title="trainable parameters",
        scale=alt.Scale(type="log", domain=_log_domain(list(frame["parameters"])), nice=False),
        axis=alt.Axis(format="~s", values=_powers(list(frame["parameters"]))),
    )
    far = far_references(rows, metric, references)
    near = {name: value for name, value in references.items() if name not in far}
    title, scale = axis_title(metric), alt.Scale(zero=False, nice=True)
    y = alt.Y("mean:Q", title=title, scale=scale)
    color = alt.Color("method:N", legend=None)
    base = alt.Chart(frame).encode(x=x, color=color)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        y=y,
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("study:N"),
            alt.Tooltip("mean:Q", title=metric, format=SCORE),
            alt.Tooltip("low:Q", title="95% low", format=SCORE),
            alt.Tooltip("high:Q", title="95% high", format=SCORE),
            alt.Tooltip("parameters:Q", title="trainable", format=","),
            alt.Tooltip("seeds:Q"),
        ],
    )
    names = base.mark_text(dy=-9, fontSize=12, fontWeight=600).encode(y="high:Q", text="label:N")
    layers: list[alt.Chart] = [bars, dots, names]
    if near:
        rules = alt.Chart(pd.DataFrame([{"name": k, "value": v} for k, v in near.items()]))
        layers.append(rules.mark_rule(color=MUTED, strokeDash=[5, 4]).encode(y="value:Q"))
        layers.append(
            rules.mark_text(color=MUTED, align="right", dy=-7, dx=-4, fontSize=11).encode(
                y="value:Q", x=alt.value("width"), text="name:N"
            )
        )
    return alt.layer(*layers).properties(height=height)


def axis_title(metric: str) -> str:
    """The metric, and which way is better where that is down."""
    return metric if higher_is_better(metric) else f"{metric} (lower is better)"


def far_references(
    rows: Sequence[Row], metric: str, references: Mapping[str, float]
) -> dict[str, float]:
    """The references that are so much worse than every row that they would flatten all the rows.

    Args:
        rows: as in ``compare --format json``.
        metric: one of their metrics.
        references: score of each reference.
    """
    sign = 1 if higher_is_better(metric) else -1
    points = _points(rows, metric)
    if not points:
        return {}
    worst = min(sign * point[end] for point in points for end in ("low", "high"))
    best = max(sign * point["mean"] for point in points)
    room = 1.5 * max(best - worst, 0.01 * max(1.0, abs(worst)))
    return {name: value for name, value in references.items() if sign * value < worst - room}


def memory_bars(rows: Sequence[Row]) -> Chart | None:
    """Memory of each recipe by component, with the measured peak as a tick.

    Args:
        rows: ``label``, ``peak_memory_bytes`` and the components, in bytes; absent is None.
    """
    parts, peaks = [], []
    for row in rows:
        label = str(row["label"])
        for order, (key, (name, _)) in enumerate(COMPONENTS.items()):
            if finite(row.get(key)):
                parts.append({"label": label, "part": name, "bytes": row[key], "order": order})
        if finite(row.get("peak_memory_bytes")):
            peaks.append({"label": label, "peak": row["peak_memory_bytes"]})
    if not parts and not peaks:
        return None
    labels = [str(row["label"]) for row in rows]
    axis = alt.Axis(tickCount=5, labelExpr="format(datum.value, '~s') + 'B'")
    y = alt.Y("label:N", title=None, sort=labels, axis=alt.Axis(labelLimit=220, labelOverlap=False))
    names = [name for name, _ in COMPONENTS.values()]
    colors = [color for _, color in COMPONENTS.values()]
    bars = (
        alt.Chart(pd.DataFrame(parts, columns=["label", "part", "bytes", "order"]))
        .mark_bar(height={"band": 0.62})
        .encode(
            y=y,
            x=alt.X("bytes:Q", title=None, stack="zero", axis=axis),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=names, range=colors),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order="order:O",
            tooltip=["label:N", "part:N", alt.Tooltip("bytes:Q", format=".3s")],
        )
    )
    ticks = (
        alt.Chart(pd.DataFrame(peaks, columns=["label", "peak"]))
        .mark_tick(color="#c2504a", thickness=2.5, height={"band": 0.85})
        .encode(
            y=y,
            x=alt.X("peak:Q", axis=axis),
            tooltip=["label:N", alt.Tooltip("peak:Q", title="measured peak", format=".3s")],
        )
    )
    return alt.layer(bars, ticks).properties(height=34 * len(labels) + 90)


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


def _few_ticks() -> alt.Axis:
    return alt.Axis(tickCount=6, tickMinStep=1, grid=False, format="d")


def _log_domain(values: Sequence[float]) -> list[float]:
    return [min(values) / 2.5, max(values) * 2.5]


def _powers(values: Sequence[float]) -> list[float]:
    low, high = _log_domain(values)
    return [10.0**n for n in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
