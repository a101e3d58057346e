"""Memory by component, what was forecast of it, and all scores and costs at once."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from compare.draw import draw
from compare.selection import Group, Selection
from layout import plain
from workbench import charts
from workbench.analysis.costs import forecast_rows, memory_rows
from workbench.analysis.tables import Table, forecast_table, memory_table
from workbench.charts.alt_text import memory_in_words


def show(selection: Selection, group: Group) -> None:
    """The pictures of what a group costs, and the numbers of the first."""
    st.subheader("Peak memory by component", anchor=False)
    bars = memory_rows(group.rows, group.samples)
    chart = charts.memory_bars(bars)
    if chart is None:
        st.caption("These runs did not measure memory.")
    else:
        words = memory_in_words(bars)
        draw(chart, f"memory-{group.number}", words.alt)
        st.caption(plain(words.caption))
        _table(memory_table(bars))
    foretold = forecast_table(forecast_rows(group.rows, group.samples))
    if foretold is not None:
        st.subheader("Forecast and measurement", anchor=False)
        _table(foretold)
    metrics = list(dict.fromkeys(name for row in group.rows for name in row["metrics"]))
    st.subheader("All scores and costs", anchor=False)
    shown = st.multiselect(
        "Scores",
        metrics,
        default=[group.metric] if group.metric in metrics else metrics[:1],
        key=f"axes-{group.number}",
        bind="query-params",
    )
    lines_chart = charts.parallel_coordinates(group.rows, shown, height=240)
    if lines_chart is None:
        st.caption("There is nothing to set beside each other: one recipe, or equal values.")
        return
    words_of_lines = (
        "Each recipe as a line over its scores and costs; the first tab has the numbers."
    )
    draw(lines_chart, f"parallel-{group.number}", words_of_lines)
    st.caption("The better end of each axis is on top; costs are logarithmic.")


def _table(table: Table) -> None:
    names = [name for name, _ in table.headers]
    # A table of the report may repeat a header, a data frame may not.
    unique = [f"{name}{chr(0x2060) * names[:i].count(name)}" for i, name in enumerate(names)]
    lines = [[cell.text for cell in line] for line in table.lines]
    text = st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(lines, columns=unique),
        hide_index=True,
        height="content",
        column_config={name: text(name, alignment="right") for name in unique[1:]},
    )
