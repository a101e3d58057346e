"""What the data is for and which column is what: guessed, and chosen where that is wrong."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from layout import plain
from new_study import address
from workbench.new_study import Ambiguous, Inspected
from workbench.recipe.tasks import TASK_SPECS

LABELS = {
    "task": "Task",
    "text": "Text",
    "text_pair": "Second text",
    "label": "Label",
    "group": "Keep together",
}
NONE = "none"


def ask(error: Ambiguous) -> None:
    """The one question that the data leaves open."""
    with st.container(border=True):
        st.markdown(plain(error.what))
        if error.why:
            st.caption(plain(error.why))
        key = f"ask:{error.key}"
        chosen = st.radio(LABELS[error.key], error.candidates, index=None, horizontal=True, key=key)
        if chosen:
            address.put(error.key, chosen)
            st.rerun()


def show(inspected: Inspected) -> None:
    """A box for each answer, with what was guessed in it."""
    guessed = inspected.guess
    boxes = st.columns(5, vertical_alignment="bottom")
    task = guessed.task["name"]
    chosen = boxes[0].selectbox(LABELS["task"], list(TASK_SPECS), list(TASK_SPECS).index(task),
                                key=_key("task", task))  # fmt: skip
    if chosen != task:
        address.put_task(chosen)
        st.rerun()
    names = list(guessed.columns) if inspected.found.layout == "columns" else []
    for box, key in zip(boxes[1:], address.COLUMNS, strict=True):
        _column(box, key, guessed.data.get(key), names)
    with st.container(gap="xxsmall"):
        for key, value, why in inspected.checked.draft.reasons:
            about = LABELS.get(key, key.replace("_", " ").capitalize())
            st.caption(plain(f"{about}: {value} ({why})"))
        if inspected.unread:
            st.caption(plain(f"Not read: {', '.join(inspected.unread)}"))


def _column(box: Any, key: str, guessed: str | list[str] | None, names: Sequence[str]) -> None:
    now = ",".join(guessed) if isinstance(guessed, list) else guessed or NONE
    options = list(dict.fromkeys([NONE, *names, now]))
    chosen = box.selectbox(
        LABELS[key], options, options.index(now), key=_key(key, now), disabled=not names
    )
    if chosen != now:
        address.put(key, address.NOTHING if chosen == NONE else chosen)
        st.rerun()


def _key(name: str, value: str) -> str:
    """Another widget for another guess, so that it shows it."""
    return f"{name}:{value}:{address.source('data')}"
