"""What can be done with several selected runs at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from layout import action_button, errors_kept, plain
from run_summary import title_of
from runs.run_actions import stop_if_active
from runs.run_table import begin_anew
from workbench.formatting import plural
from workbench.store import ACTIVE, Run, delete_run
from workbench.store.notes import write_notes

MOST_NAMED = 30
"""Runs that a confirmation names one by one."""


def bar(runs: Sequence[Run]) -> None:
    """The number of the selected runs and the buttons for all of them."""
    active = [run for run in runs if run.state in ACTIVE]
    ended = [run for run in runs if run.state not in ACTIVE]
    finished = [run for run in runs if run.state == "finished"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{plural(len(runs), 'run')} selected", anchor=False, width="stretch")
        if finished:
            query = {
                "studies": sorted({run.path.parent.name for run in finished}),
                "runs": [run.id for run in finished],
            }
            words = f"Compare the {plural(len(finished), 'result')}"
            icon = ":material/leaderboard:"
            st.page_link("views/compare.py", label=words, icon=icon, query_params=query)
        if active:
            _confirmed(
                "Stop", "saved and stopped, or taken out of the queue", active, stop_if_active
            )
        archived = bool(ended) and all(run.notes.archived for run in ended)
        words = "Take out of the archive" if archived else "Archive"
        if ended:
            about = "An archived run is left out of the list; comparisons count it as before."
            action = partial(_each, ended, partial(_archive, archived=not archived))
            action_button(st, words, "archive-several", action, help=about)
            _confirmed("Delete", "deleted permanently with all their files", ended, delete_run)
        action_button(st, "Clear", "clear-several", partial(_pick, []))


def _confirmed(word: str, what: str, runs: Sequence[Run], action: Callable[[Run], object]) -> None:
    key = word.lower()
    with st.popover(f"{word} {len(runs)}", icon=":material/checklist:"):
        st.text(f"These are {what}:")
        for run in runs[:MOST_NAMED]:
            named = f" ({title_of(run)})" if run.notes.name else ""
            st.text(f"• {run.id}{named}")
        if len(runs) > MOST_NAMED:
            st.text(f"• and {len(runs) - MOST_NAMED} more")
        # Another selection is another question.
        sure = st.checkbox(f"Yes, {key} these", key=f"sure-{key}:{hash(tuple(r.id for r in runs))}")
        look = {"type": "primary", "disabled": not sure}
        action_button(st, f"{word} them", f"{key}-several", partial(_each, runs, action), **look)


def _each(runs: Sequence[Run], action: Callable[[Run], object]) -> None:
    """Does it to every run: what one refuses is shown and keeps none of the others."""
    for run in runs:
        with errors_kept():
            action(run)
    gone = {run.id for run in runs if not run.path.exists() and run.state not in ACTIVE}
    left = [name for name in st.query_params.get_all("picked") if name not in gone]
    if gone:
        _pick(left)
        st.toast(plain(f"{plural(len(gone), 'run')} deleted"), icon=":material/delete:")


def _pick(names: list[str]) -> None:
    st.query_params["picked"] = names
    begin_anew()


def _archive(run: Run, *, archived: bool) -> None:
    write_notes(run.path, replace(run.notes, archived=archived))
