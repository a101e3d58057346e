"""What has been chosen for a new study: all of it in the address, so that nothing gets lost."""

import re
from pathlib import Path

import streamlit as st

from layout import runs_dir
from workbench.cli.new import DATA_FOLDER, RECIPES_FOLDER
from workbench.new_study import METHODS, Choices, Given

COLUMNS = ("text", "text_pair", "label", "group")
ROWS = ("drop", "merge", "keep")
"""What is done about problems of the rows."""
NOTHING = "-"
"""In the address: a column that there is none of."""


def data_folder() -> Path:
    return runs_dir().parent / DATA_FOLDER


def recipes_folder() -> Path:
    return runs_dir().parent / RECIPES_FOLDER


def put(key: str, value: str | list[str] | None) -> None:
    """Writes a choice into the address; None takes it out."""
    if value is None:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = value


def put_data(source: str) -> None:
    """Other data: what was said about the old one goes."""
    for key in ("task", "named", *COLUMNS, *ROWS):
        put(key, None)
    put("data", source or None)


def start_over(source: str) -> None:
    st.query_params.clear()
    put("data", source)


def put_task(task: str | None) -> None:
    for key in COLUMNS:
        put(key, None)
    put("task", task)


def choices(source: str) -> Choices:
    """The address as choices.

    Raises:
        UsageError: a name or method that cannot be.
    """
    asked = st.query_params
    columns = {key: None if asked.get(key) is None else _column(asked[key]) for key in COLUMNS}
    label = columns.pop("label")
    labels = label.split(",") if label and "," in label else label
    pairs = (pair.partition("=") for pair in asked.get_all("merge"))
    merged = {one: other for one, equals, other in pairs if equals}
    rows = {"unusable_rows": "drop"} if "drop" in asked else {}
    seeds = asked.get("seeds", "3")
    return Choices(
        name=asked.get("named") or free_name(source),
        source=source,
        given=Given(
            asked.get("task"), columns["text"], columns["text_pair"], labels, columns["group"]
        ),
        model=asked.get("model"),
        methods=tuple(asked.get_all("method")) or METHODS,
        seeds=tuple(range(min(100, max(1, int(seeds) if seeds.isdecimal() else 3)))),
        data={**rows, **({"merge_labels": merged} if merged else {})},
        keep_labels="keep" in asked,
    )


def _column(value: str) -> str:
    return "" if value == NOTHING else value


def free_name(source: str) -> str:
    """A name after the data that no study has yet."""
    stem = Path(source.rpartition(":")[2]).stem
    stem = re.sub(r"-[0-9a-f]{8}$", "", stem)  # what the content of an upload added
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:70] or "my-study"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    taken = (recipes_folder(), runs_dir())
    return next(n for n in names if not any((folder / n).exists() for folder in taken))
