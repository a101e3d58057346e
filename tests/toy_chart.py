"""A chart as ARCHITECTURE.md asks for one: this would be the file in ``workbench/charts/``."""

from __future__ import annotations

import altair as alt
import pandas as pd

from workbench.analysis.group import Analysis
from workbench.charts.figure import Csv, Figure, Option, Picture


def _csv(analysis: Analysis) -> Csv:
    return [{"recipe": row["label"], "seeds": len(row["seeds"])} for row in analysis.group.rows]


def _draw(analysis: Analysis, *, toy: str) -> list[Picture]:
    frame = pd.DataFrame(_csv(analysis))
    bars = alt.Chart(frame).mark_bar(color=toy).encode(x="seeds:Q", y="recipe:N")
    chart = alt.layer(bars).properties(height=100)
    seeds = ", ".join(f"{recipe} {n}" for recipe, n in frame.itertuples(index=False))
    alt_text = f"Seeds of each recipe as bars: {seeds}."
    return [Picture(name="toy", title="How many seeds", chart=chart, alt=alt_text)]


FIGURE = Figure(
    name="toy",
    section="Costs",
    title="Seeds",
    draw=_draw,
    options=lambda _: [
        Option(key="toy", label="Colour", choices=["teal", "gray"], default="teal"),
    ],
    csv=_csv,
    csv_about="seeds of each recipe",
)
