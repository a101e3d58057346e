"""Scores of each class and what it is taken for."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from compare.draw import draw, draw_matrix, ink
from compare.selection import Group, Selection
from layout import plain
from run_summary import items, part
from workbench import charts
from workbench.analysis.classes import Classes, classes_of, most_common
from workbench.analysis.predictions import aligned_answers, kind_of
from workbench.analysis.tables import class_table
from workbench.charts.alt_text import class_rows, confusion_in_words

MATRICES = 2
"""Confusion matrices shown unasked: as many as stand side by side."""


def show(selection: Selection, group: Group) -> None:
    """F1 of each class by recipe, and confusion matrices of those that are chosen."""
    kind = kind_of(group.samples[0])
    known = items(part(group.samples[0].runs[0].result, "data"), "labels")
    classes = {
        label: found
        for label, seeds in aligned_answers(group.samples).items()
        if (found := classes_of(kind, seeds, known)) is not None
    }
    if not classes:
        st.caption("This task has no classes, or the runs kept no answers.")
        return
    st.subheader("F1 of each class", anchor=False)
    first = next(iter(classes.values()))
    names = [first.names[i] for i in most_common(first)]
    chart = charts.class_scores(class_rows(classes, names), group.labels)
    if chart is not None:
        words = f"F1 of {len(names)} classes by recipe; the numbers are in the table below."
        draw(chart, f"classes-{group.number}", words)
        st.caption("Dot: mean over seeds; line: lowest to highest seed.")
    _numbers(first, classes)
    _matrices(group, classes)


def _numbers(first: Classes, classes: dict[str, Classes]) -> None:
    table = class_table(first.names, classes)
    names = [name for name, _ in table.headers]
    numbers = [[line[0].text, *(cell.value for cell in line[1:])] for line in table.lines]
    column = st.column_config.NumberColumn
    with st.expander("The numbers"):
        st.dataframe(
            pd.DataFrame(numbers, columns=names),
            hide_index=True,
            column_config={name: column(name, format="%.3f") for name in names[2:]},
        )


def _matrices(group: Group, classes: dict[str, Classes]) -> None:
    possible = [label for label, found in classes.items() if found.confusion is not None]
    if not possible:
        return
    st.subheader("Confusion", anchor=False)
    chosen = st.multiselect(
        "Recipes",
        possible,
        default=possible[:MATRICES],
        key=f"confusion-{group.number}",
        bind="query-params",
        label_visibility="collapsed",
        format_func=plain,
    )
    columns = st.columns(2, gap="large")
    for i, label in enumerate(chosen):
        found = classes[label]
        kept = most_common(found)
        counts = [[(found.confusion or [])[a][b] for b in kept] for a in kept]
        names = [found.names[i] for i in kept]
        with columns[i % 2]:
            st.markdown(f"**{plain(label)}**")
            words = confusion_in_words(label, counts, names)
            matrix = charts.confusion_matrix(counts, names, ink=ink())
            draw_matrix(matrix, f"confusion-of-{group.number}-{label}", words)
    st.caption("Right class by row, prediction by column; test examples per seed.")
