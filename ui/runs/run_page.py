"""One run on a page: live while it runs, its record once it has finished."""

from typing import Any

import streamlit as st

from layout import error_box, plain, remarks
from run_summary import state_of, title_of
from runs import notes_form, run_examples, run_live, run_log, run_result
from runs.event_log import histories
from runs.run_actions import actions
from workbench.analysis.records import get_strings
from workbench.formatting import plural
from workbench.store import ACTIVE, RESUMABLE, Run

Event = dict[str, Any]
TROUBLE = {
    "failed": "This run failed",
    "interrupted": "This run was interrupted",
    "unreadable": "This run cannot be read",
}
NEXT = {
    "failed": "Fix the cause, then resume it.",
    "interrupted": "Resume it: training continues exactly where it was saved.",
    "unreadable": "No other run is affected. Inspect its files or delete it.",
}


def show(run: Run) -> None:
    _title(run)
    events = histories().of(run)
    if run.state in ACTIVE:
        run_live.progress(run, events)
    if run.reason and run.state not in ("finished", "stopped"):
        error_box(TROUBLE.get(run.state, f"This run is {run.state}"), run.reason)
        if run.state in NEXT:
            st.caption(f"{NEXT[run.state]}{_saved(run)}")
    if run.state == "finished":
        run_result.headline(run.result)
    logged = [str(event.get("message")) for event in events if event.get("kind") == "warning"]
    warnings = list(dict.fromkeys([*get_strings(run.result, "warnings"), *logged]))
    remarks(plural(len(warnings), "warning"), warnings, ":material/warning:")
    names = ["Overview", "Examples", "Recipe", "Log"]
    overview, examples, recipe, log = st.tabs(names, key="show", bind="query-params")
    with overview:
        run_live.curves(run, events)
        if run.state == "finished":
            run_result.outcome(run.result)
    if examples.open:
        with examples:
            run_examples.show(run)
    with recipe:
        st.caption("The resolved recipe of this run, all defaults written out.")
        st.code(run.recipe_text() or "(missing)", language=None)
    with log:
        run_log.show(run, events)


def _title(run: Run) -> None:
    left, right = st.columns([1, 1.2], vertical_alignment="center")
    with left, st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.title(plain(title_of(run)), anchor=False, width="content")
            notes_form.star(run)
        st.caption(plain(f"{run.id} · {state_of(run)}"))
        notes_form.show(run)
    with right:
        actions(run)


def _saved(run: Run) -> str:
    """The last checkpoint of a run that can be resumed, in words."""
    if run.state not in RESUMABLE:
        return ""
    folder = run.path / "checkpoints"
    names = [path.name for path in folder.glob("step-*")] if folder.is_dir() else []
    steps = [int(name.removeprefix("step-")) for name in names if name[5:].isdigit()]
    if not steps:
        return " It has no checkpoint yet, so it starts over."
    return f" Last checkpoint: step {max(steps)}."
