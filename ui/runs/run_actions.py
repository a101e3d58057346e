"""What can be done with a run: stop, resume, delete, export."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from layout import plain, show_error
from workbench import jobs
from workbench.errors import WorkbenchError
from workbench.formatting import size
from workbench.store import ACTIVE, Run, delete_run, read_run

RESUMABLE = ("stopped", "failed", "interrupted")


def actions(run: Run) -> None:
    """The buttons that go with the state of a run."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if run.state in ACTIVE:
            _stop_button(run)
            return
        if run.state in RESUMABLE:
            st.button(
                "Resume",
                icon=":material/resume:",
                key="resume",
                help="Resume from the last checkpoint.",
                on_click=do,
                args=(jobs.resume, run),
            )
        elif run.state == "finished":
            st.page_link(
                "views/export.py",
                label="Export",
                icon=":material/archive:",
                query_params={"run": run.id},
            )
        _delete(run)


def do(action: Callable[[Run], object], run: Run) -> None:
    """Does something with a run as it is now; what is wrong with that is shown."""
    try:
        action(run)
    except WorkbenchError as error:
        show_error(error)


def _stop_button(run: Run) -> None:
    if (run.path / "stop").exists():
        st.button(
            "Kill",
            icon=":material/dangerous:",
            key="kill",
            help="It was asked to save and stop. This kills its process without waiting.",
            on_click=do,
            args=(_end_now, run),
        )
    else:
        st.button(
            "Stop",
            icon=":material/stop:",
            key="stop",
            help="Save and stop after this step; the remaining runs of the same job do not start.",
            on_click=do,
            args=(_stop, run),
        )


def _stop(run: Run) -> None:
    now = read_run(run.path)
    if now.state in ACTIVE:  # else it has ended since the page was drawn, which is what was wanted
        jobs.request_stop(now)


def _end_now(run: Run) -> None:
    now = read_run(run.path)
    if now.state in ACTIVE:
        jobs.stop(now, grace_seconds=1.0)


# --- deleting ------------------------------------------------------------------------------


def _delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.subheader("Delete this run?", anchor=False)
        st.text("This deletes permanently:")
        for line in losses(run):
            st.text(f"• {line}")
        sure = st.checkbox("Yes, delete all of this", key=f"sure:{run.id}")
        st.button(
            "Delete permanently",
            type="primary",
            key="delete",
            disabled=not sure,
            on_click=_delete_now,
            args=(run,),
        )


def losses(run: Run) -> list[str]:
    """What is in the folder of a run, in words, with sizes."""
    if run.path.is_symlink():
        return [f"the link {run.path.name}; what it points at stays"]
    parts = {
        "the result: scores, memory and time": ["result.json"],
        "the adapter": ["adapter"],
        "the checkpoints to resume from": ["checkpoints"],
        "the predictions on the test split": ["predictions.parquet"],
        "the curves and the log": ["events.jsonl", "log.txt"],
    }
    found = []
    for what, names in parts.items():
        held = sum(_bytes(run, name) for name in names)
        if held:
            found.append(f"{what} ({size(held)})")
    return [*found, "the run folder with its copy of the recipe"]


def _bytes(run: Run, name: str) -> int:
    path = run.path / name
    try:
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.lstat().st_size for file in files if file.is_file())
    except OSError:
        return 0


def _delete_now(run: Run) -> None:
    try:
        delete_run(run)
    except WorkbenchError as error:
        show_error(error)
        return
    st.query_params.pop("run", None)
    st.toast(plain(f"{run.id} is deleted"), icon=":material/delete:")
