"""The values of the form in the address: a link shows the page as whoever sent it had it."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from layout import error_box
from workbench.errors import RecipeError
from workbench.recipe import Recipe, load_recipe

SHOWN = "form-of"
NEVER_LINKED = ("model.source", "model.revision", "data.source", "data.revision", "init_from")
"""What is fetched or read: a link from somebody else must not choose that."""
METRICS = "task.metrics"
"""Linked where they are the workbench's own: one of the Hub is a program."""


def form_key(path: Path) -> str:
    """What makes the widgets of the form those of one recipe, until it is reset."""
    return f"{path}#{st.session_state.get(f'reset:{path}', 0)}"


def start_of(path: Path, shipped: Recipe, key: str) -> Recipe:
    """What the widgets show first: the file's values, or those of the address it was opened by."""
    if st.session_state.get(SHOWN) != key:
        opened = SHOWN not in st.session_state
        st.session_state[f"start:{key}"] = _linked(st.query_params.get_all("set")) if opened else []
        st.session_state[SHOWN] = key
    try:
        return load_recipe(path, st.session_state.get(f"start:{key}", []))
    except RecipeError as error:
        error_box("The values in the address cannot be used", str(error))
        return shipped


def write(overrides: Sequence[str]) -> None:
    linked = _linked(overrides)
    if not linked:
        st.query_params.pop("set", None)
    elif st.query_params.get_all("set") != linked:
        st.query_params["set"] = linked


def reset(path: Path) -> None:
    """Goes back to the values of the file."""
    key = f"reset:{path}"
    st.session_state[key] = st.session_state.get(key, 0) + 1


def _linked(overrides: Sequence[str]) -> list[str]:
    return [each for each in overrides if _may_be_linked(each)]


def _may_be_linked(override: str) -> bool:
    key, _, value = override.partition("=")
    key = key.strip()
    if key == METRICS:
        return not set(value) & set(":\\")  # hub:NAME, and an escape that would hide it
    # A whole section would bring what it holds.
    return not any(each == key or each.startswith(f"{key}.") for each in (*NEVER_LINKED, METRICS))
