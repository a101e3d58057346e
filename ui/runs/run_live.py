"""How a run goes: progress, figures of the moment, curves."""

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cards import card
from compare.draw import draw
from layout import plain, tiles
from run_summary import progress_of, share_done, state_of, time_of
from workbench.analysis.records import finite, get_section, number
from workbench.charts.run_curves import (
    SMOOTHING,
    learning_rate_curve,
    loss_curve,
    speed_curve,
    speed_now,
    validation_curve,
)
from workbench.charts.style import Chart, method_color
from workbench.formatting import ABSENT, duration, size
from workbench.store import ACTIVE, Run

Event = dict[str, Any]
MOST_SMOOTHING = 0.99


def progress(run: Run, events: list[Event]) -> None:
    """How far an active run is, and what it takes at the moment."""
    known = progress_of(run)
    words = [str(run.status.get("phase") or known.get("phase") or state_of(run))]
    step, steps, epoch = (number(known, key) for key in ("step", "steps", "epoch"))
    if step is not None and steps is not None:
        words.append(f"step {step:.0f} of {steps:.0f}")
    if epoch is not None:
        words.append(f"epoch {epoch:.2f}")
    words.append(time_of(run))
    text = " · ".join(word for word in words if word != ABSENT)
    st.progress(share_done(run) or 0.0, text=plain(text))
    if step is not None:
        _figures(run, events)


def _figures(run: Run, events: list[Event]) -> None:
    last = next((row for row in reversed(events) if row.get("kind") == "step"), {})
    loss, rate = number(last, "loss"), number(last, "learning_rate")
    speed = speed_now(events)
    started = number(run.status, "started_at")
    shown = [
        ("loss", ABSENT if loss is None else f"{loss:.4f}"),
        ("learning rate", ABSENT if rate is None else f"{rate:.2e}"),
        ("tokens per second", ABSENT if speed is None else f"{speed:,.0f}"),
        ("process memory", size(number(get_section(run.status, "memory"), "process_bytes"))),
        ("elapsed", ABSENT if started is None else duration(max(0, time.time() - started))),
        ("time left", time_of(run).removesuffix(" left")),
    ]
    with card("live"):
        tiles(shown)


def curves(run: Run, events: list[Event]) -> None:
    """Loss and validation, and below them how the learning rate and the speed went."""
    validations = [event for event in events if event.get("kind") == "validation"]
    metrics = sorted({name for event in validations for name in get_section(event, "metrics")})
    left, right = st.columns(2, gap="large", vertical_alignment="center")
    with left, st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Training loss", anchor=False, width="content")
        smoothing = ask_smoothing()
    with right, st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Validation", anchor=False, width="content")
        metric = _metric(run, metrics)
    left, right = st.columns(2, gap="large")
    color = method_color(str(run.status.get("method") or ""))
    scores = validation_curve(events, metric, color) if metric else None
    ended = run.state not in ACTIVE
    unread = "events.jsonl is missing or cannot be read." if ended and not events else ""
    no_step = "No training step was logged." if ended else "No training step logged yet."
    not_validated = "This run was not validated." if ended else "Not validated yet."
    steps = [event for event in events if event.get("kind") == "step"]
    measured = [get_section(event, "metrics") for event in validations]
    with left:
        words = f"Training loss by step{_ends(steps, 'loss')}."
        _chart(loss_curve(events, color, smoothing), "loss", words, unread or no_step)
    with right:
        words = f"Validation {metric} by step{_ends(measured, metric)}."
        _chart(scores, "validation", words, unread or not_validated)
    left, right = st.columns(2, gap="large")
    _small(left, learning_rate_curve(events, color), "rate", "Learning rate")
    _small(right, speed_curve(events), "speed", "Tokens per second")


def _ends(rows: Sequence[Event], key: str | None) -> str:
    found = [value for row in rows if finite(value := row.get(key or ""))]
    return f", {found[0]:.4g} at first and {found[-1]:.4g} at last" if found else ""


def ask_smoothing() -> float:
    """How much of the running mean of the loss is kept at each step."""
    about = (
        "Exponential running mean: the share that each step keeps of it. 0 is the loss as logged."
    )
    return st.slider(
        "Smoothing", 0.0, MOST_SMOOTHING, SMOOTHING, 0.01, key="smoothing", bind="query-params",
        help=about, width=190,
    )  # fmt: skip


def _metric(run: Run, metrics: list[str]) -> str | None:
    if not metrics:
        return None
    selected = get_section(run.result, "selected").get("metric")
    return st.selectbox(
        "Validation metric",
        metrics,
        index=metrics.index(selected) if selected in metrics else 0,
        key="metric",
        bind="query-params",
        label_visibility="collapsed",
        width=190,
    )


def _chart(chart: Chart | None, key: str, words: str, missing: str) -> None:
    if chart is None:
        st.caption(missing)
    else:
        draw(chart, key, words)


def _small(column: DeltaGenerator, chart: Any, key: str, title: str) -> None:
    if chart is not None:
        column.caption(title)
        column.altair_chart(chart, width="stretch", key=key, alt=f"{title} by step.")
