"""What each class gets, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from workbench.charts.style import ACCENT, Chart, Row, row_colors, row_legend

CELL = 44
"""Pixels of one cell of a confusion matrix."""


def class_scores(rows: Sequence[Row], labels: Sequence[str], title: str = "F1") -> Chart | None:
    """A score of each class as one dot a recipe, with a line over its seeds.

    Args:
        rows: ``label`` of the recipe, ``name`` of the class, ``mean``, ``low``, ``high`` (lowest
            and highest seed) and ``support``, the test examples of the class.
        labels: every label of the page, so that colours are the same in each chart.
        title: what the score is.
    """
    if not rows:
        return None
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y(
            "name:N",
            title=None,
            sort=names,
            axis=alt.Axis(labelLimit=180, grid=True, tickBand="extent", ticks=False),
        ),
        yOffset=alt.YOffset("label:N", sort=list(labels)),
        color=alt.Color("label:N", scale=row_colors(labels), legend=row_legend()),
    )
    x = alt.X(
        "mean:Q",
        title=title,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    lines = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("low:Q", title=title), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x,
        tooltip=[
            alt.Tooltip("label:N", title="recipe"),
            alt.Tooltip("name:N", title="class"),
            alt.Tooltip("mean:Q", title=title, format=".3f"),
            alt.Tooltip("low:Q", title="lowest seed", format=".3f"),
            alt.Tooltip("high:Q", title="highest seed", format=".3f"),
            alt.Tooltip("support:Q", title="test examples"),
        ],
    )
    drawn = {str(row["label"]) for row in rows}
    return alt.layer(lines, dots).properties(height=len(names) * (12 * len(drawn) + 10))


def confusion_matrix(
    counts: Sequence[Sequence[float]], names: Sequence[str], *, ink: str | None = None
) -> Chart:
    """A row for each right class, a column for what was predicted, the share of the row as shade.

    Args:
        counts: test examples, a mean over seeds where there are several.
        names: the classes, in the order of both.
        ink: colour of the counts on pale cells; None for that of the page's texts.
    """
    cells = [
        {"right": right, "predicted": predicted, "count": count, "share": count / (sum(row) or 1.0)}
        for right, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]
    order = list(names)
    base = alt.Chart(pd.DataFrame(cells)).encode(
        x=alt.X(
            "predicted:N",
            sort=order,
            title="predicted",
            axis=alt.Axis(
                orient="bottom", labelAngle=-40, labelLimit=110, labelOverlap=False, grid=False
            ),
        ),
        y=alt.Y(
            "right:N",
            sort=order,
            title="right",
            axis=alt.Axis(labelLimit=130, labelOverlap=False, grid=False),
        ),
    )
    shades = base.mark_rect(color=ACCENT).encode(
        opacity=alt.Opacity(
            "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 1]), legend=None
        ),
        tooltip=[
            alt.Tooltip("right:N"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("count:Q", title="test examples", format=".1~f"),
            alt.Tooltip("share:Q", title="of this class", format=".1%"),
        ],
    )
    layers = [shades]
    if len(order) <= 12:
        texts = base.mark_text(fontSize=11, color=ink or alt.Undefined).encode(
            text=alt.Text("count:Q", format=".1~f")
        )
        some = texts.transform_filter("datum.count > 0 && datum.share <= 0.5")
        most = texts.transform_filter("datum.share > 0.5").mark_text(
            fontSize=11, color="#ffffff", fontWeight=600
        )
        layers += [some, most]
    side = max(120, min(CELL, 420 // len(order)) * len(order))
    return alt.layer(*layers).properties(width=side, height=side)
