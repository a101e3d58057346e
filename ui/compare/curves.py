"""How the training went, seeds taken together."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from compare.draw import draw
from compare.selection import Group, Selection
from layout import plain
from workbench import charts
from workbench.analysis.learning_curves import (
    LOSS,
    X_TITLES,
    Across,
    seed_bands,
    validation_metrics,
)

SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
AXES = ("x", "y")


def show(selection: Selection, group: Group) -> None:
    """Training loss and a validation metric with seed bands; what the axes are is chosen."""
    metrics = validation_metrics(group.samples)
    number = group.number
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        across: Across = st.radio(
            "Over", list(get_args(Across)), horizontal=True, key=f"over-{number}",
            bind="query-params",
        )  # fmt: skip
        smoothing = st.select_slider(
            "Smoothing of the loss", SMOOTHING, value=0.8, key=f"smooth-{number}",
            bind="query-params", width=220,
        )  # fmt: skip
        logarithmic = st.multiselect(
            "Logarithmic", AXES, key=f"log-{number}", bind="query-params", width=160,
            placeholder="no axis",
        )  # fmt: skip
        metric = None
        if metrics:
            metric = st.selectbox(
                "Validation", metrics, key=f"validation-{number}", bind="query-params", width=200,
                index=metrics.index(group.metric) if group.metric in metrics else 0,
            )  # fmt: skip
    left, right = st.columns(2, gap="large")
    wanted = [(left, LOSS, "training loss", smoothing)]
    wanted += [(right, metric, f"validation {metric}", 0.0)] if metric else []
    for column, quantity, title, smooth in wanted:
        with column:
            st.subheader(plain(title[0].upper() + title[1:]), anchor=False)
            bands = [
                point
                for sample in group.samples
                for point in seed_bands(sample, quantity, across, smooth)
            ]
            chart = charts.seed_curves(
                bands, title, group.labels, x_title=X_TITLES[across], log_x="x" in logarithmic,
                log_y="y" in logarithmic, points=quantity != LOSS, height=250,
            )  # fmt: skip
            if chart is None:
                st.caption("Nothing was logged that can be drawn so.")
                continue
            words = f"{title} over {X_TITLES[across]} of {', '.join(group.labels)}."
            draw(chart, f"curve-{number}-{quantity}", words)
    if not metrics:
        right.caption("These runs were not validated while training.")
    st.caption("Mean over seeds; the band reaches from the lowest to the highest seed.")
