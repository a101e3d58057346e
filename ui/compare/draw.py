"""Charts and tables on the page."""

from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from layout import plain
from workbench.charts.style import Chart
from workbench.comparison.table import Table

AXES, NAMES = 90, 170
"""Pixels of an axis with its title and a legend, and of the names of classes beside a matrix:
Streamlit counts them into a chart's size, the charts do not."""


def draw(chart: Chart, key: str, alt_text: str) -> None:
    """A chart as wide as its place, or in its own size where it has one."""
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
    frame, config = {}, {}
    for i, each in enumerate(table.columns):
        # A data frame may not repeat a header.
        name = f"{each.header}{chr(0x2060) * table.headers[:i].count(each.header)}"
        counts = all(cell.text == str(cell.value) for cell in each.cells)
        frame[name] = [cell.value if counts else cell.text for cell in each.cells]
        # Streamlit gives a wide column no more than a narrow one, and cuts "possibly dominated".
        width = 16 + 6 * max(map(len, [each.header, *(cell.text for cell in each.cells)]))
        config[name] = st.column_config.Column(alignment=each.align, width=width)
    st.dataframe(pd.DataFrame(frame), hide_index=True, height="content", column_config=config)
    if table.notes:
        st.caption(plain("\n".join(table.notes)))
