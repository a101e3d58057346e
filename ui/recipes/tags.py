"""A list of words, such as layers, labels or columns, as tags: chosen, or typed one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

Schema = Mapping[str, Any]


def is_list(choices: Sequence[Schema]) -> bool:
    """Whether a value is a list of words, or one word in its place."""
    lists = [each for each in choices if each.get("type") == "array"]
    words = all(each.get("type") == "string" for each in choices if each not in lists)
    return len(lists) == 1 and words and lists[0].get("items", {}).get("type") == "string"


def choose(
    start: Any, nullable: bool, schema: Schema, *, key: str, placeholder: str, **about: Any
) -> Any:
    """The widget; returns a list, the one word that the recipe takes instead, or None for none."""
    choices = schema["anyOf"]
    items = next(each["items"] for each in choices if each.get("type") == "array")
    alone = [each for each in choices if each.get("type") == "string"]
    constants = [each["const"] for each in alone if "const" in each]
    shown = [start] if isinstance(start, str) else list(start or [])
    chosen: list[str] = st.multiselect(
        options=list(dict.fromkeys([*shown, *items.get("enum", []), *constants])),
        default=shown,
        key=key,
        accept_new_options="enum" not in items,
        placeholder=placeholder,
        **about,
    )
    if not chosen:
        return None if nullable or alone else []
    one = chosen[0] if len(chosen) == 1 else None
    if one is not None and alone and (one in constants or len(constants) < len(alone)):
        return one
    return chosen
