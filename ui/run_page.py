"""One run on a page: live while it runs, its record once it has finished."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

import charts
from loss_parts import with_parts
from records import (
    decimal,
    finite,
    items,
    number,
    part,
    progress_of,
    scored,
    share_done,
    state_of,
    time_of,
)
from shell import error_box, facts, plain, remarks, show_error
from workbench import jobs
from workbench.comparison.units import ABSENT, count, duration, share, size
from workbench.errors import WorkbenchError
from workbench.store import ACTIVE, Run

Event = dict[str, Any]
RESUMABLE = ("stopped", "failed", "interrupted")
LOG_HEIGHT = 420
TROUBLE = {
    "failed": "This run failed",
    "interrupted": "This run was interrupted",
    "unreadable": "This run cannot be read",
}


def show(run: Run) -> None:
    """The whole page of a run, in any state."""
    _title(run)
    if run.reason and run.state not in ("finished", "stopped"):
        error_box(TROUBLE.get(run.state, f"This run is {run.state}"), run.reason)
    events, _ = run.events()
    warnings = _warnings(run, events)
    title = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
    remarks(title, warnings, ":material/warning:")
    if run.state in ACTIVE:
        _live(run)
    if run.state == "finished":
        _tiles(run.result)
    overview, recipe, log = st.tabs(["Overview", "Recipe", "Log"])
    with overview:
        _curves(run, events)
        if run.state == "finished":
            _outcome(run.result)
    with recipe:
        st.caption("Exactly what this run was given, every value written out.")
        st.code(run.recipe_text() or "(not there)", language="yaml")
    with log:
        text = jobs.tail(run.path / "log.txt")
        st.code(text or "(empty)", language=None, height=LOG_HEIGHT, wrap_lines=True)


# --- what can be done with it --------------------------------------------------------------


def _title(run: Run) -> None:
    left, right = st.columns([3, 1], vertical_alignment="center")
    seed = run.status.get("seed")
    name = str(run.status.get("recipe") or run.path.name)
    with left, st.container(gap="xxsmall"):
        st.header(plain(name if seed is None else f"{name}, seed {seed}"), anchor=False)
        st.caption(plain(f"{run.id} · {state_of(run)}"))
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        if run.state in ACTIVE:
            _stop_button(run)
        elif run.state in RESUMABLE:
            st.button(
                "Resume",
                icon=":material/resume:",
                key="resume",
                help="Go on from what it saved last.",
                on_click=_do,
                args=(jobs.resume, run),
            )
        elif run.state == "finished":
            st.page_link(
                "views/export.py",
                label="Export",
                icon=":material/archive:",
                query_params={"run": run.id},
            )


def _stop_button(run: Run) -> None:
    if (run.path / "stop").exists():
        st.button(
            "End it now",
            icon=":material/dangerous:",
            key="kill",
            help="It was asked to save and stop. This ends its process without waiting.",
            on_click=_do,
            args=(_end_now, run),
        )
    else:
        st.button(
            "Stop",
            icon=":material/stop:",
            key="stop",
            help="Save and stop after this step, and start none of the runs that wait behind it.",
            on_click=_do,
            args=(jobs.request_stop, run),
        )


def _end_now(run: Run) -> None:
    jobs.stop(run, grace_seconds=1.0)


def _do(action: Any, run: Run) -> None:
    try:
        action(run)
    except WorkbenchError as error:
        show_error(error)


# --- while it runs -------------------------------------------------------------------------


def _live(run: Run) -> None:
    progress = progress_of(run)
    words = [str(run.status.get("phase") or progress.get("phase") or state_of(run))]
    step, steps, epoch = (number(progress, key) for key in ("step", "steps", "epoch"))
    if step is not None and steps is not None:
        words.append(f"step {step:.0f} of {steps:.0f}")
    if epoch is not None:
        words.append(f"epoch {epoch:.2f}")
    words.append(time_of(run))
    text = " · ".join(word for word in words if word != ABSENT)
    st.progress(share_done(run) or 0.0, text=plain(text))


def _curves(run: Run, events: list[Event]) -> None:
    metrics = sorted(
        {
            name
            for event in events
            if event.get("kind") == "validation"
            for name in part(event, "metrics")
        }
    )
    left, right = st.columns(2, gap="large", vertical_alignment="center")
    left.subheader("Training loss", anchor=False)
    selected = part(run.result, "selected").get("metric")
    with right, st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Validation", anchor=False, width="stretch")
        metric = (
            st.selectbox(
                "Validation metric",
                metrics,
                index=metrics.index(selected) if selected in metrics else 0,
                key="metric",
                label_visibility="collapsed",
                width=190,
            )
            if metrics
            else None
        )
    left, right = st.columns(2, gap="large")
    loss = with_parts(charts.loss_curve(events), events)
    scores = charts.validation_curve(events, metric) if metric else None
    for column, chart, key, missing in (
        (left, loss, "loss", "No training step logged yet."),
        (right, scores, "validation", "Not validated yet."),
    ):
        if chart is None:
            column.caption(missing)
        else:
            column.altair_chart(chart, width="stretch", key=key)


# --- when it has finished ------------------------------------------------------------------


def _tiles(result: Event) -> None:
    test, parameters = part(part(result, "metrics"), "test"), part(result, "parameters")
    trainable, total = number(parameters, "trainable"), number(parameters, "total")
    names = scored(test, part(result, "selected").get("metric"))
    tiles = [(f"test {name}", decimal(test[name])) for name in names[:2]]
    tiles += [
        ("trainable", count(trainable)),
        ("of the model", share(trainable, total)),
        ("peak memory", size(number(part(result, "memory"), "peak_memory_bytes"))),
        ("training time", duration(number(part(result, "time"), "train_seconds"))),
        ("adapter", size(number(result, "adapter_bytes"))),
    ]
    with st.container(border=True):
        for column, (name, value) in zip(st.columns(len(tiles)), tiles, strict=True):
            column.metric(plain(name), value)


def _outcome(result: Event) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Test scores", anchor=False)
        st.dataframe(_scores(result), width="stretch")
        st.subheader("Memory", anchor=False)
        memory = part(result, "memory")
        peak = {
            "label": str(result.get("recipe")),
            "peak_memory_bytes": number(memory, "peak_memory_bytes"),
        }
        chart = charts.memory_bars([part(memory, "breakdown") | peak])
        if chart is not None:
            st.altair_chart(chart, width="stretch", key="memory")
        st.caption(plain(memory.get("how") or ""))
    with right:
        st.subheader("What was run", anchor=False)
        facts(_facts(result))


def _facts(result: Event) -> list[tuple[str, Any]]:
    policy, data = part(result, "policy"), part(result, "data")
    parameters, selected = part(result, "parameters"), part(result, "selected")
    counted = [(number(parameters, key), key) for key in ("adapter", "head", "total")]
    sizes, features = (_per_split(data, key) for key in ("sizes", "features"))
    computed = [policy.get("device_name") or policy.get("device"), policy.get("precision")]
    attention = policy.get("attention")
    return [
        ("task", result.get("task")),
        ("model", result.get("model")),
        ("method", result.get("method")),
        ("parameters", ", ".join(f"{n:,.0f} {key}" for n, key in counted if n is not None)),
        ("examples", sizes),
        ("features", features if features != sizes else ABSENT),
        ("duplicates", _removed(data)),
        ("steps", _speed(part(result, "time"))),
        ("kept state", _kept(selected)),
        ("device", ", ".join(str(word) for word in computed if word)),
        ("attention", attention),
        ("why so", policy.get("why")),
        ("notes", "\n".join(items(data, "notes"))),
    ]


def _kept(selected: Event) -> str:
    if not finite(selected.get("step")):
        return ABSENT
    if selected.get("metric") is None:  # the last state, whatever its score
        return f"step {selected['step']}, the last"
    score = f"{selected['metric']} {decimal(selected.get('value'))}"
    return f"step {selected['step']}, validation {score}"


def _per_split(data: Event, key: str) -> str:
    return ", ".join(f"{n} {split}" for split, n in part(data, key).items())


def _removed(data: Event) -> str:
    removed = number(data, "duplicates_removed")
    return f"{removed:.0f} removed before splitting" if removed else ABSENT


def _speed(time: Event) -> str:
    steps, speed = number(time, "steps"), number(time, "steps_per_second")
    return ABSENT if steps is None or speed is None else f"{steps:.0f}, {speed:.2f} a second"


def _scores(result: Event) -> pd.DataFrame:
    """Metrics as rows; this run and the references on the same test split as columns."""
    metrics, references = part(result, "metrics"), part(result, "references")
    columns = {"test": part(metrics, "test"), "validation": part(metrics, "validation")}
    columns |= {name: part(references, name) for name in references}
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    series = {name: pd.Series(scores, dtype=object) for name, scores in columns.items()}
    return pd.DataFrame(series, index=names).map(decimal)


def _warnings(run: Run, events: list[Event]) -> list[str]:
    logged = [str(event.get("message")) for event in events if event.get("kind") == "warning"]
    return list(dict.fromkeys([*items(run.result, "warnings"), *logged]))
