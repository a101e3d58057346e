"""Several runs that were selected, running or not: their curves, and what their recipes set."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compare.draw import draw
from run_summary import title_of
from runs.columns import settings_of
from runs.event_log import histories
from runs.run_live import ask_smoothing
from workbench.analysis.records import finite, get_section
from workbench.charts.run_curves import loss_curves
from workbench.charts.style import HEIGHT, Chart, few_ticks, row_color
from workbench.comparison.configuration import differing
from workbench.store import Run

Row = dict[str, Any]
MOST = 12
"""Runs whose curves a reader can still tell apart."""


def show(runs: list[Run]) -> None:
    """Loss and validation of the runs in one picture each, then the settings that differ."""
    labels = _labels(runs)
    if len(runs) > MOST:
        st.caption(f"Curves of the first {MOST} of {len(runs)} selected runs.")
    shown = {label: run for label, run in list(labels.items())[:MOST]}
    rows = {label: histories().of(run) for label, run in shown.items()}
    validations = {
        label: [e for e in rows[label] if e.get("kind") == "validation"] for label in rows
    }
    names = sorted({n for v in validations.values() for e in v for n in get_section(e, "metrics")})
    left, right = st.columns(2, gap="large")
    with left, st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Training loss", anchor=False, width="content")
        smoothing = ask_smoothing()
    methods = {label: str(run.status.get("method") or "") for label, run in shown.items()}
    _draw(left, loss_curves(rows, methods, smoothing), f"Training loss of {', '.join(shown)}")
    metric = ""
    with right, st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Validation", anchor=False, width="content")
        if names:
            chosen = st.selectbox(
                "Metric", names, key="metric", bind="query-params", label_visibility="collapsed",
                width=190,
            )  # fmt: skip
            metric = chosen or names[0]
    words = f"Validation {metric} of {', '.join(shown)}"
    _draw(right, _validation(validations, methods, metric), words)
    _differences(labels)


def _labels(runs: list[Run]) -> dict[str, Run]:
    """Names by which the runs are told apart: the id where two have the same."""
    names = [title_of(run) for run in runs]
    return {
        name if names.count(name) == 1 else run.id: run
        for name, run in zip(names, runs, strict=True)
    }


def _validation(
    validations: dict[str, list[Row]], methods: dict[str, str], metric: str
) -> Chart | None:
    scores = [
        {"run": label, "step": event["step"], "value": get_section(event, "metrics").get(metric)}
        for label, events in validations.items()
        for event in events
        if finite(event.get("step")) and finite(get_section(event, "metrics").get(metric))
    ]
    if not scores:
        return None
    title = f"validation {metric}"
    lines = alt.Chart(pd.DataFrame(scores)).mark_line(strokeWidth=2, point=True)
    drawn = lines.encode(
        x=alt.X("step:Q", title="step", axis=few_ticks()),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=row_color("run:N", methods),
        tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", title=title, format=".4~f")],
    )
    return alt.layer(drawn).properties(height=HEIGHT)


def _draw(place: DeltaGenerator, chart: Chart | None, words: str) -> None:
    with place:
        if chart is None:
            st.caption("Nothing logged yet.")
        else:
            draw(chart, f"several:{words.partition(' ')[0]}", f"{words}, by step.")


def _differences(labels: dict[str, Run]) -> None:
    """The settings that differ, a row each: as text, since a column has values of every kind."""
    found = differing({label: settings_of(run) for label, run in labels.items()})
    st.subheader("What their recipes set differently", anchor=False)
    if not found:
        st.caption("Nothing but the seed, as far as their recipes can be read.")
        return
    rows = {key: {run: str(value) for run, value in by.items()} for key, by in found.items()}
    st.dataframe(
        pd.DataFrame.from_dict(rows, orient="index", columns=list(labels)), placeholder="–"
    )
