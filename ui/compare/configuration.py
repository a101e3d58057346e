"""What the recipes of a group set differently."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from compare.selection import Group, Selection
from layout import plain
from workbench.analysis.tables import said
from workbench.comparison.configuration import differing
from workbench.formatting import ABSENT


def show(selection: Selection, group: Group) -> None:
    """Only the keys whose values differ; the whole recipe of one below."""
    settings = {sample.label: sample.variant.settings for sample in group.samples}
    found = differing(settings)
    if not found:
        st.caption("The recipes are the same." if len(settings) > 1 else "There is one recipe.")
    else:
        words = st.text_input(
            "Key contains", key=f"key-{group.number}", bind="query-params", width=260
        )
        lines = [
            {"key": key}
            | {name: said(values[name]) if name in values else ABSENT for name in group.labels}
            for key, values in found.items()
            if words.lower() in key.lower()
        ]
        st.dataframe(pd.DataFrame(lines), hide_index=True, height="content")
        same = len({key for flat in settings.values() for key in flat}) - len(found)
        st.caption(f"{len(found)} keys differ; {same} are the same everywhere and not shown.")
    chosen = st.selectbox(
        "Whole recipe", group.labels, index=None, key=f"recipe-{group.number}", bind="query-params",
        placeholder="none", width=320, format_func=str,
    )  # fmt: skip
    for sample in group.samples:
        if sample.label == chosen:
            st.caption(plain(f"{sample.runs[0].id}, every value written out."))
            st.code(sample.runs[0].recipe_text() or "(not there)", language="yaml")
