"""The form of a recipe: the fields of its method and task, and no others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from pydantic import BaseModel

from layout import plain
from recipes import fields
from workbench.recipe import Recipe
from workbench.recipe.layers import read_layers
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.model_spec import WEIGHT_FORMAT, ModelSpec
from workbench.recipe.schema import DataSpec, EvaluationSpec, TrainingSpec
from workbench.recipe.tasks import TASK_SPECS

SIZES = ("train_size", "validation_size", "test_size")
TRAINING = ("epochs", "batch_size", "max_steps", "warmup_ratio", "lr_scheduler")
Values = dict[str, Any]
Fields = Callable[..., list[str]]


def form(path: Path, shipped: Recipe, start: Recipe, *, key: str) -> list[str]:
    """The widgets of a recipe; returns its overrides in the order of the page."""
    values, first = shipped.model_dump(mode="json"), start.model_dump(mode="json")
    overrides = _method(path, values, first, key)
    section = partial(_section, values, first, key)
    overrides += _training(section("training", TrainingSpec))
    overrides += section("evaluation", EvaluationSpec)()
    # The task itself stays: another one needs other data.
    task = TASK_SPECS[shipped.task.name]
    st.subheader("Task", anchor=False)
    st.caption(plain(f"{shipped.task.name}: {_about(task)}"))
    empty = {"metrics": "the defaults of the task", "labels": "from the data"}
    overrides += section("task", task)(placeholders={**empty, "instruction": "none"})
    st.subheader("Data and model", anchor=False)
    return overrides + _data_and_model(section)


def _section(values: Values, first: Values, key: str, name: str, spec: type[BaseModel]) -> Fields:
    """Shows fields of a section of the recipe, or of the recipe itself where it has no name."""
    own, shown = (values[name], first[name]) if name else (values, first)
    return partial(fields.fields, spec, own, start=shown, section=name, key=key)


def _method(path: Path, values: Values, first: Values, key: str) -> list[str]:
    """The method and what is its own, the learning rate too: both come and go with it."""
    st.subheader("Method", anchor=False)
    names = list(METHOD_SPECS)
    left, right = st.columns([1, 2], vertical_alignment="center")
    index, box_key = names.index(first["method"]["name"]), f"{key}:method.name"
    name = left.selectbox("method", names, index=index, key=box_key, label_visibility="collapsed")
    spec = METHOD_SPECS[name]
    right.caption(plain(_about(spec)))
    overrides = []
    if name != values["method"]["name"]:
        overrides = [f"method.name={name}"]
        values |= _of_another(path, name, values)
    if name != first["method"]["name"]:
        first |= {"method": values["method"], "training": values["training"]}
    section = partial(_section, values, first, f"{key}:{name}")
    overrides += section("method", spec)()
    rate = {"learning_rate": f"{spec.default_learning_rate:g} (method's)"}
    return overrides + section("training", TrainingSpec)(names=tuple(rate), placeholders=rate)


def _of_another(path: Path, method: str, values: Values) -> Values:
    """What a recipe file says for another method than its own."""
    document, _ = read_layers(path, [f"method.name={method}"], {})
    rate = document.values.get("training", {}).get("learning_rate")
    return {
        "method": {"name": method},
        "training": {**values["training"], "learning_rate": rate},
    }


def _training(show: Fields) -> list[str]:
    st.subheader("Training", anchor=False)
    overrides = show(names=TRAINING)
    shown = (*TRAINING, "learning_rate")
    with st.expander("More training settings"):
        more = [name for name in TrainingSpec.model_fields if name not in shown]
        return overrides + show(names=more)


def _data_and_model(section: Callable[..., Fields]) -> list[str]:
    data, model = section("data", DataSpec), section("model", ModelSpec)
    left, right = st.columns(2)
    with left:
        overrides = data(names=("source",), columns=1)
    with right:
        overrides += model(names=("source",), columns=1)
    sizes, length = st.columns([3, 1])
    with sizes:
        overrides += data(names=SIZES, placeholders={"train_size": "all the rest"})
    with length:
        overrides += model(names=("max_length",), columns=1)
    shown = (*SIZES, "source")
    with st.expander("Columns, splits, revisions, init_from"):
        overrides += data(names=[n for n in DataSpec.model_fields if n not in shown])
        overrides += model(names=("revision", "resize_embeddings"), columns=2)
        overrides += model(names=WEIGHT_FORMAT, columns=4)
        none = {"init_from": "none: a new adapter"}
        overrides += section("", Recipe)(names=("init_from",), placeholders=none, columns=1)
    return overrides


def _about(spec: type[BaseModel]) -> str:
    return (spec.__doc__ or "").split("\n")[0]
