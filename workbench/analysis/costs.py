"""What a row costs: how each cost is named, and its memory as measured and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.analysis.records import number, part
from workbench.comparison.rows import Sample

BYTES = "format(datum.value, '~s') + 'B'"
"""Vega's expression for a label that counts bytes."""


@dataclass(frozen=True)
class Cost:
    """One of the costs of a row: how its axis is called, and its number in a tooltip."""

    title: str
    format: str
    labels: str | None = None


COSTS = {
    "trainable_parameters": Cost("trainable parameters", ","),
    "peak_memory_bytes": Cost("peak memory", ".3s", BYTES),
    "train_seconds": Cost("training time, seconds", ".3~s"),
    "adapter_bytes": Cost("adapter file", ".3s", BYTES),
}
"""What a row costs, by its name in a row."""

COMPONENTS = ("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes")
PEAK = "peak_memory_bytes"


def memory_rows(
    rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample]
) -> list[dict[str, Any]]:
    """For each row its measured peak and the means over seeds of the components, in bytes.

    ``forecast`` holds the same as it was foretold before the run, where the record has it. Rows
    that ran on different machines have no mean peak, as in the comparison.
    """
    runs = {sample.label: sample.runs for sample in samples}
    found = []
    for row in rows:
        records = [run.result for run in runs[row["label"]]]
        pieces = [part(part(record, "memory"), "breakdown") for record in records]
        foretold = [part(record, "forecast") for record in records]
        bar: dict[str, Any] = {"label": row["label"], PEAK: row["peak_memory_bytes"]}
        bar |= {key: mean_of(pieces, key) for key in COMPONENTS}
        bar["forecast"] = {PEAK: mean_of(foretold, PEAK)}
        bar["forecast"] |= _foretold_pieces([part(each, "memory") for each in foretold])
        found.append(bar)
    return found


def _foretold_pieces(foretold: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The components of a forecast; a measurement has what libraries take among activations."""
    found = {key: mean_of(foretold, key) for key in COMPONENTS}
    runtime = mean_of(foretold, "runtime_bytes")
    if runtime is not None and found["activations_bytes"] is not None:
        found["activations_bytes"] += runtime
    return found


def forecast_rows(
    rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample]
) -> list[dict[str, Any]]:
    """For each row the forecast and the measurement of what it cost, means over seeds.

    ``label`` and for each of ``peak_memory_bytes``, ``seconds_per_step`` and ``adapter_bytes`` a
    pair; None where either is not there. Empty where nothing was forecast.
    """
    runs = {sample.label: sample.runs for sample in samples}
    found = []
    for row in rows:
        foretold = [part(run.result, "forecast") for run in runs[row["label"]]]
        pace = row["steps_per_second"]
        measured = {
            PEAK: row["peak_memory_bytes"],
            "seconds_per_step": 1 / pace if pace else None,
            "adapter_bytes": row["adapter_bytes"],
        }
        pairs = {key: (mean_of(foretold, key), value) for key, value in measured.items()}
        if any(expected is not None for expected, _ in pairs.values()):
            found.append({"label": row["label"], **pairs})
    return found


def mean_of(records: Sequence[dict[str, Any]], key: str) -> float | None:
    """The mean of a number over the records that have it."""
    values = [value for record in records if (value := number(record, key)) is not None]
    return sum(values) / len(values) if values else None
