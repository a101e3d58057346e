"""The end of a run's log, or the lines of it that hold some words."""

import streamlit as st

from workbench import jobs
from workbench.formatting import plural
from workbench.store import Run

HEIGHT = 420
TAIL_BYTES = 20_000
SEARCHED_BYTES = 4_000_000
MOST_LINES = 500


def show(run: Run) -> None:
    hint, icon = "words in a line, case-insensitive", ":material/search:"
    wanted = st.text_input(
        "Search the log", key="find", bind="query-params", placeholder=hint, icon=icon
    )
    file = run.path / "log.txt"
    if not wanted.strip():
        text = jobs.tail(file, TAIL_BYTES)
        st.code(text or "(empty)", language=None, height=HEIGHT, wrap_lines=True)
        return
    lines = found(jobs.tail(file, SEARCHED_BYTES), wanted)
    shown = lines[-MOST_LINES:]
    few = f", the last {len(shown)} of them here" if len(shown) < len(lines) else ""
    st.caption(f"{plural(len(lines), 'line')} found{few}.")
    if shown:
        st.code("\n".join(shown), language=None, height=HEIGHT, wrap_lines=True)


def found(text: str, wanted: str) -> list[str]:
    """The lines that hold all of the words, with their numbers in the text."""
    words = wanted.casefold().split()
    return [
        f"{number:>5}  {line}"
        for number, line in enumerate(text.splitlines(), 1)
        if all(word in line.casefold() for word in words)
    ]
