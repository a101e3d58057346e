"""What the data is for and which column is what: guessed, and chosen where that is wrong."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from cards import card
from layout import plain
from new_study import address
from workbench.new_study import Ambiguous, Inspected
from workbench.recipe.catalogue import REGRESSION, SINGLE
from workbench.recipe.tasks import TASK_SPECS

LABELS = {
    "task": "Task",
    "text": "Text",
    "text_pair": "Second text",
    "label": "Label",
    "group": "Keep together",
    "problem_type": "Predict",
}
PREDICTED: dict[str, str] = {SINGLE: "classes", REGRESSION: "a number"}
NONE = "none"


def ask(error: Ambiguous) -> None:
    """The one question that the data leaves open."""
    with card("question"):
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
    reasons = inspected.checked.draft.reasons
    for other in [each.other for each in reasons if each.other]:
        _problem_type(other)
    with st.container(gap="xxsmall"):
        for each in reasons:
            about = LABELS.get(each.key, each.key.replace("_", " ").capitalize())
            value = PREDICTED.get(each.value, each.value)
            st.caption(plain(f"{about}: {value} ({each.why})"))
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
        if key == "label":
            address.put("problem_type", None)
        st.rerun()


def _problem_type(other: str) -> None:
    """Classes or a number, where the labels could be either; one click for the other."""
    now = next(each for each in PREDICTED if each != other)
    chosen = st.radio(
        "Predict the label as", list(PREDICTED), list(PREDICTED).index(now),
        key=_key("problem_type", now), format_func=PREDICTED.__getitem__, horizontal=True,
    )  # fmt: skip
    if chosen != now:
        address.put("problem_type", chosen)
        st.rerun()


def _key(name: str, value: str) -> str:
    """Another widget for another guess, so that it shows it."""
    return f"{name}:{value}:{address.source('data')}"
