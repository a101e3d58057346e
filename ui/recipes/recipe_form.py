"""The form of a recipe: the fields of its method and task, and no others."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st
from pydantic import BaseModel

from layout import plain
from recipes import fields
from workbench.recipe import Recipe
from workbench.recipe.methods import METHOD_SPECS, MethodSpec
from workbench.recipe.schema import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from workbench.recipe.tasks import TASK_SPECS

SIZES = ("train_size", "validation_size", "test_size")
TRAINING = ("epochs", "learning_rate", "batch_size", "max_steps", "warmup_ratio", "lr_scheduler")
Values = dict[str, Any]
Fields = Callable[..., list[str]]


def form(shipped: Recipe, start: Recipe, *, key: str) -> list[str]:
    """The widgets of a recipe; returns its overrides in the order of the page."""
    values, first = shipped.model_dump(mode="json"), start.model_dump(mode="json")
    spec, overrides = _method(values["method"], first["method"], key)
    section = partial(_section, values, first, key)
    overrides += _training(section("training", TrainingSpec), spec.default_learning_rate)
    overrides += section("evaluation", EvaluationSpec)()
    # The task itself stays: another one needs other data.
    task = TASK_SPECS[shipped.task.name]
    st.subheader("Task", anchor=False)
    st.caption(plain(f"{shipped.task.name}: {_about(task)}"))
    empty = {"metrics": "the defaults of the task", "labels": "from the data"}
    overrides += section("task", task)(placeholders={**empty, "instruction": "none"})
    st.subheader("Data and model", anchor=False)
    st.text(f"{start.data.source} on {start.model.source}")
    return overrides + _data_and_model(section)


def _section(values: Values, first: Values, key: str, name: str, spec: type[BaseModel]) -> Fields:
    """Shows fields of a section of the recipe, or of the recipe itself where it has no name."""
    own, shown = (values[name], first[name]) if name else (values, first)
    return partial(fields.fields, spec, own, start=shown, section=name, key=key)


def _method(values: Values, first: Values, key: str) -> tuple[type[MethodSpec], list[str]]:
    st.subheader("Method", anchor=False)
    names = list(METHOD_SPECS)
    left, right = st.columns([1, 2], vertical_alignment="center")
    index, box_key = names.index(first["name"]), f"{key}:method.name"
    name = left.selectbox("method", names, index=index, key=box_key, label_visibility="collapsed")
    spec = METHOD_SPECS[name]
    right.caption(plain(_about(spec)))
    overrides = [] if name == values["name"] else [f"method.name={name}"]
    own = values if name == values["name"] else {}
    start = first if name == first["name"] else own
    overrides += fields.fields(spec, own, start=start, section="method", key=f"{key}:{name}")
    return spec, overrides


def _training(show: Fields, default_rate: float) -> list[str]:
    st.subheader("Training", anchor=False)
    rate = f"{default_rate:g} (method's)"
    overrides = show(names=TRAINING, placeholders={"learning_rate": rate})
    with st.expander("More training settings"):
        return overrides + show(names=[n for n in TrainingSpec.model_fields if n not in TRAINING])


def _data_and_model(section: Callable[..., Fields]) -> list[str]:
    data, model = section("data", DataSpec), section("model", ModelSpec)
    sizes, length = st.columns([3, 1])
    with sizes:
        overrides = data(names=SIZES, placeholders={"train_size": "all the rest"})
    with length:
        overrides += model(names=("max_length",), columns=1)
    with st.expander("Data source, model source, init_from"):
        overrides += data(names=[n for n in DataSpec.model_fields if n not in SIZES])
        overrides += model(names=("source", "revision", "resize_embeddings"), columns=2)
        none = {"init_from": "none: a new adapter"}
        overrides += section("", Recipe)(names=("init_from",), placeholders=none, columns=1)
    return overrides


def _about(spec: type[BaseModel]) -> str:
    return (spec.__doc__ or "").split("\n")[0]
