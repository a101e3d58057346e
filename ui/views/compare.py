"""Compare: recipes side by side, seeds taken together, with intervals and what they cost."""

from collections.abc import Callable

import streamlit as st

from compare import configuration, disagreements, downloads, overview
from compare.figures import show_figures
from compare.selection import Selection, choose
from layout import empty, heading, plain, remarks
from workbench.analysis.group import Analysis
from workbench.charts.figures import sections
from workbench.formatting import plural

TABS: dict[str, Callable[[Selection, Analysis], None]] = {
    "Scores": overview.show,
    "Disagreements": disagreements.show,
    "Recipes": configuration.show,
}
DOWNLOAD = "Download"


def page() -> None:
    """The view: the choice, what to know before believing it, and a tab for each question."""
    heading(
        "Compare",
        "Finished runs, seeds of a recipe taken together, with what a difference is worth.",
    )
    selection = choose()
    if selection is None:
        return
    warnings = selection.comparison.warnings
    remarks(plural(len(warnings), "warning"), warnings, ":material/info:")
    if not selection.comparison.rows:
        empty("Nothing to compare here", "None of these runs has a result that can be read.")
        return
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
        st.header(plain(analysis.group.title), anchor=False)
        if analysis.group.several:
            st.caption("Not comparable with the other groups.")
        if name in TABS:  # above the figures of the section, where it has some
            TABS[name](selection, analysis)
        show_figures(sections().get(name, []), analysis)


page()
