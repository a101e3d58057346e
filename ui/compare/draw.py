"""Charts and tables on the page."""

import math
from collections.abc import Callable
from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from cards import INK
from layout import plain
from workbench.analysis.tables import in_one_unit
from workbench.charts.style import LONGEST_NAME, Chart
from workbench.comparison.table import Column, Table
from workbench.formatting import ABSENT, shortened

MOST_ROWS, TALLEST = 20, 740
"""Rows that a table shows at once, and its pixels where it has more."""
AXIS, LEGEND, ENTRIES = 52, 18, 20
"""Pixels of an axis with its title, around a legend, and of a line of its entries: Streamlit counts
them into a chart's size, the charts do not."""
CHARACTER, SLANT = 6.3, 0.64
"""Pixels of a character of a label, and the share of its length that it is high at 40 degrees."""


def draw(chart: Chart, key: str, alt_text: str) -> None:
    """A chart as wide as its place, or in its own size where it has one."""
    spec: Any = chart.configure_text(color=INK)
    width: Literal["stretch", "content"] = "stretch"
    if spec.width is alt.Undefined:
        legends = sum(LEGEND + ENTRIES * lines for lines in _legends(spec.to_dict()).values())
        spec = spec.properties(height=spec.height + AXIS + legends)
    else:
        width = "content"
        classes = spec.to_dict()["layer"][0]["encoding"]["y"]["sort"]
        names = CHARACTER * min(max(map(len, classes)), LONGEST_NAME)
        wide, high = int(spec.width + names + AXIS), int(spec.height + SLANT * names + AXIS)
        spec = spec.properties(width=wide, height=high)
    st.altair_chart(spec, width=width, key=key, alt=alt_text)


def _legends(node: Any) -> dict[str, int]:
    """The legends in a chart's specification, which layers share, and how many lines each has."""
    if isinstance(node, list):
        return dict(found for each in node for found in _legends(each).items())
    if not isinstance(node, dict):
        return {}
    found = _legends([*node.values()])
    if (legend := node.get("legend")) and legend.get("orient"):
        entries = len(node["scale"]["domain"])
        found[str(legend)] = math.ceil(entries / legend.get("columns", entries))
    return found


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
