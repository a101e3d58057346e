"""What came out of a finished run."""

from typing import Any

import pandas as pd
import streamlit as st

from cards import card
from compare.draw import draw
from layout import facts, plain, right_aligned, tiles
from run_summary import decimal, scored
from workbench.analysis.costs import forecast_lines
from workbench.analysis.records import get_section, get_strings, number
from workbench.analysis.run_facts import (
    data_facts,
    parameter_facts,
    policy_facts,
    retention_facts,
    selected_checkpoint,
    time_facts,
)
from workbench.charts.memory import memory_bars
from workbench.formatting import count, duration, share, size

Event = dict[str, Any]


def headline(result: Event) -> None:
    """The figures that a run is judged by."""
    test = get_section(get_section(result, "metrics"), "test")
    parameters = get_section(result, "parameters")
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
    with card("result"):
        tiles(shown)


def outcome(result: Event) -> None:
    """Scores beside the references, memory, forecast, and what was run."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Test scores", anchor=False)
        scores = _scores(result)
        st.dataframe(scores, column_config=right_aligned(scores))
        st.subheader("Memory", anchor=False)
        memory = get_section(result, "memory")
        peak = number(memory, "peak_memory_bytes")
        recipe = str(result.get("recipe"))
        bar = get_section(memory, "breakdown") | {"label": recipe, "peak_memory_bytes": peak}
        chart = memory_bars([bar], {recipe: str(result.get("method") or "")})
        if chart is not None:
            draw(chart, "memory", "Peak memory by component")
        st.caption(plain(memory.get("how") or ""))
        if lines := forecast_lines(result):
            st.subheader("Forecast", anchor=False)
            table = pd.DataFrame(lines, columns=["", "forecast", "measured", "error"])
            numbers = right_aligned(table.columns[1:])
            st.dataframe(table, hide_index=True, column_config=numbers)
    with right:
        st.subheader("Run details", anchor=False)
        for title, pairs in _details(result).items():
            if title:
                st.markdown(f"**{title}**")
            facts(pairs)


def _details(result: Event) -> dict[str, list[tuple[str, str]]]:
    """What `workbench show` prints besides scores and memory, by the title of its block."""
    told = get_strings(result, "warnings")  # which stand on top of the page
    run = [(key, str(result.get(key) or "")) for key in ("task", "model", "method")]
    blocks = {
        "": [*run, ("selected checkpoint", selected_checkpoint(result))],
        "Parameters": parameter_facts(result),
        "Data": [fact for fact in data_facts(result) if fact[1] not in told],
        "Time": time_facts(result),
        "Retention": retention_facts(result),
        "Computed on": policy_facts(result),
    }
    return {title: found for title, found in blocks.items() if any(value for _, value in found)}


def _scores(result: Event) -> pd.DataFrame:
    """Metrics as rows; this run and the references on the same test split as columns."""
    metrics, references = get_section(result, "metrics"), get_section(result, "references")
    columns = {split: get_section(metrics, split) for split in ("test", "validation")}
    columns |= {name: get_section(references, name) for name in references}
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    series = {name: pd.Series(scores, dtype=object) for name, scores in columns.items()}
    return pd.DataFrame(series, index=names).map(decimal)
