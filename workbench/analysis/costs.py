"""What recipes cost, as measured and as forecast before the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from workbench import formatting
from workbench.analysis.records import finite, get_section, number
from workbench.comparison.result import Group

TRAINABLE, PEAK = "trainable_parameters", "peak_memory_bytes"


@dataclass(frozen=True)
class Cost:
    """One of the costs of a row: its name, how it is written, and the title of its axis."""

    name: str
    text: Callable[[float | None], str]
    axis: str


COSTS = {
    TRAINABLE: Cost("trainable parameters", formatting.count, "trainable parameters"),
    PEAK: Cost("peak memory", formatting.size, "peak memory"),
    "train_seconds": Cost("training time", formatting.duration, "training time, seconds"),
    "adapter_bytes": Cost("adapter size", formatting.size, "adapter size"),
}
"""What a row costs, by its key in a row."""

COMPONENTS = {
    "weights_bytes": "weights",
    "gradients_bytes": "gradients",
    "optimizer_bytes": "optimizer",
    "activations_bytes": "activations",
}
"""What memory of training is made of, by its key in a record."""

FORECASTS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    PEAK: ("peak memory", formatting.size),
    "seconds_per_step": ("time per step", formatting.duration),
    "adapter_bytes": ("adapter size", formatting.size),
}
"""What is forecast before a run, by its key: its name, and how it is written."""


def memory_rows(group: Group) -> list[dict[str, Any]]:
    """For each row its measured peak and the means over seeds of the components, in bytes.

    ``forecast`` holds the same as it was predicted before the run, where the record has it. Rows
    that ran on different machines have no mean peak, as in the comparison.
    """
    found = []
    for row, sample in zip(group.rows, group.samples, strict=True):
        records = [run.result for run in sample.runs]
        measured = [get_section(get_section(record, "memory"), "breakdown") for record in records]
        forecasts = [get_section(record, "forecast") for record in records]
        predicted = [get_section(forecast, "memory") for forecast in forecasts]
        pieces = {key: mean_of(predicted, key) for key in COMPONENTS}
        # A measurement has what libraries take among the activations.
        runtime, activations = mean_of(predicted, "runtime_bytes"), pieces["activations_bytes"]
        if runtime is not None and activations is not None:
            pieces["activations_bytes"] = activations + runtime
        found.append(
            {"label": row["label"], PEAK: row["peak_memory_bytes"]}
            | {key: mean_of(measured, key) for key in COMPONENTS}
            | {"forecast": {PEAK: mean_of(forecasts, PEAK)} | pieces}
        )
    return found


def forecast_rows(group: Group) -> list[dict[str, Any]]:
    """For each row with a forecast its ``label``, and by key of ``FORECASTS`` a pair: what was
    forecast and what was measured, means over seeds, None where either is not there."""
    found = []
    for row, sample in zip(group.rows, group.samples, strict=True):
        forecasts = [get_section(run.result, "forecast") for run in sample.runs]
        pace = row["steps_per_second"]
        measured = {
            PEAK: row["peak_memory_bytes"],
            "seconds_per_step": 1 / pace if pace else None,
            "adapter_bytes": row["adapter_bytes"],
        }
        pairs = {key: (mean_of(forecasts, key), value) for key, value in measured.items()}
        if any(expected is not None for expected, _ in pairs.values()):
            found.append({"label": row["label"], **pairs})
    return found


def forecast_error(expected: object, measured: object) -> float | None:
    """How far off a forecast was, as a share of what was measured."""
    if not finite(expected) or not finite(measured) or not measured:
        return None
    return (expected - measured) / measured


def mean_of(records: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """The mean of a number over the records that have it."""
    values = [value for record in records if (value := number(record, key)) is not None]
    return fmean(values) if values else None
