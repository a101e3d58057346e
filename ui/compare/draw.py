"""Charts and tables on the page."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from layout import plain
from workbench.charts.style import Chart
from workbench.comparison.table import Column, Table

AXES, NAMES = 90, 170
"""Pixels of an axis with its title and a legend, and of the names of classes beside a matrix:
Streamlit counts them into a chart's size, the charts do not."""


def draw(chart: Chart, key: str, alt_text: str) -> None:
    """A chart as wide as its place, or in its own size where it has one.

    Args:
        chart: what to draw.
        key: a name that no other chart of the page has.
        alt_text: what a screen reader says of it.
    """
    spec: Any = chart
    width: Literal["stretch", "content"] = "stretch"
    if spec.width is alt.Undefined:
        spec = spec.properties(height=spec.height + AXES)
    else:
        width = "content"
        spec = spec.properties(width=spec.width + NAMES, height=spec.height + NAMES)
        # Streamlit does not give the colour of the page's texts to texts in a chart.
        ink = {"light": "#1d2327", "dark": "#e5e9e7"}.get(str(st.context.theme.type), "#7d868c")
        spec = spec.configure_text(color=ink)
    st.altair_chart(spec, width=width, key=key, alt=alt_text)


def show_table(table: Table) -> None:
    """A table with its notes; counts stay numbers, so that they sort as such."""
    headers = table.headers
    # A data frame may not repeat a header.
    names = [f"{name}{chr(0x2060) * headers[:i].count(name)}" for i, name in enumerate(headers)]
    column = st.column_config.Column
    st.dataframe(
        pd.DataFrame(dict(zip(names, map(_values, table.columns), strict=True))),
        hide_index=True,
        height="content",
        column_config={
            name: column(alignment=each.align, width=_width(each))
            for name, each in zip(names, table.columns, strict=True)
        },
    )
    if table.notes:
        st.caption(plain("\n".join(table.notes)))


def _width(column: Column) -> int:
    """Pixels that the longest text of a column takes: Streamlit gives a wide one no more than it
    gives a narrow one, and cuts "possibly dominated"."""
    longest = max(len(text) for text in (column.header, *(cell.text for cell in column.cells)))
    return 16 + 6 * longest


def _values(column: Column) -> list[Any]:
    counts = all(cell.text == str(cell.value) for cell in column.cells)
    return [cell.value if counts else cell.text for cell in column.cells]
