"""The end of a run's log, or the lines of it that hold some words."""

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from workbench import jobs
from workbench.analysis.records import number
from workbench.formatting import plural
from workbench.store import Run
from workbench.store.run_log import LOG, event_line

HEIGHT = 420
TAIL_BYTES = 20_000
SEARCHED_BYTES = 4_000_000
MOST_LINES = 500
Row = dict[str, Any]


def show(run: Run, events: Sequence[Row]) -> None:
    """The log; of a run that printed nothing, what its record says of each step."""
    hint, icon = "words in a line, case-insensitive", ":material/search:"
    wanted = st.text_input(
        "Search the log", key="find", bind="query-params", placeholder=hint, icon=icon
    )
    file, recorded = run.path / LOG, ""
    if not jobs.tail(file, TAIL_BYTES).strip():
        st.caption("The run printed nothing. Its record:")
        recorded = "\n".join(told(events))
    if not wanted.strip():
        text = recorded[-TAIL_BYTES:] or jobs.tail(file, TAIL_BYTES)
        st.code(text or "(empty)", language=None, height=HEIGHT, wrap_lines=True)
        return
    lines = found(recorded or jobs.tail(file, SEARCHED_BYTES), wanted)
    shown = lines[-MOST_LINES:]
    few = f", the last {len(shown)} of them here" if len(shown) < len(lines) else ""
    st.caption(f"{plural(len(lines), 'line')} found{few}.")
    if shown:
        st.code("\n".join(shown), language=None, height=HEIGHT, wrap_lines=True)


def told(events: Sequence[Row]) -> list[str]:
    """The rows of a record as lines, in order of their steps."""

    def step_of(event: Row) -> float:
        step = number(event, "step")
        return math.inf if step is None else step

    return [event_line(event) for event in sorted(events, key=step_of)]


def found(text: str, wanted: str) -> list[str]:
    """The lines that hold all of the words, with their numbers in the text."""
    words = wanted.casefold().split()
    return [
        f"{number:>5}  {line}"
        for number, line in enumerate(text.splitlines(), 1)
        if all(word in line.casefold() for word in words)
    ]
