"""A study: how far its runs are, the answer so far, what it rests on, and what to do next."""

import streamlit as st

from compare import overview, tabs
from compare.selection import choose
from layout import empty, heading, plain, remarks, runs_dir, say_unknown
from new_study import address
from runs.run_table import REFRESH_SECONDS
from study import actions, grid
from workbench.formatting import plural
from workbench.new_study.existing import list_studies, read_study


def page() -> None:
    studies = list_studies(runs_dir(), address.recipes_folder())
    if not studies:
        heading("Study", "All runs of one study, and what follows from them.")
        empty("No study yet", "Make one from your data: New study, above.")
        return
    asked = st.query_params.get("study", "")
    say_unknown("study", studies)
    asked = asked if asked in studies else studies[0]
    left, right = st.columns([2.2, 1], vertical_alignment="bottom")
    with left:
        heading(plain(asked), "All runs of this study, and what follows from them.")
    index = studies.index(asked)
    chosen = right.selectbox("Study", studies, index, key=f"study:{asked}:{len(studies)}")
    if st.query_params.get("study") != (chosen or asked):
        st.query_params["study"] = chosen or asked
        if chosen != asked:
            st.rerun()
    _study(asked)


def _study(name: str) -> None:
    now = read_study(name, runs_dir(), address.recipes_folder())
    answers = st.container()
    _follow(name, grid.states(now), grid.show(now))
    actions.show(now)
    problems = [str(each) for each in now.problems]
    remarks("Recipes that cannot be read", problems, ":material/error:")
    runs = [run for row in now.rows for run in row.runs.values()]
    if not any(run.state == "finished" for run in runs):
        answers.caption("No run has finished yet; the answer appears here.")
        return
    selection = choose(name)
    if selection is None or not selection.comparison.rows:
        return
    with answers:
        for analysis in selection.groups:
            overview.answer_box(selection, analysis)
    warnings = selection.comparison.warnings
    # The grid above says most of it, and the chart belongs on the first screen.
    remarks(plural(len(warnings), "warning"), warnings, ":material/info:", fold_above=0)
    tabs.show(selection)


@st.fragment(run_every=REFRESH_SECONDS)
def _follow(name: str, states: frozenset[tuple[object, ...]], places: grid.Places) -> None:
    """Draws what moves, and the whole page once any run is in another state."""
    now = read_study(name, runs_dir(), address.recipes_folder())
    if grid.states(now) != states:
        st.rerun()
    grid.refresh(now, places)


page()
