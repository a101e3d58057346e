"""Charts on the page: Streamlit counts axes and legend into a chart's size, the charts do not."""

from __future__ import annotations

from typing import Any

import streamlit as st

from workbench import charts

AXES = 90
"""Pixels that an axis with its title and a legend take in height."""


def draw(chart: charts.Chart, key: str, words: str) -> None:
    """A chart as wide as its place.

    Args:
        chart: what to draw.
        key: a name that no other chart of the page has.
        words: what a screen reader says of it.
    """
    spec: Any = chart
    st.altair_chart(spec.properties(height=spec.height + AXES), width="stretch", key=key, alt=words)


def draw_matrix(chart: charts.Chart, key: str, words: str) -> None:
    """A confusion matrix in its own size, with room for the names of its classes."""
    spec: Any = chart
    whole = spec.properties(width=spec.width + 170, height=spec.height + 140)
    st.altair_chart(whole, width="content", key=key, alt=words)


def ink() -> str:
    """The colour of the page's texts, which Streamlit does not give to texts in a chart."""
    kind = st.context.theme.type
    return {"light": "#1d2327", "dark": "#e5e9e7"}.get(str(kind), "#7d868c")
