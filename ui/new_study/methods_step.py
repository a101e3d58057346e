"""Which methods are compared, on which model, and what each starts from."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from layout import by_history, plain, show_error, visit
from new_study import address
from recipes import fields
from workbench.assets import ASSETS
from workbench.errors import WorkbenchError
from workbench.new_study import Choices, Inspected
from workbench.new_study.draft import Draft, lengths, method_of, own_overrides, with_methods
from workbench.recipe import Recipe
from workbench.recipe.layers import Document, merge
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import TrainingSpec
from workbench.recipe.sources import ASSET_PREFIX
from workbench.recipe.tasks import TASK_SPECS

ANEW = "values-anew"


def show(inspected: Inspected) -> Choices | None:
    """The boxes, and the choices with what they say; None where these cannot be."""
    asked, before = _model_and_methods(inspected), address.values()
    _say_what_has_no_field(before)
    with st.expander("Advanced: values of each method", icon=":material/tune:"):
        said, errors = _values(inspected, asked, before)
    if sorted(said) != sorted(before):
        address.put_values(said)
        st.rerun()
    for error in errors:
        show_error(error)
    own = [each for each in said if method_of(each) in asked.methods]
    return None if errors else replace(asked, overrides=(*asked.overrides, *own))


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


def _say_what_has_no_field(before: Sequence[str]) -> None:
    """Settings of the recipes that no form shows, as those of a study that is run again."""
    mine = [each for each in before if not (method_of(each) and address.is_linked(each))]
    if mine:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(plain(f"Kept as they are, without a field here: {', '.join(mine)}."))
            rest = [each for each in before if each not in mine]
            drop = partial(address.put_values, rest)
            st.button("Leave them out", "without-fields", on_click=drop, type="tertiary")
    if alone := address.left_alone():
        words = "Not taken over, since the methods of a new study share such settings: "
        st.caption(plain(f"{words}{', '.join(alone)}."))


def _values(
    inspected: Inspected, asked: Choices, before: Sequence[str]
) -> tuple[list[str], list[WorkbenchError]]:
    """A form for each method; all settings that differ from what a method starts from, and what
    is wrong with them. Those of methods that are not ticked stay, for when they are again."""
    data = inspected.checked.data
    assert data is not None  # there are no problems
    size = len(data.train)
    usual = with_methods(lengths(replace(inspected.checked.draft, choices=asked), size), size)
    said = [each for each in before if not address.is_linked(each)]
    said += [each for each in before if method_of(each) not in asked.methods and each not in said]
    st.button("Back to the usual values", "usual", on_click=_forget, disabled=not before)
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + by_history()
    errors = []
    for tab, name in zip(st.tabs(list(asked.methods)), asked.methods, strict=True):
        mine = [each for each in before if method_of(each) == name]
        recipe = shown = _recipe(usual, name, [])
        try:
            shown = _recipe(usual, name, mine)
        except WorkbenchError as error:
            errors.append(error)
        with tab:
            st.caption(plain(usual.origin[name]))
            changed = _form(name, recipe, shown)
        kept = shown is recipe and not changed  # what cannot be stays until it is changed
        said += [each for each in (mine if kept else changed) if each not in said]
    return said, errors


def _form(name: str, usual: Recipe, shown: Recipe) -> list[str]:
    """The fields of one method and of its training; returns what differs from what is usual."""
    values, start = (each.model_dump(mode="json") for each in (usual, shown))
    # Other usual values, or an address that Back has led to: other widgets, which show them.
    stamp = json.dumps([values["training"], values["method"]])
    anew = f"{st.session_state[ANEW]}:{visit()}"
    about: dict[str, Any] = {"key": f"of:{name}:{hash(stamp)}:{anew}", "columns": 4}
    said = fields.fields(
        TrainingSpec,
        values["training"],
        section="training",
        start=start["training"],
        names=address.TRAINING,
        placeholders={"learning_rate": f"{usual.learning_rate:g} (method's)"},
        **about,
    )
    spec, method = METHOD_SPECS[name], values["method"]
    said += fields.fields(spec, method, section="method", start=start["method"], **about)
    return [f"{name}:{each}" for each in said]


def _recipe(usual: Draft, name: str, values: Sequence[str]) -> Recipe:
    """One method's recipe with some settings of its own.

    Raises:
        WorkbenchError: with what is wrong with them.
    """
    said = Document(own_overrides(name, values))
    own = merge(Document(usual.own[name]), said).values
    (recipe,) = replace(usual, own={name: own}).recipes()
    return recipe


def _forget() -> None:
    address.put_values([])
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + 1
