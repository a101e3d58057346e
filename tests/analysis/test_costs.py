"""Forecast and measurement of a run, as every page reads them."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.analysis.costs import error, forecast_lines, forecast_of
from workbench.analysis.tables import in_one_unit
from workbench.comparison.table import Column, amount
from workbench.formatting import count, duration, score, size

RESULT: dict[str, Any] = {
    "memory": {"peak_memory_bytes": 2000, "breakdown": {"activations_bytes": 100}},
    "time": {"steps_per_second": 2.0, "train_seconds": 60.0},
    "adapter_bytes": 1000,
    "forecast": {
        "peak_memory_bytes": 2200,
        "memory": {"activations_bytes": 60, "runtime_bytes": 40},
        "adapter_bytes": 1000,
        "seconds_per_step": 0.4,
    },
}


def test_what_libraries_take_is_among_the_activations() -> None:
    assert forecast_of(RESULT)["activations_bytes"] == 100
    alone = {"forecast": {"memory": {"activations_bytes": 60}}}
    assert forecast_of(alone)["activations_bytes"] == 60


def test_lines_have_what_was_both_forecast_and_measured() -> None:
    assert forecast_lines(RESULT) == [
        ("peak memory", "2.2 kB", "2 kB", "+10.0%"),
        ("activations", "100 B", "100 B", "exact"),
        ("adapter size", "1 kB", "1 kB", "exact"),
        ("time per step", "0.40 s", "0.50 s", "-20.0%"),
    ]
    assert forecast_lines({"forecast": {"peak_memory_bytes": "many"}, "memory": 3}) == []


def test_an_error_is_a_share_of_the_measurement() -> None:
    assert error(None, 1.0) == error(1.0, None) == error(1.0, 0.0) == "–"
    assert error(0.0, 0.0) == "exact"
    assert error(166.99, 167.0) == error(167.01, 167.0) == "+0.0%"


@pytest.mark.parametrize(
    ("text", "values", "header", "shown"),
    [
        (size, [38_400, 90_900_000], "amount, MB", ["0.0384", "90.9"]),
        (size, [38_400, 1_190_000], "amount, kB", ["38.4", "1,190"]),
        (size, [350e6, 1.2e9], "amount, MB", ["350", "1,200"]),
        (duration, [0.042, 8.41, 125.0], "amount, s", ["0.0420", "8.41", "125"]),
        (duration, [7200.0, 600.0], "amount, min", ["120", "10"]),
        (count, [75_653, 22_715_141], "amount", ["75,653", "22,715,141"]),
        (score, [0.5], "amount", ["0.500"]),
    ],
)
def test_a_column_of_amounts_has_one_unit_at_its_head(
    text: Any, values: list[float], header: str, shown: list[str]
) -> None:
    column = in_one_unit(Column("amount", [amount(value, text) for value in values]))
    assert [cell.value for cell in column.cells] == values
    assert (column.header, [cell.text for cell in column.cells]) == (header, shown)
