"""The form of a recipe: the fields of its method and task, and no others."""

from __future__ import annotations

from typing import Any

import streamlit as st
from pydantic import BaseModel

from layout import plain
from recipes import fields
from workbench.recipe import Recipe
from workbench.recipe.methods import METHOD_SPECS, MethodSpec
from workbench.recipe.schema import DataSpec, ModelSpec, TrainingSpec
from workbench.recipe.tasks import TASK_SPECS

SIZES = ("train_size", "validation_size", "test_size")
TRAINING = ("epochs", "learning_rate", "batch_size", "max_steps", "warmup_ratio", "lr_scheduler")
Values = dict[str, Any]


def form(shipped: Recipe, start: Recipe, *, key: str) -> list[str]:
    """The widgets of a recipe; returns its overrides in the order of the page.

    Args:
        shipped: the recipe as its file has it.
        start: what the widgets show first.
        key: what makes the widgets those of this recipe.
    """
    values, first = shipped.model_dump(mode="json"), start.model_dump(mode="json")
    spec, overrides = _method(values["method"], first["method"], key)
    overrides += _training(values["training"], first["training"], key, spec.default_learning_rate)
    overrides += _task(shipped.task.name, values["task"], first["task"], key)
    return overrides + _data_and_model(values, first, key)


def _method(values: Values, first: Values, key: str) -> tuple[type[MethodSpec], list[str]]:
    st.subheader("Method", anchor=False)
    names = list(METHOD_SPECS)
    left, right = st.columns([1, 2], vertical_alignment="center")
    name = left.selectbox(
        "method",
        names,
        index=names.index(first["name"]),
        key=f"{key}:method.name",
        label_visibility="collapsed",
    )
    spec = METHOD_SPECS[name]
    right.caption(plain(_about(spec)))
    overrides = [] if name == values["name"] else [f"method.name={name}"]
    own = values if name == values["name"] else {}
    start = first if name == first["name"] else own
    overrides += fields.fields(spec, own, start=start, section="method", key=f"{key}:{name}")
    return spec, overrides


def _training(values: Values, first: Values, key: str, default_rate: float) -> list[str]:
    st.subheader("Training", anchor=False)
    overrides = fields.fields(
        TrainingSpec,
        values,
        start=first,
        section="training",
        key=key,
        names=TRAINING,
        placeholders={"learning_rate": f"{default_rate:g} (method's)"},
    )
    with st.expander("More training settings"):
        rest = [n for n in TrainingSpec.model_fields if n not in TRAINING]
        overrides += fields.fields(
            TrainingSpec, values, start=first, section="training", key=key, names=rest
        )
    return overrides


def _task(name: str, values: Values, first: Values, key: str) -> list[str]:
    """The settings of the recipe's task, which itself stays: another one needs other data."""
    spec = TASK_SPECS[name]
    st.subheader("Task", anchor=False)
    st.caption(plain(f"{name}: {_about(spec)}"))
    return fields.fields(
        spec,
        values,
        start=first,
        section="task",
        key=key,
        placeholders={
            "metrics": "the defaults of the task",
            "labels": "from the data",
            "instruction": "none",
        },
    )


def _data_and_model(values: Values, first: Values, key: str) -> list[str]:
    st.subheader("Data and model", anchor=False)
    st.text(f"{first['data']['source']} on {first['model']['source']}")
    data, model = values["data"], values["model"]
    sizes, length = st.columns([3, 1])
    with sizes:
        overrides = fields.fields(
            DataSpec,
            data,
            start=first["data"],
            section="data",
            key=key,
            names=SIZES,
            placeholders={"train_size": "all the rest"},
        )
    with length:
        overrides += fields.fields(
            ModelSpec,
            model,
            start=first["model"],
            section="model",
            key=key,
            names=("max_length",),
            columns=1,
        )
    with st.expander("Data source, model source, init_from"):
        rest = [n for n in DataSpec.model_fields if n not in SIZES]
        overrides += fields.fields(
            DataSpec, data, start=first["data"], section="data", key=key, names=rest
        )
        overrides += fields.fields(
            ModelSpec,
            model,
            start=first["model"],
            section="model",
            key=key,
            names=("source", "revision"),
            columns=2,
        )
        overrides += fields.fields(
            Recipe,
            values,
            start=first,
            section="",
            key=key,
            names=("init_from",),
            placeholders={"init_from": "none: a new adapter"},
            columns=1,
        )
    return overrides


def _about(spec: type[BaseModel]) -> str:
    return (spec.__doc__ or "").split("\n")[0]
