"""A tab for each question that is put to a comparison."""

from collections.abc import Callable

import streamlit as st

from compare import configuration, disagreements, downloads, overview
from compare.figures import show_figures
from compare.selection import Selection
from layout import plain
from workbench.analysis.group import Analysis
from workbench.charts.figures import sections

TABS: dict[str, Callable[[Selection, Analysis], None]] = {
    "Scores": overview.show,
    "Disagreements": disagreements.show,
    "Recipes": configuration.show,
}
DOWNLOAD = "Download"


def show(selection: Selection) -> None:
    names = [*dict.fromkeys([*sections(), *TABS]), DOWNLOAD]
    for name, tab in zip(names, st.tabs(names, key="view", bind="query-params"), strict=True):
        if not tab.open:  # what is closed is not read
            continue
        with tab:
            if name == DOWNLOAD:
                downloads.show(selection)
            else:
                _groups(selection, name)


def _groups(selection: Selection, name: str) -> None:
    for analysis in selection.groups:
        title = plain(analysis.group.title)
        if analysis.group.several:
            st.header(title, anchor=False)
            st.caption("Not comparable with the other groups.")
        else:
            st.caption(title)
        if name in TABS:  # above the figures of the section, where it has some
            TABS[name](selection, analysis)
        figures = sections().get(name, [])
        show_figures([each for each in figures if each is not overview.LEAD], analysis)
