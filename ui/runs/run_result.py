"""What came out of a finished run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from compare.draw import draw
from layout import facts, plain
from run_summary import decimal, scored
from workbench.analysis.costs import forecast_lines
from workbench.analysis.records import finite, get_section, get_strings, number
from workbench.charts.memory import memory_bars
from workbench.formatting import ABSENT, count, duration, share, size

Event = dict[str, Any]


def tiles(result: Event) -> None:
    """The figures that a run is judged by."""
    test, parameters = (
        get_section(get_section(result, "metrics"), "test"),
        get_section(result, "parameters"),
    )
    trainable, total = number(parameters, "trainable"), number(parameters, "total")
    names = scored(test, get_section(result, "selected").get("metric"))
    shown = [(f"test {name}", decimal(test[name])) for name in names[:2]]
    shown += [
        ("trainable", count(trainable)),
        ("of the model", share(trainable, total)),
        ("peak memory", size(number(get_section(result, "memory"), "peak_memory_bytes"))),
        ("training time", duration(number(get_section(result, "time"), "train_seconds"))),
        ("adapter", size(number(result, "adapter_bytes"))),
    ]
    with st.container(border=True):
        for column, (name, value) in zip(st.columns(len(shown)), shown, strict=True):
            column.metric(plain(name), value)


def outcome(result: Event) -> None:
    """Scores beside the references, memory, forecast, and what was run."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Test scores", anchor=False)
        st.dataframe(_scores(result), width="stretch")
        st.subheader("Memory", anchor=False)
        memory = get_section(result, "memory")
        peak = {
            "label": str(result.get("recipe")),
            "peak_memory_bytes": number(memory, "peak_memory_bytes"),
        }
        chart = memory_bars([get_section(memory, "breakdown") | peak])
        if chart is not None:
            draw(chart, "memory", "Peak memory by component")
        st.caption(plain(memory.get("how") or ""))
        _forecast(result)
    with right:
        st.subheader("Run details", anchor=False)
        facts(_facts(result))


def _forecast(result: Event) -> None:
    """What was forecast and measured, where the run kept a forecast."""
    if lines := forecast_lines(result):
        st.subheader("Forecast", anchor=False)
        table = pd.DataFrame(lines, columns=["", "forecast", "measured", "error"])
        st.dataframe(table, hide_index=True, width="stretch")


def _facts(result: Event) -> list[tuple[str, Any]]:
    policy, data = get_section(result, "policy"), get_section(result, "data")
    parameters, selected = get_section(result, "parameters"), get_section(result, "selected")
    counted = [(number(parameters, key), key) for key in ("adapter", "head", "total")]
    sizes, features = (_per_split(data, key) for key in ("sizes", "features"))
    computed = [policy.get("device_name") or policy.get("device"), policy.get("precision")]
    attention = policy.get("attention")
    told = get_strings(result, "warnings")  # which stand on top of the page
    return [
        ("task", result.get("task")),
        ("model", result.get("model")),
        ("method", result.get("method")),
        ("parameters", ", ".join(f"{n:,.0f} {key}" for n, key in counted if n is not None)),
        ("examples", sizes),
        ("features", features if features != sizes else ABSENT),
        ("duplicates", _removed(data)),
        ("steps", _speed(get_section(result, "time"))),
        ("selected checkpoint", _kept(selected)),
        ("device", ", ".join(str(word) for word in computed if word)),
        ("attention", attention),
        ("policy", policy.get("why")),
        ("notes", "\n".join(note for note in get_strings(data, "notes") if note not in told)),
    ]


def _kept(selected: Event) -> str:
    if not finite(selected.get("step")):
        return ABSENT
    if selected.get("metric") is None:  # the last state, whatever its score
        return f"step {selected['step']}, the last"
    score = f"{selected['metric']} {decimal(selected.get('value'))}"
    return f"step {selected['step']}, validation {score}"


def _per_split(data: Event, key: str) -> str:
    return ", ".join(f"{n} {split}" for split, n in get_section(data, key).items())


def _removed(data: Event) -> str:
    removed = number(data, "duplicates_removed")
    return f"{removed:.0f} removed before splitting" if removed else ABSENT


def _speed(time: Event) -> str:
    steps, speed = number(time, "steps"), number(time, "steps_per_second")
    return ABSENT if steps is None or speed is None else f"{steps:.0f}, {speed:.2f} a second"


def _scores(result: Event) -> pd.DataFrame:
    """Metrics as rows; this run and the references on the same test split as columns."""
    metrics, references = get_section(result, "metrics"), get_section(result, "references")
    columns = {
        "test": get_section(metrics, "test"),
        "validation": get_section(metrics, "validation"),
    }
    columns |= {name: get_section(references, name) for name in references}
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    series = {name: pd.Series(scores, dtype=object) for name, scores in columns.items()}
    return pd.DataFrame(series, index=names).map(decimal)
