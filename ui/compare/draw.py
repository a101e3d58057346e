"""Charts and tables on the page."""

import math
from collections.abc import Callable
from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from layout import plain
from workbench.analysis.tables import in_one_unit
from workbench.charts.style import Chart
from workbench.comparison.table import Column, Table
from workbench.formatting import ABSENT, shortened

MOST_ROWS, TALLEST = 20, 740
"""Rows that a table shows at once, and its pixels where it has more."""
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
    """A table with its notes. Numbers stay numbers, so that they sort as such, whatever is shown
    of them; a long name, which has no space or stands first, loses its middle."""
    frame: dict[str, list[Any]] = {}
    formats: dict[str, Callable[[float], str]] = {}
    config: dict[str, Any] = {}
    for each in map(in_one_unit, table.columns):
        name = shortened(each.header)
        while name in frame:  # a data frame may not repeat a header
            name += chr(0x2060)
        texts = [
            cell.text if config and " " in cell.text else shortened(cell.text)
            for cell in each.cells
        ]
        frame[name] = texts
        if _is_numeric(each):
            frame[name], written = _numbers(each)
            formats[name] = written.__getitem__
        # Streamlit gives a wide column no more than a narrow one, and cuts "possibly dominated".
        width = 20 + 6.4 * max(map(len, [name, *texts]))
        tip = each.header if name.rstrip(chr(0x2060)) != each.header else None
        config[name] = st.column_config.Column(alignment=each.align, width=int(width), help=tip)
    shown = pd.DataFrame(frame).style.format(formats, na_rep=ABSENT)
    height = "content" if len(shown.index) <= MOST_ROWS else TALLEST
    look: dict[str, Any] = {"hide_index": True, "height": height, "placeholder": ABSENT}
    st.dataframe(shown, column_config=config, **look)
    if table.notes:
        st.caption(plain("\n".join(table.notes)))
    long = [cell.text for cell in table.columns[0].cells if shortened(cell.text) != cell.text]
    if long:
        with st.expander("Names in full"):
            st.text("\n".join(dict.fromkeys(long)))


def _is_numeric(column: Column) -> bool:
    return any(cell.value is not None for cell in column.cells) and all(
        cell.value is not None or cell.text in ("", ABSENT) for cell in column.cells
    )


def _numbers(column: Column) -> tuple[list[float | None], dict[float, str]]:
    """The numbers, and how each is written: equal ones with another interval are told apart by the
    last bit."""
    written: dict[float, str] = {}
    values: list[float | None] = []
    for cell in column.cells:
        value = cell.value
        while value is not None and written.setdefault(value, cell.text) != cell.text:
            value = math.nextafter(value, math.inf)
        values.append(value)
    return values, written
