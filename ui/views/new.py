"""New study: from somebody's data to the runs of several methods, on one page.

Every choice stands in the address: a reload and a second tab lose nothing.
"""

from pathlib import Path

import streamlit as st

from layout import heading, plain, show_error
from new_study import address, columns_step, data_step, methods_step, plan_step, problems_step
from workbench.errors import WorkbenchError
from workbench.new_study import Ambiguous, Choices, Inspected, inspect


def page() -> None:
    heading("New study", "Is fine-tuning worth it on your data, and with which method?")
    st.subheader("Data", anchor=False)
    source = data_step.choose()
    if address.is_lost():
        words = "The data or model in this link is not known here any more; choose it again."
        st.warning(words, icon=":material/history:")
    if refused := address.refused_values():
        words = f"A link cannot set {', '.join(each.partition('=')[0][:80] for each in refused)}."
        st.warning(plain(words), icon=":material/link_off:")
    if not source:
        st.caption("Tables, a zip with a folder of texts for each class, SQuAD and CoNLL files.")
        return
    try:
        choices = address.choices()
        stamp = _stamp(source)
        inspected = _inspected(choices, choices.arguments(), stamp)
    except Ambiguous as error:
        columns_step.ask(error)
        return
    except WorkbenchError as error:
        show_error(error)
        st.button("Start over with this data", "over", on_click=address.start_over)
        return
    data_step.show(inspected.found)
    columns_step.show(inspected)
    if not problems_step.show(inspected):
        return
    st.subheader("Model and methods", anchor=False)
    chosen = methods_step.show(inspected)
    if chosen is None:
        return
    st.subheader("Plan", anchor=False)
    plan_step.show(chosen, stamp)


@st.cache_resource(show_spinner="Reading the data", max_entries=8)
def _inspected(_choices: Choices, arguments: list[str], stamp: object) -> Inspected:
    return inspect(_choices, address.data_folder())


def _stamp(source: str) -> float:
    try:
        return Path(source).expanduser().stat().st_mtime
    except (OSError, ValueError, RuntimeError):  # no file: an asset, a Hub id
        return 0.0


page()
