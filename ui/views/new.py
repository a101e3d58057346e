"""New study: from somebody's data to the runs of several methods, on one page.

Every choice stands in the address: a reload and a second tab lose nothing.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from layout import heading, show_error
from new_study import address, columns_step, data_step, plan_step, problems_step
from workbench.assets import ASSETS
from workbench.errors import WorkbenchError
from workbench.new_study import Ambiguous, Choices, Inspected, inspect
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.sources import ASSET_PREFIX
from workbench.recipe.tasks import TASK_SPECS


def page() -> None:
    heading("New study", "Is fine-tuning worth it on your data, and with which method?")
    st.subheader("Data", anchor=False)
    source = data_step.choose()
    if address.is_lost():
        words = "The data or model in this link is not known here any more; choose it again."
        st.warning(words, icon=":material/history:")
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
    choices = _model_and_methods(inspected)
    st.subheader("Plan", anchor=False)
    plan_step.show(choices, stamp)


@st.cache_resource(show_spinner="Reading the data", max_entries=8)
def _inspected(_choices: Choices, arguments: list[str], stamp: object) -> Inspected:
    return inspect(_choices, address.data_folder())


def _stamp(source: str) -> float:
    try:
        return Path(source).expanduser().stat().st_mtime
    except (OSError, ValueError, RuntimeError):  # no file: an asset, a Hub id
        return 0.0


def _model_and_methods(inspected: Inspected) -> Choices:
    """The boxes, and the choices with what they say."""
    draft, asked = inspected.checked.draft, inspected.choices
    families = TASK_SPECS[draft.base["task"]["name"]].families
    models = [
        f"{ASSET_PREFIX}{name}"
        for name, asset in ASSETS.items()
        if asset.kind == "model" and asset.family in families
    ]
    left, middle, right = st.columns([2, 1, 2], vertical_alignment="bottom")
    now = draft.base["model"]["source"]
    options = list(dict.fromkeys([*models, now]))
    model = left.selectbox(
        "Model", options, options.index(now), key=f"model:{now}", accept_new_options=True,
        help="Embedded, a folder on the machine that serves this page, or a Hub id.",
    )  # fmt: skip
    count = len(asked.seeds)
    seeds = middle.number_input("Seeds", 1, 100, count, key=f"seeds:{count}")
    name = right.text_input("Name", asked.name, max_chars=80, key=f"name:{asked.name}")
    with st.container(horizontal=True):
        ticked = [
            method
            for method in METHOD_SPECS
            if method != "peft" and st.checkbox(method, method in asked.methods, f"tick:{method}")
        ]
    st.caption("Each starts from a learning rate of its own: tuned, where a shipped study has it.")
    if model and model != now:
        address.put_source("model", str(model).strip())
        st.rerun()
    said: dict[str, Any] = {}
    if ticked and {*ticked} != {*asked.methods}:
        said["method"] = ticked
    if seeds != count:
        said["seeds"] = str(seeds)
    if name.strip() not in ("", asked.name):
        said["named"] = name.strip()
    for key, value in said.items():
        address.put(key, value)
    if said:
        st.rerun()
    if not ticked:
        st.caption("Tick at least one method.")
        st.stop()
    return asked


page()
