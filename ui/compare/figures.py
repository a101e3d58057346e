"""The figures of a section, with a widget for everything that may be chosen."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from compare.draw import draw, show_table
from layout import plain
from workbench.analysis.group import Analysis
from workbench.charts.figure import Figure, Option
from workbench.formatting import shortened

BESIDE = 2
"""Options that stand beside a figure's title; more stand below it."""


def show_figures(figures: Sequence[Figure], analysis: Analysis) -> None:
    for figure in figures:
        tables, options = figure.tables(analysis), figure.options(analysis)
        above = st.container()
        row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
        place = row.container() if len(options) <= BESIDE else above
        with row:
            chosen = {each.key: _ask(each, f"{each.key}-{analysis.number}") for each in options}
        pictures = figure.draw(analysis, **chosen)
        if pictures or tables or figure.absent:
            title = pictures[0].title if len(pictures) == 1 else figure.title
            place.subheader(plain(title), anchor=False)
        if figure.absent and not pictures:
            st.caption(figure.absent)
        captions = list(dict.fromkeys(picture.caption for picture in pictures))
        for picture, cell in zip(pictures, _cells(figure, len(pictures)), strict=True):
            with cell:
                if len(pictures) > 1:
                    title = shortened(picture.title.removeprefix(f"{figure.title}: "))
                    st.markdown(f"**{plain(title)}**")
                draw(picture.chart, f"{picture.name}-{analysis.number}", picture.alt)
                if len(captions) > 1 and picture.caption:
                    st.caption(plain(picture.caption))
        if len(captions) == 1 and captions[0]:
            st.caption(plain(captions[0]))
        for table in tables:
            with st.expander("The numbers") if pictures else st.container():
                show_table(table)


def _cells(figure: Figure, count: int) -> list[Any]:
    """A place for each picture: below each other, two side by side, or as many as there is room."""
    if figure.layout == "half":
        columns = st.columns(2, gap="large")
        return [columns[i % 2] for i in range(count)]
    row = st.container(horizontal=figure.layout == "small", gap="medium")
    return [
        row.container(width="content" if figure.layout == "small" else "stretch")
        for _ in range(count)
    ]


def _ask(option: Option, key: str) -> Any:
    """The widget of an option, which the address keeps."""
    if isinstance(option.default, bool):
        return st.toggle(option.label, option.default, key=key, bind="query-params")
    if not option.choices:
        return option.default
    choices, shown = list(option.choices), lambda value: shortened(option.names(value))
    if isinstance(option.default, list):
        return st.multiselect(
            option.label, choices, default=option.default, key=key, bind="query-params",
            width=360, format_func=shown, placeholder="none",
        )  # fmt: skip
    return st.selectbox(
        option.label, choices, index=choices.index(option.default), key=key, bind="query-params",
        width=220, format_func=shown,
    )  # fmt: skip
