"""What can be done with a run: stop, resume, export, edit and run again, download, delete."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from layout import action_button, plain
from runs import notes_form
from runs.run_examples import predictions_csv
from workbench import jobs
from workbench.comparison.items import PREDICTIONS
from workbench.formatting import size
from workbench.store import ACTIVE, RESUMABLE, Run, delete_run, open_regular, read_run
from workbench.store.notes import NOTES
from workbench.store.run_log import LOG

RECIPE = "recipe.yaml"


def actions(run: Run) -> None:
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        if run.state in ACTIVE:
            _stop_button(run)
        elif run.state in RESUMABLE:
            about = "Resume from the last checkpoint."
            _button("Resume", ":material/resume:", about, partial(jobs.resume, run))
        elif run.state == "finished":
            icon, query = ":material/archive:", {"run": run.id}
            st.page_link("views/export.py", label="Export", icon=icon, query_params=query)
        if (run.path / RECIPE).is_file():
            icon, query = ":material/edit:", {"path": str(run.path / RECIPE)}
            words = "Edit and run again"
            st.page_link("views/recipes.py", label=words, icon=icon, query_params=query)
        notes_form.popover(run)
        _downloads(run)
        if run.state not in ACTIVE:
            _delete(run)


def _downloads(run: Run) -> None:
    """The files of a run that people take elsewhere; each is read when it is asked for."""
    files = {"Log": LOG, "Recipe": RECIPE, "Scores and costs": "result.json"}
    there = {label: name for label, name in files.items() if (run.path / name).is_file()}
    with st.popover("Download", icon=":material/download:"):
        for label, name in there.items():
            file, data = f"{run.path.name}-{name}", partial(_content, run, name)
            st.download_button(label, data, file, key=f"download:{name}", on_click="ignore")
        if (run.path / PREDICTIONS).is_file():
            data, file = partial(predictions_csv, run), f"{run.path.name}-predictions.csv"
            words = "Predictions (csv)"
            st.download_button(words, data, file, "text/csv", key="csv", on_click="ignore")


def _content(run: Run, name: str) -> bytes:
    with open_regular(run.path / name) as file:
        return file.read()


def _button(label: str, icon: str, about: str, action: Callable[[], object]) -> None:
    action_button(st, label, label.lower(), action, icon=icon, help=about)


def _stop_button(run: Run) -> None:
    if (run.path / "stop").exists():
        about = "It was asked to save and stop. This kills its process without waiting."
        end = partial(jobs.stop, grace_seconds=1.0)
        _button("Kill", ":material/dangerous:", about, partial(stop_if_active, run, end))
    else:
        about = "Save and stop after this step; the remaining runs of the same job do not start."
        _button("Stop", ":material/stop:", about, partial(stop_if_active, run))


def stop_if_active(run: Run, stop: Callable[[Run], object] = jobs.request_stop) -> None:
    """Else it has ended since the page was drawn, which is what was wanted."""
    now = read_run(run.path)
    if now.state in ACTIVE:
        stop(now)


def _delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.subheader("Delete this run?", anchor=False)
        st.text("This deletes permanently:")
        for line in losses(run):
            st.text(f"• {line}")
        sure = st.checkbox("Yes, delete all of this", key=f"sure:{run.id}")
        look = {"type": "primary", "disabled": not sure}
        action_button(st, "Delete permanently", "delete", partial(_delete_now, run), **look)


def losses(run: Run) -> list[str]:
    """What is in the folder of a run, in words, with sizes."""
    if run.path.is_symlink():
        return [f"the link {run.path.name}; what it points at stays"]
    parts = {
        "the result: scores, memory and time": ["result.json"],
        "the adapter": ["adapter"],
        "the checkpoints to resume from": ["checkpoints"],
        "the predictions on the test split": ["predictions.parquet"],
        "the curves and the log": ["events.jsonl", LOG],
        "its name, tags and note": [NOTES],
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
    delete_run(run)
    st.query_params.pop("run", None)
    st.toast(plain(f"{run.id} is deleted"), icon=":material/delete:")
