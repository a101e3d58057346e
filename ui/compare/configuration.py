"""What the recipes of a group set differently."""

import streamlit as st

from compare.draw import show_table
from compare.selection import Selection
from layout import plain
from workbench.analysis.group import Analysis
from workbench.analysis.tables import difference_table


def show(selection: Selection, analysis: Analysis) -> None:
    group, number = analysis.group, analysis.number
    found = group.config_difference()
    if not found:
        st.caption("The recipes are the same." if len(group.rows) > 1 else "There is one recipe.")
    else:
        words = st.text_input(
            "Setting contains", key=f"key-{number}", bind="query-params", width=260
        )
        shown = {key: values for key, values in found.items() if words.lower() in key.lower()}
        show_table(difference_table(shown, group.labels))
        settings = [sample.settings for sample in group.samples]
        same = len({key for flat in settings for key in flat}) - len(found)
        st.caption(f"{len(found)} keys differ; {same} are the same everywhere and not shown.")
    chosen = st.selectbox(
        "Recipe in full", group.labels, index=None, key=f"recipe-{number}", bind="query-params",
        placeholder="none", width=320, format_func=str,
    )  # fmt: skip
    for sample in group.samples:
        if sample.label == chosen:
            st.caption(plain(f"{sample.runs[0].id}, every value written out."))
            st.code(sample.runs[0].recipe_text() or "(not there)", language="yaml")
