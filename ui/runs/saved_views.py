"""Filters, columns and order of the table of runs under a name, in a file of the user's."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from filelock import FileLock

from layout import action_button, plain
from workbench.errors import StorageError, UsageError
from workbench.store.allowed_metrics import config_dir
from workbench.store.files import parse_record, read_whole, write_json
from workbench.store.notes import one_line

View = dict[str, Any]
NEWEST = "Newest first"
FILTERS: View = {
    "search": "",
    "of": [],
    "state": [],
    "column": [],
    "archived": False,
    "sort": NEWEST,
}
"""What a view has, with the value that leaves everything as it is."""
MOST, MOST_NAME = 50, 60
NAME = "view-name"


def views_file() -> Path:
    return config_dir() / "run-views.json"


def read_views() -> dict[str, View]:
    """The views by name; what is not there or of another form is left out."""
    record = _record()
    views = record.get("views") if isinstance(record, dict) else None
    named = views.items() if isinstance(views, dict) else ()
    found = {one_line(name)[:MOST_NAME]: _checked(view) for name, view in named}
    return {name: view for name, view in found.items() if name and view is not None}


def _record() -> Any:
    """The content of the file; None where it is damaged."""
    try:
        return parse_record(read_whole(views_file(), links=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None


def _checked(view: Any) -> View | None:
    if not isinstance(view, dict):
        return None
    found: View = {}
    for key, usual in FILTERS.items():
        value = view.get(key, usual)
        if isinstance(value, list) and isinstance(usual, list):
            value = [each for each in value if isinstance(each, str)]
        found[key] = value if type(value) is type(usual) else usual
    return found


def change_views(name: str, view: View | None) -> None:
    """Writes a view in place of one of the same name, or deletes it.

    Raises:
        WorkbenchError: when it has no name, there are too many, or the file cannot be written.
    """
    file, name = views_file(), one_line(name)
    if not name or len(name) > MOST_NAME:
        raise UsageError("a view needs a name", fix=f"give it 1 to {MOST_NAME} characters")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            if not isinstance(_record(), dict):  # somebody may still want to mend it
                os.replace(file, file.with_suffix(".damaged.json"))
            views = {key: each for key, each in read_views().items() if key != name}
            if view is not None:
                views[name] = view
            if len(views) > MOST:
                raise UsageError(f"there are {MOST} views already", fix="delete one of them")
            write_json(file, {"version": 1, "views": views})
    except OSError as error:
        what = f"the saved views could not be written: {error.strerror or error}"
        fix = "make its folder writable, or name another with WORKBENCH_CONFIG"
        raise StorageError(what, where=str(file), fix=fix) from error


def popover() -> None:
    """The views to choose from, and a name for what the table shows now."""
    views, state = read_views(), st.session_state
    now = {key: state.get(key, usual) for key, usual in FILTERS.items()}
    with st.popover("Views", icon=":material/bookmark:", width="stretch"):
        if not views:
            st.caption("A view keeps the filters, columns and order of this table under a name.")
        for name, view in views.items():
            icon = ":material/check:" if view == now else None
            look: dict[str, Any] = {"icon": icon, "width": "stretch"}
            with st.container(horizontal=True, gap="small"):
                st.button(plain(name), f"view:{name}", on_click=partial(_show, view), **look)
                delete, about = partial(change_views, name, None), f"Delete {plain(name)}"
                action_button(st, ":material/delete:", f"drop-view:{name}", delete, help=about)
        st.text_input("Name of this view", key=NAME, max_chars=MOST_NAME)
        save = partial(_save, now)
        action_button(st, "Save this view", "save-view", save, type="primary")


def _show(view: View) -> None:
    st.session_state.update(view)


def _save(now: View) -> None:
    change_views(st.session_state[NAME], now)
    st.session_state[NAME] = ""
