"""Memory by component, what was forecast of it, and all scores and costs at once."""

from __future__ import annotations

import pandas as pd
import streamlit as st

import charts
from comparing.drawing import draw
from comparing.selection import Group, Selection
from shell import plain
from workbench.report.memory import memory_rows
from workbench.report.tables import memory_table
from workbench.report.words import memory_in_words


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
        table = memory_table(bars)
        names = [name for name, _ in table.headers]
        lines = [[cell.text for cell in line] for line in table.lines]
        right = {name: st.column_config.TextColumn(name, alignment="right") for name in names[1:]}
        st.dataframe(
            pd.DataFrame(lines, columns=names),
            hide_index=True,
            height="content",
            column_config=right,
        )
    metrics = list(dict.fromkeys(name for row in group.rows for name in row["metrics"]))
    st.subheader("All scores and costs", anchor=False)
    shown = st.pills(
        "Scores",
        metrics,
        selection_mode="multi",
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
