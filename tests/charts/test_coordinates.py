"""Scores and costs on parallel axes."""

from __future__ import annotations

from chart_rows import row, values

from workbench.charts.coordinates import parallel_coordinates


def test_parallel_axes_have_the_better_end_on_top() -> None:
    costs = {"peak_memory_bytes": None, "train_seconds": 2.0}
    rows = [
        row(label="a", trainable_parameters=10, adapter_bytes=40, **costs),
        row(label="b", trainable_parameters=1000, adapter_bytes=80, **costs),
    ]
    rows[1]["metrics"] = {"accuracy": {"mean": 0.99}}
    chart = parallel_coordinates(rows, ["accuracy"])
    assert chart is not None
    heights = {(r["axis"], r["label"]): r["height"] for r in values(chart) if "label" in r}
    # Memory is absent and time the same: neither is an axis.
    assert heights == {
        ("accuracy", "a"): 0.0, ("accuracy", "b"): 1.0, ("trainable parameters", "a"): 1.0,
        ("trainable parameters", "b"): 0.0, ("adapter size", "a"): 1.0, ("adapter size", "b"): 0.0,
    }  # fmt: skip
    assert parallel_coordinates(rows[:1], ["accuracy"]) is None
