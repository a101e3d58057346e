"""Learning curves over seeds."""

from __future__ import annotations

from typing import Any

from chart_rows import values

from workbench.charts.curves import seed_curves
from workbench.charts.run_curves import validation_curve


def test_logarithmic_axes_leave_out_what_is_not_above_zero() -> None:
    band = [{"label": "a", "x": x, "mean": 1.0, "low": low, "high": 2.0, "seeds": 2}
            for x, low in ((0, 0.5), (1, 0.5), (2, 0.0))]  # fmt: skip
    for log_x, log_y, kept in ((False, False, 3), (True, False, 2), (True, True, 1)):
        chart = seed_curves(band, "loss", {"a": "lora"}, log_x=log_x, log_y=log_y)
        assert chart is not None and len(values(chart)) == kept
    assert seed_curves([], "loss", {"a": "lora"}) is None


def bands(*xs: int) -> list[dict[str, Any]]:
    return [
        {"label": label, "x": x, "mean": 0.97, "low": 0.93, "high": 1.0, "seeds": 3}
        for label in ("a", "b")
        for x in xs
    ]


def marks(chart: Any) -> list[str]:
    return [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]


def test_two_validations_are_dots_with_intervals_and_no_curve() -> None:
    methods = {"a": "lora", "b": "full"}
    curve = seed_curves(bands(10, 20, 30), "accuracy", methods, points=True, metric="accuracy")
    dots = seed_curves(bands(10, 20), "accuracy", methods, points=True, metric="accuracy")
    assert marks(curve) == ["area", "line"] and marks(dots) == ["rule", "point"]
    assert dots is not None
    beside = dots.to_dict()["layer"][1]["encoding"]["xOffset"]
    assert beside["field"] == "label"
    apart = [point | {"x": point["x"] + (point["label"] == "b")} for point in bands(10, 20)]
    assert marks(seed_curves(apart, "accuracy", methods, points=True)) == ["rule", "point"]
    assert marks(seed_curves(bands(10, 20), "loss", methods)) == ["area", "line"]


def test_the_axis_of_a_bounded_score_stays_within_its_bounds() -> None:
    chart = seed_curves(bands(10, 20, 30), "accuracy", {"a": "lora"}, metric="accuracy")
    events = [
        {"kind": "validation", "step": step, "metrics": {"accuracy": score}}
        for step, score in ((1, 0.9), (2, 1.0), (3, 0.99))
    ]
    for found in (chart, validation_curve(events, "accuracy")):
        assert found is not None
        low, high = found.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
        assert 0 <= low < 0.93 and high == 1.0
