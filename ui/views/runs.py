"""Runs: what waits, what is running and what came out of it.

A pure reader of run folders: a reload, a second page or a restarted server changes nothing.
"""

import streamlit as st

from layout import action_button, empty, error_box, heading, plain, runs_dir
from runs import hardware, queue_panel, run_page, run_table, searches, selected, side_by_side
from workbench.store import ACTIVE, read_run


def page() -> None:
    """The view: one run, or the table of all runs and what is selected in it, or the searches."""
    if name := st.query_params.get("run"):
        _opened(name)
        return
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
        _selected(list(dict.fromkeys(st.query_params.get_all("picked"))))


@st.fragment(run_every=run_table.REFRESH_SECONDS)
def _machine() -> None:
    hardware.strip()
    queue_panel.show()


def _opened(name: str) -> None:
    """The page of one run."""
    close = {"icon": ":material/arrow_back:", "type": "tertiary"}
    action_button(st, "All runs", "all-runs", lambda: st.query_params.pop("run", None), **close)
    run = read_run(runs_dir() / name) if _could_be(name) else None
    there = run is not None and (run.path.exists() or run.state in ACTIVE)
    if run is None or not (there or name in run_table.pending()):
        heading("Runs", "One run.")
        error_box("There is no such run", name[:200])
    elif run.state in ACTIVE or not run.path.exists():
        _watched(name)
    else:
        run_page.show(run)


@st.fragment(run_every=run_table.REFRESH_SECONDS)
def _watched(name: str) -> None:
    run = read_run(runs_dir() / name)
    if run.state == "queued" or not run.path.exists():
        heading(plain(run.path.name), plain(run.id))
        if run.state == "queued":
            empty("In the queue", queue_panel.place_of(run))
            queue_panel.show()
        else:
            empty("Starting", "Its process is starting; this page updates by itself.")
    elif run.state in ACTIVE:
        run_page.show(run)
    else:
        st.rerun()


def _selected(names: list[str]) -> None:
    if not names:
        hint = "Click a run to open its page; tick several to see them together."
        st.caption(hint)
        return
    runs = [read_run(runs_dir() / name) for name in names if _could_be(name)]
    there = [run for run in runs if run.path.exists() or run.state in ACTIVE]
    if missing := set(names) - {run.id for run in there}:
        error_box("Some of these runs are not there", "\n".join(sorted(missing))[:2000])
    if not there:
        return
    st.space("small")
    selected.bar(there)
    if len(there) == 1:
        st.caption("Tick another run to see both together.")
    elif any(run.state in ACTIVE for run in there):
        _watched_together([run.id for run in there])
    else:
        side_by_side.show(there)


@st.fragment(run_every=run_table.REFRESH_SECONDS)
def _watched_together(names: list[str]) -> None:
    side_by_side.show([read_run(runs_dir() / name) for name in names])


def _could_be(name: str) -> bool:
    """False for what is no ``study/folder``: the name comes from the address bar. The folder may
    be a link that its owner has made."""
    parts = name.split("/")
    return len(parts) == 2 and all(
        part not in ("", ".", "..") and part.isprintable() and len(part.encode()) < 256
        for part in parts
    )


page()
