"""Recipes: pick one, change values, see what it would train, start it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import streamlit as st
from pydantic import BaseModel

import forms
import launch
from shell import error_box, heading, plain
from workbench.errors import RecipeError
from workbench.recipe import Recipe, dump_recipe, find_recipes, load_recipe, recipes_dir
from workbench.recipe.methods import METHOD_SPECS, MethodSpec
from workbench.recipe.schema import DataSpec, ModelSpec, TrainingSpec
from workbench.recipe.tasks import TASK_SPECS

SIZES = ("train_size", "validation_size", "test_size")
TRAINING = ("epochs", "learning_rate", "batch_size", "max_steps", "warmup_fraction", "schedule")


def page() -> None:
    """The view, top to bottom."""
    heading("Recipes", "Pick a recipe, change what you like, see what it trains, start it.")
    left, middle, right = st.columns([1.05, 2.5, 1.55], gap="large")
    with left:
        path = _pick()
    if path is None:
        return
    try:
        shipped = load_recipe(path)
    except RecipeError as error:
        with middle:
            error_box("This recipe cannot be used", str(error))
        return
    with middle:
        st.header(plain(f"{shipped.study} / {shipped.name}"), anchor=False)
        if shipped.description:
            st.text(shipped.description)
        values, resolved, changes = st.tabs(["Values", "Resolved recipe", "Changes"])
        with values:
            overrides = _form(shipped, key=_form_key(path))
    try:
        recipe = load_recipe(path, overrides)
    except RecipeError as error:
        with middle:
            error_box("These values cannot be used", str(error))
        with right, st.container(border=True):
            st.subheader("Start", anchor=False)
            st.caption("Correct the values first; what is wrong stands below them.")
        return
    with resolved:
        st.code(dump_recipe(recipe), language="yaml")
    with changes:
        _show_changes(shipped, recipe)
    with right:
        launch.panel(path, recipe, overrides)
        if overrides:
            st.button(
                "Back to the file's values",
                width="stretch",
                type="tertiary",
                on_click=_reset,
                args=(path,),
            )


# --- picking -------------------------------------------------------------------------------


def _pick() -> Path | None:
    choice = st.container()
    with st.popover("Own folder or file", icon=":material/folder_open:", width="stretch"):
        own = st.text_input(
            "Path",
            key="path",
            placeholder="my-recipes/",
            bind="query-params",
            help="A recipe file, or a folder of them, on the machine that serves this page.",
        )
    root = Path(own.strip()).expanduser() if own and own.strip() else recipes_dir()
    try:
        files = find_recipes(root)
    except RecipeError as error:
        error_box("No recipes here", str(error))
        return None
    studies: dict[str, list[Path]] = {}
    for file in files:
        studies.setdefault(_study_of(file, root), []).append(file)
    with choice:
        study = st.selectbox("Study", list(studies), key="study", bind="query-params")
        chosen = {file.stem: file for file in studies.get(study or "") or files}
        names = list(chosen)
        asked = st.query_params.get("recipe")
        # Not bound to the address as the study is: a bound radio writes its escaped labels there.
        name = st.radio(
            "Recipe",
            names,
            index=names.index(asked) if asked in names else 0,
            key=f"recipe:{root}:{study}",
            format_func=plain,
        )
    if name and name != asked:
        st.query_params["recipe"] = name
    return chosen.get(name or "") or files[0]


def _study_of(file: Path, root: Path) -> str:
    parent = file.parent
    if parent in (root, root.parent):
        return parent.resolve().name
    return str(parent.relative_to(root))


# --- the form ------------------------------------------------------------------------------


def _form_key(path: Path) -> str:
    return f"{path}#{st.session_state.get(f'reset:{path}', 0)}"


def _form(shipped: Recipe, key: str) -> list[str]:
    """The widgets of a recipe; returns its overrides in the order of the page."""
    values = shipped.model_dump(mode="json")
    method, overrides = _method(shipped, values["method"], key)
    overrides += _training(values["training"], key, method.default_learning_rate)
    overrides += _task(shipped.task.name, values["task"], key)
    return overrides + _data_and_model(values, key)


def _method(
    shipped: Recipe, values: dict[str, Any], key: str
) -> tuple[type[MethodSpec], list[str]]:
    st.subheader("Method", anchor=False)
    names = list(METHOD_SPECS)
    left, right = st.columns([1, 2], vertical_alignment="center")
    name = left.selectbox(
        "method",
        names,
        index=names.index(shipped.method.name),
        key=f"{key}:method.name",
        label_visibility="collapsed",
    )
    spec = METHOD_SPECS[name]
    right.caption(_about(spec))
    same = name == shipped.method.name
    overrides = [] if same else [f"method.name={name}"]
    own = values if same else {}
    overrides += forms.fields(spec, own, section="method", key=f"{key}:{name}")
    return spec, overrides


def _training(values: dict[str, Any], key: str, default_rate: float) -> list[str]:
    st.subheader("Training", anchor=False)
    overrides = forms.fields(
        TrainingSpec,
        values,
        section="training",
        key=key,
        names=TRAINING,
        placeholders={"learning_rate": f"{default_rate:g} (method's)"},
    )
    with st.expander("More training settings"):
        rest = [n for n in TrainingSpec.model_fields if n not in TRAINING]
        overrides += forms.fields(TrainingSpec, values, section="training", key=key, names=rest)
    return overrides


def _task(name: str, values: dict[str, Any], key: str) -> list[str]:
    """The settings of the recipe's task, which itself stays: another one needs other data."""
    spec = TASK_SPECS[name]
    st.subheader("Task", anchor=False)
    st.caption(plain(f"{name}: {_about(spec)}"))
    return forms.fields(
        spec,
        values,
        section="task",
        key=key,
        placeholders={
            "metrics": "the usual ones",
            "labels": "from the data",
            "instruction": "none",
        },
    )


def _data_and_model(values: dict[str, Any], key: str) -> list[str]:
    st.subheader("Data and model", anchor=False)
    st.text(f"{values['data']['source']} on {values['model']['source']}")
    sizes, length = st.columns([3, 1])
    with sizes:
        overrides = forms.fields(
            DataSpec,
            values["data"],
            section="data",
            key=key,
            names=SIZES,
            placeholders={"train_size": "all that are left"},
        )
    with length:
        overrides += forms.fields(
            ModelSpec, values["model"], section="model", key=key, names=("max_length",), columns=1
        )
    return overrides + forms.fields(
        Recipe,
        values,
        section="",
        key=key,
        names=("init_from",),
        placeholders={"init_from": "nothing: a fresh adapter"},
        columns=1,
    )


def _about(spec: type[BaseModel]) -> str:
    return (spec.__doc__ or "").split("\n")[0]


def _reset(path: Path) -> None:
    key = f"reset:{path}"
    st.session_state[key] = st.session_state.get(key, 0) + 1


def _show_changes(shipped: Recipe, recipe: Recipe) -> None:
    before, after = dump_recipe(shipped).splitlines(), dump_recipe(recipe).splitlines()
    lines = list(difflib.unified_diff(before, after, "as shipped", "as edited", lineterm="", n=2))
    if lines:
        st.code("\n".join(lines), language="diff")
    else:
        st.caption("Nothing: these are the values of the file.")


page()
