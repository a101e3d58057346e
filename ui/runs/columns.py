"""Columns of the table of runs that a reader adds: scores, costs and settings."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from layout import say_unknown
from workbench.analysis.records import finite, get_section, number
from workbench.comparison.configuration import read_settings
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import DataSpec, ModelSpec, TrainingSpec
from workbench.store import Run

COSTS = {
    "trainable parameters": ("parameters", "trainable", 1, "localized"),
    "peak memory, MB": ("memory", "peak_memory_bytes", 1e6, "%.0f"),
    "training time, s": ("time", "train_seconds", 1, "%.1f"),
    "tokens per second": ("time", "tokens_per_second", 1, "%.0f"),
}
SPLITS = ("test", "validation")


def pick(runs: Sequence[Run]) -> list[str]:
    """The columns that are added, which the address keeps."""
    scores = dict.fromkeys(
        f"{split} {name}"
        for split in SPLITS
        for run in runs
        for name in get_section(get_section(run.result, "metrics"), split)
    )
    options = [*scores, *COSTS, *_settings()]
    say_unknown("column", options)
    chosen: list[str] = st.multiselect(
        "More columns",
        options,
        key="column",
        bind="query-params",
        placeholder="scores, costs, settings of the recipe",
    )
    return chosen


def formats(columns: Sequence[str]) -> dict[str, Any]:
    """How those of the columns are written that hold measurements."""
    number = st.column_config.NumberColumn
    scores = {c: number(c, format="%.3f") for c in columns if c.partition(" ")[0] in SPLITS}
    return scores | {c: number(c, format=COSTS[c][3]) for c in columns if c in COSTS}


def values(run: Run, columns: Sequence[str]) -> dict[str, Any]:
    """What a run has in the chosen columns; numbers stay numbers, so that they sort."""
    return {column: _value(run, column) for column in columns}


def settings_of(run: Run) -> dict[str, Any]:
    """The settings of a run's recipe by dotted key, read once for as long as it is the same."""
    try:
        stamp = (run.path / "recipe.yaml").stat().st_mtime_ns
    except OSError:
        return {}
    return _read(run, stamp)


@st.cache_resource(
    show_spinner=False, max_entries=2000, hash_funcs={Run: lambda run: str(run.path)}
)
def _read(run: Run, stamp: int) -> dict[str, Any]:
    return read_settings(run)


@st.cache_resource(show_spinner=False)
def _settings() -> list[str]:
    """The settings that a recipe can have, by dotted key."""
    methods = (name for spec in METHOD_SPECS.values() for name in spec.model_fields)
    sections = {
        "method": methods,
        "training": TrainingSpec.model_fields,
        "model": ModelSpec.model_fields,
        "data": DataSpec.model_fields,
    }
    return list(dict.fromkeys(f"{s}.{field}" for s, fields in sections.items() for field in fields))


def _value(run: Run, column: str) -> Any:
    split, _, metric = column.partition(" ")
    if split in SPLITS:
        return number(get_section(get_section(run.result, "metrics"), split), metric)
    if column in COSTS:
        section, key, unit, _ = COSTS[column]
        found = number(get_section(run.result, section), key)
        return None if found is None else found / unit
    value = settings_of(run).get(column)
    return value if finite(value) or value is None else str(value)
