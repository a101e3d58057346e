"""Compare: recipes side by side, seeds taken together, with intervals and what they cost."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from compare import classes, configuration, costs, curves, disagreements, downloads, overview
from compare.selection import Group, Selection, choose
from layout import empty, heading, plain, remarks

Tab = Callable[[Selection, Group], None]
TABS: dict[str, Tab] = {
    "Scores": overview.show,
    "Costs": costs.show,
    "Curves": curves.show,
    "Classes": classes.show,
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
    _remarks(selection)
    if not selection.comparison.rows:
        empty("Nothing to compare here", "None of these runs has a result that can be read.")
        return
    opened = st.tabs([*TABS, DOWNLOAD], key="view", bind="query-params")
    for tab, show in zip(opened, TABS.values(), strict=False):
        if tab.open:  # what is closed is not read
            with tab:
                _groups(selection, show)
    if opened[-1].open:
        with opened[-1]:
            downloads.show(selection)


def _groups(selection: Selection, show: Tab) -> None:
    several = len(selection.groups) > 1
    for group in selection.groups:
        place = f"Group {group.number}: " if several else ""
        st.header(plain(f"{place}{group.title}"), anchor=False)
        if several:
            st.caption("Not comparable with the other groups.")
        show(selection, group)


def _remarks(selection: Selection) -> None:
    warnings = selection.comparison.warnings
    title = f"{len(warnings)} remark{'' if len(warnings) == 1 else 's'} on what is compared"
    remarks(title, warnings, ":material/info:")


page()
