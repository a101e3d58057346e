"""Runs: what waits, what is running and what came out of it.

A pure reader of run folders: a reload, a second page or a restarted server changes nothing.
"""

import streamlit as st

from layout import empty, error_box, heading, runs_dir
from runs import hardware, queue_panel, run_page, run_table, searches
from workbench.store import ACTIVE, read_run


def page() -> None:
    """The view: the table of all runs and the chosen one, or the searches."""
    heading(
        "Runs",
        "Each run is a process of its own and writes to its own folder: it keeps running when "
        "you close this page or stop the server.",
    )
    _machine()
    runs, tried = st.tabs(["Runs", "Searches"], key="what", bind="query-params")
    if tried.open:
        with tried:
            searches.show()
        return  # what is closed is not read
    with runs:
        run_table.show()
        _chosen()


@st.fragment(run_every=run_table.REFRESH_SECONDS)
def _machine() -> None:
    hardware.strip()
    queue_panel.show()


@st.fragment(run_every=run_table.REFRESH_SECONDS)
def _watched(name: str) -> None:
    run = read_run(runs_dir() / name)
    if run.state == "queued":
        empty(run.path.name, queue_panel.place_of(run))
    elif not run.path.exists():
        empty(run.path.name, "Its process is starting; this page updates by itself.")
    elif run.state in ACTIVE:
        run_page.show(run)
    else:
        st.rerun()


def _chosen() -> None:
    name = st.query_params.get("run")
    if not name:
        st.caption("Select a run in the table to see its details.")
        return
    if not _could_be(name):
        error_box("There is no such run", name[:200])
        return
    run = read_run(runs_dir() / name)
    if not run.path.exists() and run.state not in ACTIVE and name not in run_table.pending():
        error_box("There is no such run", name[:200])
        return
    st.space("small")
    if run.state in ACTIVE or not run.path.exists():
        _watched(name)
    else:
        run_page.show(run)


def _could_be(name: str) -> bool:
    """False for what is no ``study/folder``: the name comes from the address bar. The folder may
    be a link that its owner has made."""
    parts = name.split("/")
    return len(parts) == 2 and all(
        part not in ("", ".", "..") and part.isprintable() and len(part.encode()) < 256
        for part in parts
    )


page()
