"""Name, star, tags, note and archive of one run."""

from dataclasses import replace
from functools import partial

import streamlit as st

from layout import action_button, plain, runs_dir
from workbench.store import Run, list_runs
from workbench.store.notes import MOST_NAME, MOST_TEXT, Notes, write_notes


def popover(run: Run) -> None:
    """The form behind a button."""
    notes, state = run.notes, st.session_state
    with st.popover("Notes", icon=":material/edit_note:"):
        key = f"note:{run.id}:{hash(notes)}"  # another form once they have changed
        st.text_input("Display name", notes.name, key=f"{key}:name", max_chars=MOST_NAME,
                      placeholder=run.path.name)  # fmt: skip
        known = sorted({tag for each in list_runs(runs_dir()) for tag in each.notes.tags})
        st.multiselect("Tags", known, list(notes.tags), key=f"{key}:tags", accept_new_options=True,
                       placeholder="choose or type")  # fmt: skip
        st.text_area("Note", notes.text, key=f"{key}:text", max_chars=MOST_TEXT)
        st.toggle("Star", notes.starred, key=f"{key}:starred")
        about = "Left out of the list of runs; comparisons count it as before."
        st.toggle("Archive", notes.archived, key=f"{key}:archived", help=about)

        def save() -> None:
            given = {
                name: state[f"{key}:{name}"] for name in ("name", "text", "starred", "archived")
            }
            write_notes(run.path, Notes(**given, tags=tuple(state[f"{key}:tags"])))

        action_button(st, "Save", "save-notes", save, type="primary")


def star(run: Run) -> None:
    """A click marks the run or takes the mark away."""
    notes = run.notes
    icon, about = (":material/star:", "Remove the star") if notes.starred else (
        ":material/star_outline:", "Mark with a star"
    )  # fmt: skip
    toggle = partial(write_notes, run.path, replace(notes, starred=not notes.starred))
    action_button(st, icon, "star", toggle, help=about, type="tertiary")


def show(run: Run) -> None:
    """Tags and note, where there are some."""
    notes = run.notes
    if notes.tags or notes.archived:
        with st.container(horizontal=True, gap="xsmall"):
            for tag in notes.tags:
                st.badge(plain(tag), color="gray")
            if notes.archived:
                st.badge("archived", color="orange")
    if notes.text:
        st.text(notes.text)
