"""The losses that a training loss is a weighted sum of, drawn into its curve."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from workbench.analysis.records import finite, part
from workbench.charts import HEIGHT, Chart, Point, Row, running_mean, thin

COLORS = ["#d07a26", "#6f63b6", "#c2504a", "#8b949a"]


def with_parts(curve: Chart | None, events: Sequence[Row], *, height: int = HEIGHT) -> Chart | None:
    """The curve of the training loss with a dashed running mean of each part, where it has any."""
    means = [
        {"step": step, "part": name, "mean": mean}
        for name, points in _parts(events).items()
        for (step, _), mean in zip(points, running_mean([v for _, v in points]), strict=True)
    ]
    if curve is None or not means:
        return curve
    names = list(dict.fromkeys(str(row["part"]) for row in means))
    lines = (
        alt.Chart(pd.DataFrame(means))
        .mark_line(strokeDash=[4, 3], strokeWidth=1.6, point=len(means) == len(names))
        .encode(
            x="step:Q",
            y=alt.Y("mean:Q", title="training loss"),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=names, range=COLORS),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("step:Q", title="step"),
                alt.Tooltip("part:N", title="part of the loss"),
                alt.Tooltip("mean:Q", title="running mean", format=".4f"),
            ],
        )
    )
    return alt.layer(curve, lines).properties(height=height)


def _parts(events: Sequence[Row]) -> dict[str, list[Point]]:
    """Steps and values of each part, thinned as the whole is."""
    found: dict[str, list[Point]] = {}
    for row in events:
        if row.get("kind") == "step" and finite(row.get("step")):
            for name, value in part(row, "losses").items():
                if finite(value):
                    found.setdefault(name.replace("_", " "), []).append((row["step"], value))
    return {name: thin(points) for name, points in found.items()}
