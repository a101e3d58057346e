"""The values of the form in the address: a link shows the page as whoever sent it had it.

What a link must not choose stays in this server's memory; the address has its keys and a random
number that finds it again after a reload.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from layout import by_history, error_box, visit
from workbench.errors import RecipeError
from workbench.recipe import Recipe, load_recipe

SHOWN = "form-of"
NEVER_LINKED = ("model.source", "model.revision", "data.source", "data.revision", "init_from")
"""What is fetched or read: a link from somebody else must not choose that."""
DRAFT, LOST = "draft", "form-lost"
MOST_DRAFTS = 1000
METRICS = "task.metrics"
"""Linked where they are the workbench's own: one of the Hub is a program."""


def form_key(path: Path) -> str:
    """What makes the widgets of the form those of one recipe, until it is reset."""
    if by_history():  # the widgets begin again, with the values of the address
        reset(path)
    return f"{path}#{st.session_state.get(f'reset:{path}', 0)}"


def start_of(path: Path, shipped: Recipe, key: str) -> Recipe:
    """What the widgets show first: the file's values, or those of the address it was opened by."""
    state = st.session_state
    shown = (key, visit())
    if state.get(SHOWN) != shown:
        opened = by_history() or state.get(SHOWN, ("", None))[1] != visit()
        kept, state[LOST] = _reopened(path) if opened else ([], [])
        linked = _linked(st.query_params.get_all("set")) if opened else []
        state[f"start:{key}"] = [*linked, *kept]
        state[SHOWN] = shown
    try:
        return load_recipe(path, state.get(f"start:{key}", []))
    except RecipeError as error:
        error_box("The values in the address cannot be used", str(error))
        return shipped


def write(path: Path, overrides: Sequence[str]) -> None:
    linked = _linked(overrides)
    if not linked:
        st.query_params.pop("set", None)
    elif st.query_params.get_all("set") != linked:
        st.query_params["set"] = linked
    kept = [each for each in overrides if each not in linked]
    if kept:
        number = st.session_state.setdefault(f"draft:{path}", secrets.token_urlsafe(12))
        _drafts()[number] = (path, kept)
        for old in list(_drafts())[:-MOST_DRAFTS]:
            _drafts().pop(old, None)
        _put(DRAFT, "~".join([number, *sorted(_key(each) for each in kept)]))
    elif not lost(overrides):
        st.query_params.pop(DRAFT, None)


def lost(overrides: Sequence[str]) -> list[str]:
    """The keys whose values the form had before it was opened again, and has no more."""
    given = {_key(each) for each in overrides}
    return [key for key in st.session_state.get(LOST, []) if key not in given]


def reset(path: Path) -> None:
    """Goes back to the values of the file."""
    key = f"reset:{path}"
    st.session_state[key] = st.session_state.get(key, 0) + 1


def _reopened(path: Path) -> tuple[list[str], list[str]]:
    """What this server keeps of the form that the address names, or the keys that are lost."""
    number, *keys = str(st.query_params.get(DRAFT, "")).split("~")
    known, kept = _drafts().get(number, (None, []))
    if known == path:
        return kept, []
    return [], [key for key in dict.fromkeys(keys) if key in (*NEVER_LINKED, METRICS)]


@st.cache_resource(show_spinner=False)
def _drafts() -> dict[str, tuple[Path, list[str]]]:
    return {}


def _put(name: str, value: str) -> None:
    if st.query_params.get(name) != value:
        st.query_params[name] = value


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _linked(overrides: Sequence[str]) -> list[str]:
    return [each for each in overrides if _may_be_linked(each)]


def _may_be_linked(override: str) -> bool:
    key, value = _key(override), override.partition("=")[2]
    if key == METRICS:
        return not set(value) & set(":\\")  # hub:NAME, and an escape that would hide it
    # A whole section would bring what it holds.
    return not any(each == key or each.startswith(f"{key}.") for each in (*NEVER_LINKED, METRICS))
