"""The data of a recipe on the page: rows, balance of labels, lengths in tokens, duplicates."""

import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from layout import errors_shown, plain, remarks, tiles
from run_cli import ask, recipe_file
from workbench.formatting import plural
from workbench.recipe import Recipe

KEPT = 32
BAR, LIMIT = "#0f8a80", "#c2504a"
Found = dict[str, Any]


def show(recipe: Recipe) -> None:
    """A button that reads the data, then what was read; kept until the data section changes."""
    key = _key(recipe)
    found = _known().get(key)
    if found is None:
        st.caption(
            "Loads the data as a run does and tokenizes the training texts. Takes some seconds; "
            "data from the Hub is downloaded first."
        )
        if st.button("Preview the data", key="look", icon=":material/table_view:"):
            with errors_shown():
                with st.spinner("Reading the data"), recipe_file(recipe) as file:
                    _known()[key] = ask(["data", file])
                for old in list(_known())[:-KEPT]:
                    _known().pop(old, None)
                st.rerun()  # without the button
        return
    _summary(found)
    left, right = st.columns(2, gap="large")
    with left:
        _balance(found.get("labels"))
    with right:
        _lengths(found["lengths"])
    notes = [str(note) for note in found.get("notes", [])]
    remarks(f"{plural(len(notes), 'note')} on the data", notes, ":material/info:")
    st.caption("The first rows of the training split.")
    st.dataframe(pd.DataFrame(found["rows"]), hide_index=True, height=320)


def _summary(found: Found) -> None:
    lengths = found["lengths"]
    shown = [(role, f"{count:,}") for role, count in found["splits"].items()]
    shown += [
        ("duplicates", f"{found['duplicates_removed']:,}"),
        ("longer than the limit", f"{lengths['longer'] / max(1, lengths['measured']):.0%}"),
    ]
    tiles(shown)


def _balance(labels: list[Found] | None) -> None:
    st.subheader("Labels", anchor=False)
    if not labels:
        st.caption("This task has no label set.")
        return
    frame, axis = pd.DataFrame(labels), alt.Axis(labelLimit=180, labelOverlap=False)
    bars = (
        alt.Chart(frame)
        .mark_bar(color=BAR, height={"band": 0.62})
        .encode(
            y=alt.Y("label:N", title=None, sort="-x", axis=axis),
            x=alt.X("train:Q", title="training examples", axis=alt.Axis(tickCount=4, format="~s")),
            tooltip=["label:N", "train:Q", "validation:Q", "test:Q"],
        )
        .properties(height=max(120, min(26 * len(frame) + 40, 420)))
    )
    st.altair_chart(bars, width="stretch", key="balance")


def _lengths(lengths: Found) -> None:
    st.subheader("Tokens per text", anchor=False)
    limit = lengths["max_length"]
    bars = (
        alt.Chart(pd.DataFrame(lengths["histogram"]).assign(zero=0))
        .mark_bar(color=BAR)
        .encode(
            x=alt.X("low:Q", title="tokens", axis=alt.Axis(tickCount=6, grid=False)),
            x2="high:Q",
            y=alt.Y("texts:Q", title="texts", axis=alt.Axis(tickCount=4)),
            y2="zero:Q",  # with x and x2 given, a bar does not begin at zero by itself
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".0f"),
                alt.Tooltip("high:Q", title="to", format=".0f"),
                "texts:Q",
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"limit": [limit]}))
    rule = line.mark_rule(color=LIMIT, strokeWidth=2, strokeDash=[5, 3]).encode(x="limit:Q")
    st.altair_chart(alt.layer(bars, rule).properties(height=170), width="stretch", key="lengths")
    cut = f"{lengths['longer']:,} of {lengths['measured']:,} training texts are longer and "
    cut += "are truncated."
    if lengths["windows"]:
        cut = cut.replace("are truncated", "read in windows of that size")
    if lengths["packed"]:
        cut = "texts are packed into windows of that size, so nothing is truncated."
    words = f"The red line is max_length, {limit} tokens; {cut} Median {lengths['median']:g}, "
    words += f"longest {lengths['longest']:,}; the last bar holds all longer texts."
    st.caption(plain(words))


@st.cache_resource(show_spinner=False)
def _known() -> MutableMapping[str, Found]:
    return {}


def _key(recipe: Recipe) -> str:
    """All that decides what the preview says; for local data also whether it has changed."""
    source = Path(recipe.data.source)
    stamp = source.stat().st_mtime_ns if source.is_absolute() and source.exists() else 0
    values = recipe.model_dump(mode="json", include={"task", "data", "model"})
    return json.dumps([values, stamp], sort_keys=True)
