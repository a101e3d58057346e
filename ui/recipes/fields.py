"""Widgets made from the recipe schema: types, ranges, allowed values and help come from there.

A form hands back what differs from the recipe it started from, as the ``key=value`` overrides
that ``workbench run --set`` takes. So a value means the same in the form, in a file and on the
command line, and is checked by the same code.
"""

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import streamlit as st
from pydantic import BaseModel
from streamlit.delta_generator import DeltaGenerator

from layout import plain
from recipes import tags
from recipes.labels import label

Schema = Mapping[str, Any]
NOTHING = "null"
PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NO_WORDS = {"null", "true", "false"}
"""What YAML reads as something else than a text."""


def fields(
    spec: type[BaseModel] | Schema,
    values: Mapping[str, Any],
    *,
    section: str,
    key: str,
    start: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    placeholders: Mapping[str, str] | None = None,
    columns: int = 3,
) -> list[str]:
    """Shows fields of a recipe section in a grid and returns the overrides they amount to.

    Sections within the section, such as ``decoding``, follow under their own name.

    Args:
        values: what the overrides are relative to; absent fields have their defaults.
        section: the section's key in the recipe; empty for the recipe's own fields.
        key: what makes the widgets those of one recipe and no other.
        start: what the widgets show first; None for ``values``.
        names: which fields; None for all but ``name``.
        placeholders: what an empty field stands for.
    """
    known = spec if isinstance(spec, Mapping) else _properties(spec)
    asked = [name for name in known if name != "name"] if names is None else names
    properties = {name: known[name] for name in asked}
    start, placeholders = values if start is None else start, placeholders or {}
    path = f"{section}." if section else ""
    inner = {name: schema for name, schema in properties.items() if "properties" in schema}
    # Boxes to tick go last: they have no label above them and break a row of fields.
    plain_ones = [name for name in asked if name not in inner]
    plain_ones.sort(key=lambda name: _kind(properties[name])[0] == "boolean")
    overrides = []
    usual = {name: schema.get("default") for name, schema in properties.items()}
    held, shown = {**usual, **values}, {**usual, **start}
    for name, cell in zip(plain_ones, _cells(columns), strict=False):
        about = {"key": f"{key}:{path}{name}", "placeholder": placeholders.get(name, "not set")}
        with cell:
            text = _widget(
                label(f"{path}{name}"), properties[name], held[name], shown[name], **about
            )
        if text is not None:
            overrides.append(f"{path}{name}={text}")
    for name, schema in inner.items():
        st.caption(plain(f"{label(f'{path}{name}')}: {schema.get('description', '')}"))
        here: dict[str, Any] = {"section": f"{path}{name}", "key": key, "columns": columns}
        within, first_shown = values.get(name) or {}, start.get(name) or {}
        overrides += fields(schema["properties"], within, start=first_shown, **here)
    return overrides


def _cells(columns: int) -> Iterator[DeltaGenerator]:
    """The cells of a grid, row by row, made as they are asked for."""
    while True:
        yield from st.columns(columns, vertical_alignment="bottom")


@functools.cache
def _properties(spec: type[BaseModel]) -> Mapping[str, Schema]:
    schema = spec.model_json_schema()
    properties: dict[str, Schema] = _resolved(schema, schema.get("$defs", {}))["properties"]
    return properties


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Mapping[str, Any]:
    """A section's schema with the sections that its fields refer to put in their places."""
    named = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    whole = {**named, **schema}
    if "properties" in whole:
        inner = whole["properties"].items()
        whole["properties"] = {name: _resolved(field, definitions) for name, field in inner}
    return whole


def _widget(
    called: str, schema: Schema, held: Any, start: Any, *, key: str, placeholder: str
) -> str | None:
    """One widget; returns its value as YAML, or None when it equals ``held``."""
    help_text = plain(schema.get("description", "")) or None
    about: dict[str, Any] = {"label": called, "key": key, "help": help_text}
    kind, nullable, bounds = _kind(schema)
    value: Any
    if kind == "boolean":
        value = st.checkbox(value=bool(start), **about)
    elif kind == "enum":
        options = list(bounds["enum"])
        index = options.index(start) if start in options else None
        value = st.selectbox(options=options, index=index, **about)
    elif kind in ("integer", "number"):
        value = _number(kind, start, bounds, placeholder, about)
        if value is None and not nullable:
            value = held  # an emptied field that may not be empty
    elif kind == "string":
        value = _string(start, nullable, placeholder, about)
    elif kind == "list":
        value = tags.choose(start, nullable, bounds, placeholder=placeholder, **about)
    else:
        return _yaml(held, start, placeholder, about)
    return None if value == held else as_yaml(value)


def _string(start: str | None, nullable: bool, placeholder: str, about: dict[str, Any]) -> Any:
    """A text as it is; an empty field is null where the recipe allows that."""
    several_lines = "\n" in (start or "")
    widget: Any = st.text_area if several_lines else st.text_input
    typed = widget(value=start or "", placeholder=placeholder, **about) or ""
    if typed.strip():
        return typed
    return None if nullable or start is None else ""


def _yaml(held: Any, start: Any, placeholder: str, about: dict[str, Any]) -> str | None:
    """A value written as in a recipe file, for whatever has no widget of its own."""

    def shown(value: Any) -> str:
        text = as_yaml(value)
        return "" if text == NOTHING else text

    typed = st.text_input(value=shown(start), placeholder=placeholder, **about) or ""
    return None if typed.strip() == shown(held) else typed.strip() or NOTHING


def _number(kind: str, start: Any, bounds: Schema, placeholder: str, about: dict[str, Any]) -> Any:
    cast: Callable[[Any], Any] = int if kind == "integer" else float
    low = bounds.get("minimum", bounds.get("exclusiveMinimum"))
    high = bounds.get("maximum", bounds.get("exclusiveMaximum"))
    size = abs(start) if isinstance(start, int | float) and start else 0.01
    step: Any = 1 if kind == "integer" else 10.0 ** math.floor(math.log10(size))
    value: Any = st.number_input(
        value=None if start is None else cast(start),
        min_value=None if low is None else cast(low),
        max_value=None if high is None else cast(high),
        step=step,
        format="%d" if kind == "integer" else "%g",
        placeholder=placeholder,
        **about,
    )
    return value


def _kind(schema: Schema) -> tuple[str, bool, Schema]:
    """The widget a schema asks for: a boolean, enum, list, integer, number or else a text."""
    choices = [c for c in schema.get("anyOf", [schema]) if c.get("type") != "null"]
    nullable = len(choices) < len(schema.get("anyOf", [schema]))
    if tags.is_list(choices):
        return "list", nullable, {"anyOf": choices}
    if len(choices) != 1:
        return "text", nullable, schema
    only = choices[0]
    if "enum" in only and not nullable:
        return "enum", False, only
    kind = str(only.get("type", "text"))
    return "text" if kind == "boolean" and nullable else kind, nullable, only


def as_yaml(value: Any) -> str:
    """A value as it is written in a recipe; JSON is YAML, and plain words need no quotes."""
    if isinstance(value, str) and PLAIN_WORD.fullmatch(value) and value.lower() not in NO_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
