"""What recipes cost, as measured and as forecast before the run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench import formatting
from workbench.analysis.records import get_section, number
from workbench.comparison.result import Group
from workbench.comparison.rows import Sample, mean_of

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

COMPONENTS = {
    "weights_bytes": "weights",
    "gradients_bytes": "gradients",
    "optimizer_bytes": "optimizer",
    "activations_bytes": "activations",
}

FORECASTS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    PEAK: ("peak memory", formatting.size),
    **{key: (name, formatting.size) for key, name in COMPONENTS.items()},
    "adapter_bytes": ("adapter size", formatting.size),
    "seconds_per_step": ("time per step", formatting.duration),
    "train_seconds": ("training time", formatting.duration),
}

Numbers = dict[str, float | None]


def forecast_of(result: Mapping[str, Any]) -> Numbers:
    """What was forecast before a run, by key of ``FORECASTS``."""
    forecast = get_section(result, "forecast")
    memory = get_section(forecast, "memory")
    found = {key: number(memory if key in COMPONENTS else forecast, key) for key in FORECASTS}
    # A measurement has what libraries take among the activations.
    runtime, activations = number(memory, "runtime_bytes"), found["activations_bytes"]
    if runtime is not None and activations is not None:
        found["activations_bytes"] = activations + runtime
    return found


def measurement_of(result: Mapping[str, Any]) -> Numbers:
    memory, time = get_section(result, "memory"), get_section(result, "time")
    if time.get("measured_beside"):  # a forecast is of a run that has its device for itself
        time = {}
    pace = number(time, "steps_per_second")
    return {
        PEAK: number(memory, PEAK),
        **{key: number(get_section(memory, "breakdown"), key) for key in COMPONENTS},
        "adapter_bytes": number(result, "adapter_bytes"),
        "seconds_per_step": 1 / pace if pace else None,
        "train_seconds": number(time, "train_seconds"),
    }


def forecast_lines(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What a run kept of its forecast: name, forecast, measurement and error as text."""
    expected, measured = forecast_of(result), measurement_of(result)
    return [
        (name, text(expected[key]), text(measured[key]), error(expected[key], measured[key]))
        for key, (name, text) in FORECASTS.items()
        if expected[key] is not None and measured[key] is not None
    ]


def error(expected: float | None, measured: float | None) -> str:
    """How far off a forecast was, as a share of what was measured."""
    if expected is None or measured is None:
        return formatting.ABSENT
    if expected == measured:
        return "exact"
    return f"{100 * (expected / measured - 1):+z.1f}%" if measured else formatting.ABSENT


def memory_rows(group: Group) -> list[dict[str, Any]]:
    """Measured peak and components of each row in bytes, means over seeds; under ``forecast`` the
    same as forecast. Rows that ran on different machines have no mean peak."""
    found = []
    for row, sample in zip(group.rows, group.samples, strict=True):
        measured, expected = _means(sample, measurement_of), _means(sample, forecast_of)
        bar: dict[str, Any] = {"label": row["label"], PEAK: row["peak_memory_bytes"]}
        bar |= {key: measured[key] for key in COMPONENTS}
        found.append(bar | {"forecast": {key: expected[key] for key in (PEAK, *COMPONENTS)}})
    return found


def forecast_rows(group: Group) -> list[dict[str, Any]]:
    """For each row with a forecast its ``label``, and for peak, step and adapter forecast and
    measured, means over seeds."""
    found = []
    for row, sample in zip(group.rows, group.samples, strict=True):
        expected, pace = _means(sample, forecast_of), row["steps_per_second"]
        measured = {
            PEAK: row["peak_memory_bytes"],
            "seconds_per_step": 1 / pace if pace else None,
            "adapter_bytes": row["adapter_bytes"],
        }
        if any(expected[key] is not None for key in measured):
            pairs = {key: (expected[key], value) for key, value in measured.items()}
            found.append({"label": row["label"], **pairs})
    return found


def _means(sample: Sample, read: Callable[[Mapping[str, Any]], Numbers]) -> Numbers:
    """Each number's mean over the runs that have it."""
    records = [read(run.result) for run in sample.runs]
    return {key: mean_of([record[key] for record in records]) for key in FORECASTS}
