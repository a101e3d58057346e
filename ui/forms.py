"""Widgets made from the recipe schema: types, ranges, allowed values and help come from there.

A form hands back what differs from the recipe it started from, as the ``key=value`` overrides
that ``workbench run --set`` takes. So a value means the same in the form, in a file and on the
command line, and is checked by the same code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from pydantic import BaseModel

from shell import plain

Schema = Mapping[str, Any]
NOTHING = "null"


def fields(
    spec: type[BaseModel],
    values: Mapping[str, Any],
    *,
    section: str,
    key: str,
    names: Sequence[str] | None = None,
    placeholders: Mapping[str, str] | None = None,
    columns: int = 3,
) -> list[str]:
    """Shows fields of a recipe section in a grid and returns the overrides they amount to.

    Args:
        spec: the section's class.
        values: where the form starts from; absent fields start from their defaults.
        section: the section's key in the recipe.
        key: what makes the widgets those of one recipe and no other.
        names: which fields; None for all but ``name``.
        placeholders: what an empty field stands for.
        columns: columns of the grid.
    """
    properties: Mapping[str, Schema] = spec.model_json_schema()["properties"]
    names = [n for n in properties if n != "name"] if names is None else names
    overrides = []
    for start in range(0, len(names), columns):
        grid = st.columns(columns, vertical_alignment="bottom")
        for name, column in zip(names[start : start + columns], grid, strict=False):
            schema = properties[name]
            initial = values.get(name, schema.get("default"))
            with column:
                text = _widget(
                    name,
                    schema,
                    initial,
                    key=f"{key}:{section}.{name}",
                    placeholder=(placeholders or {}).get(name, "not set"),
                )
            if text is not None:
                overrides.append(f"{section}.{name}={text}")
    return overrides


def _widget(name: str, schema: Schema, initial: Any, *, key: str, placeholder: str) -> str | None:
    """One widget; returns its value as YAML, or None when it is what it started from."""
    help_text = plain(schema.get("description", "")) or None
    about: dict[str, Any] = {"label": label(name), "key": key, "help": help_text}
    kind, nullable, bounds = _kind(schema)
    value: Any
    if kind == "boolean":
        value = st.checkbox(value=bool(initial), **about)
    elif kind == "enum":
        options = list(bounds["enum"])
        value = st.selectbox(options=options, index=options.index(initial), **about)
    elif kind in ("integer", "number"):
        value = _number(kind, initial, bounds, nullable, placeholder, about)
    else:
        start = as_yaml(initial)
        typed = st.text_input(
            value="" if start == NOTHING else start, **about, placeholder=placeholder
        )
        typed = (typed or "").strip() or NOTHING
        return None if typed == start else typed
    return None if value == initial else as_yaml(value)


def _number(
    kind: str, initial: Any, bounds: Schema, nullable: bool, placeholder: str, about: dict[str, Any]
) -> Any:
    cast: Callable[[Any], Any] = int if kind == "integer" else float
    low = bounds.get("minimum", bounds.get("exclusiveMinimum"))
    high = bounds.get("maximum", bounds.get("exclusiveMaximum"))
    size = abs(initial) if isinstance(initial, int | float) and initial else 0.01
    step: Any = 1 if kind == "integer" else 10.0 ** math.floor(math.log10(size))
    value: Any = st.number_input(
        value=None if initial is None else cast(initial),
        min_value=None if low is None else cast(low),
        max_value=None if high is None else cast(high),
        step=step,
        format="%d" if kind == "integer" else "%g",
        placeholder=placeholder,
        **about,
    )
    if value is None and not nullable:
        return initial  # an emptied field that may not be empty keeps what it had
    return value


def _kind(schema: Schema) -> tuple[str, bool, Schema]:
    """The widget a schema asks for: boolean, enum, integer, number or text (anything else)."""
    choices = [c for c in schema.get("anyOf", [schema]) if c.get("type") != "null"]
    nullable = len(choices) < len(schema.get("anyOf", [schema]))
    if len(choices) != 1:
        return "text", nullable, schema
    only = choices[0]
    if "enum" in only and not nullable:
        return "enum", False, only
    return str(only.get("type", "text")), nullable, only


def label(name: str) -> str:
    """``batch_size`` -> ``batch size``: the recipe's own word, readable."""
    return name.replace("_", " ")


def as_yaml(value: Any) -> str:
    """A value as it is written in a recipe; JSON is YAML, and plain words need no quotes."""
    if isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum():
        return (
            value
            if value not in ("null", "true", "false") and not value[0].isdigit()
            else (json.dumps(value))
        )
    return json.dumps(value, ensure_ascii=False)
