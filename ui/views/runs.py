"""Runs: what waits, what is running and what came out of it.

A pure reader of run folders: a reload, a second page or a restarted server changes nothing.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from layout import empty, error_box, heading, runs_dir
from run_summary import STATES, ago, progress_of, score_of, share_done, state_of, time_of
from runs import hardware, queue_panel, run_page, searches
from workbench import jobs
from workbench.analysis.records import number
from workbench.store import ACTIVE, Run, list_runs, read_run

REFRESH_SECONDS = 2


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
        _table()
        _chosen()


@st.fragment(run_every=REFRESH_SECONDS)
def _machine() -> None:
    hardware.strip()
    queue_panel.show()


@st.fragment(run_every=REFRESH_SECONDS)
def _table() -> None:
    everything = sorted(list_runs(runs_dir()), key=_order)
    waiting = _waiting(everything)
    _job_that_never_began()
    if not everything and not waiting:
        empty("No runs yet", "Start one in Recipes, or with `workbench run` in a terminal.")
        return
    runs = _filtered(everything)
    if not runs and not waiting:
        st.caption("No runs match these filters.")
        return
    ids = [run.id for run in runs]
    chosen = st.query_params.get("run", "")
    # The selection is a row number, so a table in another order is another table.
    key = f"runs-{hash(tuple(ids)) & 0xFFFFFFFF:x}"
    rows = [_row(run) for run in runs] + [_waiting_row(name) for name in waiting]
    st.dataframe(
        pd.DataFrame(rows),
        key=key,
        hide_index=True,
        width="stretch",
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [ids.index(chosen)] if chosen in ids else []}},
        column_config=_columns(),
    )
    selected = st.session_state[key].selection.rows if key in st.session_state else []
    picked = ids[selected[0]] if selected and selected[0] < len(ids) else None
    if picked and picked != chosen:
        st.query_params["run"] = picked
        st.rerun()


def _filtered(runs: list[Run]) -> list[Run]:
    """The runs that go with the filters, which stand in the address."""
    words, study, states = st.columns([1.4, 1, 1.6], vertical_alignment="bottom")
    wanted = words.text_input(
        "Search", key="search", bind="query-params", placeholder="recipe, study, seed, method"
    )
    studies = sorted({run.path.parent.name for run in runs})
    chosen = study.multiselect("Studies", studies, key="of", bind="query-params", placeholder="all")
    there = sorted({state_of(run) for run in runs})
    of_state = states.multiselect(
        "States", there, key="state", bind="query-params", placeholder="all"
    )
    parts = wanted.casefold().split()
    return [
        run
        for run in runs
        if (not chosen or run.path.parent.name in chosen)
        and (not of_state or state_of(run) in of_state)
        and all(part in _words(run) for part in parts)
    ]


def _words(run: Run) -> str:
    known = [run.status.get(key) for key in ("recipe", "method", "task", "model")]
    return " ".join(map(str, [run.id, *known])).casefold()


@st.fragment(run_every=REFRESH_SECONDS)
def _watched(name: str) -> None:
    run = read_run(runs_dir() / name)
    if not run.path.exists():
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
    st.space("small")
    if run.state in ACTIVE or not run.path.exists():
        _watched(name)
    else:
        run_page.show(run)


def _could_be(name: str) -> bool:
    """False for what is no ``study/folder``: the name comes from the address bar."""
    parts = name.split("/")
    usual = all(
        part not in ("", ".", "..") and part.isprintable() and len(part.encode()) < 256
        for part in parts
    )
    inside = runs_dir().resolve()
    return len(parts) == 2 and usual and (inside / name).resolve().is_relative_to(inside)


def _order(run: Run) -> tuple[bool, float, str]:
    return run.state not in ACTIVE, -(number(run.status, "started_at") or 0.0), run.id


# --- rows ----------------------------------------------------------------------------------


def _row(run: Run) -> dict[str, Any]:
    return {
        "state": [state_of(run)],
        "recipe": str(run.status.get("recipe") or run.path.name),
        "seed": number(run.status, "seed"),
        "study": run.path.parent.name,
        "progress": share_done(run),
        "time": time_of(run),
        "loss": number(progress_of(run), "loss"),
        "score": score_of(run),
        "started": ago(run.status.get("started_at")),
    }


def _columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "state": config.MultiselectColumn(
            "State", options=list(STATES), color=[each for _, each in STATES.values()], width=105
        ),
        "recipe": config.TextColumn("Recipe", width=160),
        "seed": config.NumberColumn("Seed", format="%d", width=55),
        "study": config.TextColumn("Study", width=140),
        "progress": config.ProgressColumn(
            "Progress", min_value=0.0, max_value=1.0, format="percent", width=130
        ),
        "time": config.TextColumn("Time", width=105),
        "loss": config.NumberColumn("Last loss", format="%.4f", width=85),
        "score": config.TextColumn("Test score", width=140),
        "started": config.TextColumn("Started", width=95),
    }


def _waiting(runs: list[Run]) -> list[str]:
    """Runs that a living job is still to start, in the order in which it will."""
    active = {run.path for run in runs if run.state in ACTIVE}
    finished = {run.path for run in runs if run.state == "finished"}
    return [
        f"{path.parent.name}/{path.name}"
        for job in jobs.list_jobs(runs_dir(), newest=20)
        if job.alive
        for path in job.pending
        if path not in active and (path not in finished or "--force" in job.command)
    ]


def _waiting_row(name: str) -> dict[str, Any]:
    study, _, folder = name.partition("/")
    return {"state": ["starting"], "recipe": folder, "study": study}


def _job_that_never_began() -> None:
    """The latest job, when it ended before it wrote a run: its log is all there is to show."""
    latest = next(iter(jobs.list_jobs(runs_dir(), newest=1)), None)
    if latest is None or latest.alive or any(path.exists() for path in latest.runs):
        return
    error_box(
        "The last job failed before its first run started", latest.log_tail(4000) or "No output."
    )


page()
