"""Maps of attention and bars of what weighs most."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from cards import INK
from playground.token_charts import FOR, NONE, SIDES, kind_color, spoken
from workbench.charts.style import ON_STRONG, STRONG, Chart, strength

QUIET: dict[str, Any] = {
    "ticks": False,
    "domain": False,
    "labelOverlap": False,
    "labelFlush": False,
}
"""An axis of names and nothing else."""


def attention_map(
    weights: Sequence[Sequence[float]], row_names: Sequence[str], column_names: Sequence[str]
) -> Chart:
    """Who looks at whom: a row for each token that looks, a column for each that is looked at."""
    rows = [f"{i:03d} {name}" for i, name in enumerate(row_names)]
    columns = [f"{i:03d} {name}" for i, name in enumerate(column_names)]
    cells = [
        (row, column, value)
        for row, line in zip(rows, weights, strict=True)
        for column, value in zip(columns, line, strict=True)
    ]
    frame = pd.DataFrame(cells, columns=["from", "to", "weight"])
    size = 16 if max(len(rows), len(columns)) <= 60 else 11
    axis = alt.Axis(
        labelExpr="slice(datum.label, 4)",
        labelLimit=110,
        labelFontSize=size - 5 if size < 16 else 11,
        **QUIET,
    )
    chart: Chart = (
        alt.Chart(frame)
        .mark_rect(color=FOR)
        .encode(
            x=alt.X("to:O", title="looked at", axis=axis.copy(), scale=alt.Scale(paddingInner=0)),
            y=alt.Y("from:O", title="looks", axis=axis, scale=alt.Scale(paddingInner=0)),
            opacity=strength("weight:Q", frame["weight"].max() or 1.0),
            tooltip=["from:O", "to:O", alt.Tooltip("weight:Q", format=".3f")],
        )
        .properties(height=size * len(rows) + 90, width=size * len(columns) + 90)
    )
    return chart


def head_overview(share: Sequence[Sequence[float]]) -> Chart:
    """How much of its attention each head spends on virtual tokens, layer by layer."""
    cells = [
        (layer + 1, head + 1, value)
        for layer, heads in enumerate(share)
        for head, value in enumerate(heads)
    ]
    frame = pd.DataFrame(cells, columns=["layer", "head", "share"])
    base = alt.Chart(frame).encode(
        x=alt.X("head:O", axis=alt.Axis(labelAngle=0, orient="top", **QUIET)),
        y=alt.Y("layer:O", axis=alt.Axis(**QUIET)),
        tooltip=["layer:O", "head:O", alt.Tooltip("share:Q", format=".1%")],
    )
    boxes = base.mark_rect(cornerRadius=3, color=FOR).encode(opacity=strength("share:Q"))
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("share:Q", format=".0%"),
        color=alt.condition(f"datum.share > {STRONG}", alt.value(ON_STRONG), alt.value(INK)),
    )
    return alt.layer(boxes, numbers).properties(height=30 * len(share) + 40)


def bars(
    rows: Sequence[Mapping[str, Any]],
    *,
    signed: bool = False,
    format: str = ".0%",
    color: str = FOR,
) -> Chart:
    """Horizontal bars with their numbers, ``name`` and ``value`` of each, in the order given;
    those of positive values in ``color``."""
    frame = pd.DataFrame(list(rows), columns=["name", "value"])
    frame["side"] = ["for" if v >= 0 else "against" for v in frame["value"]]
    frame["written"] = [_written(v, format) for v in frame["value"]]
    low = min([0.0, *frame["value"]]) if signed else 0.0
    high = max([0.0, *frame["value"]]) if signed else 1.0
    room = 0.22 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - (room if low < 0 else 0), high + room], nice=False)
    axis = alt.Axis(labelLimit=130, **QUIET)
    base = alt.Chart(frame).encode(
        x=alt.X("value:Q", scale=scale, axis=None),
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=axis),
    )
    drawn = base.mark_bar(height={"band": 0.62}, cornerRadius=2).encode(
        color=kind_color("side:N", SIDES | {"for": color}),
        tooltip=["name:N", alt.Tooltip("value:Q", format=".4f")],
    )
    sides: dict[str, Any] = {">=": {"align": "left", "dx": 4}, "<": {"align": "right", "dx": -4}}
    numbers = [
        base.transform_filter(f"datum.value {side} 0")
        .mark_text(fontSize=11, color=INK, **look)
        .encode(text="written:N")
        for side, look in sides.items()
    ]
    return alt.layer(drawn, *numbers).properties(height=20 * len(frame) + 4, padding=NONE)


def numbered(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows with names told apart: the second ``goal`` is ``goal (2)``."""
    seen: dict[str, int] = {}
    found = []
    for row in rows:
        name = spoken(str(row["name"]))
        seen[name] = seen.get(name, 0) + 1
        found.append({**row, "name": name if seen[name] == 1 else f"{name} ({seen[name]})"})
    return found


def _written(value: float, format: str) -> str:
    if not math.isfinite(value):
        return "–"
    if format == ".0%" and 0 < value < 0.005:
        return "<1%"
    return f"{value:{format}}"
