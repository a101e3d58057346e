"""Charts from records: what is drawn, and None rather than an empty frame."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.analysis.learning_curves import running_mean
from workbench.charts.coordinates import parallel_coordinates
from workbench.charts.curves import seed_curves
from workbench.charts.memory import memory_bars
from workbench.charts.run_curves import MAX_POINTS, SMOOTHING, loss_curve, validation_curve
from workbench.charts.scores import score_against_cost


def steps(count: int) -> list[dict[str, Any]]:
    return [{"kind": "step", "step": n, "loss": 1 / n} for n in range(1, count + 1)]


def values(chart: Any) -> list[dict[str, Any]]:
    """Every row that a chart draws."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def row(**more: Any) -> dict[str, Any]:
    score = {"mean": 0.95, "ci_low": 0.94, "ci_high": 0.96, "n": 3}
    return {"label": "lora", "study": "news", "method": "lora", "seeds": [0, 1, 2],
            "metrics": {"accuracy": score}, "trainable_parameters": 75_653, **more}  # fmt: skip


def test_the_loss_keeps_its_mean_when_it_is_thinned() -> None:
    chart = loss_curve(steps(5000))
    assert chart is not None
    drawn = values(chart)
    assert len(drawn) <= MAX_POINTS
    assert drawn[-1]["step"] == 5000
    mean = sum(point["loss"] for point in drawn) / len(drawn)
    assert mean == pytest.approx(sum(1 / n for n in range(1, 5001)) / 5000, rel=0.02)


def test_what_is_not_a_number_is_left_out() -> None:
    broken = [{"kind": "step", "step": 1, "loss": float("nan")}, {"kind": "step"}, {"loss": 1}]
    assert loss_curve(broken) is None
    chart = loss_curve([*broken, *steps(2)])
    assert chart is not None
    assert [point["step"] for point in values(chart)] == [1, 2]
    wrong = [{"kind": "validation", "step": 1, "metrics": 3}, {"kind": "validation"}]
    assert validation_curve(wrong, "accuracy") is None


def test_the_running_mean_starts_at_the_first_value() -> None:
    assert running_mean([2.0, 2.0, 2.0], SMOOTHING) == pytest.approx([2.0, 2.0, 2.0])
    assert running_mean([4.0], SMOOTHING)[0] == pytest.approx(4.0)
    assert running_mean([4.0, 2.0], SMOOTHING)[1] == pytest.approx(2.947, abs=1e-3)


def test_the_kept_state_is_the_last_best_one() -> None:
    events = [
        {"kind": "validation", "step": n, "metrics": {"accuracy": score}, "best": best}
        for n, score, best in ((10, 0.8, True), (20, 0.9, True), (30, 0.85, False))
    ]
    chart = validation_curve(events, "accuracy")
    assert chart is not None
    marked = chart.to_dict()["datasets"][chart.to_dict()["layer"][-1]["data"]["name"]]
    assert [point["step"] for point in marked] == [20]


def test_scores_have_their_interval_and_near_references_a_rule() -> None:
    references = {"TF-IDF": 0.945, "majority class": 0.2}
    chart = score_against_cost([row()], "accuracy", references)
    assert chart is not None
    drawn = values(chart)
    point = next(r for r in drawn if r.get("label") == "lora")
    assert (point["low"], point["high"], point["cost"]) == (0.94, 0.96, 75_653)
    assert {r["name"] for r in drawn if "name" in r} == {"TF-IDF"}
    assert chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"


def test_one_seed_is_a_point_without_interval() -> None:
    alone = {"accuracy": {"mean": 0.95, "ci_low": None, "ci_high": None, "n": 1}}
    chart = score_against_cost([row(metrics=alone)], "accuracy", {})
    assert chart is not None
    (point,) = (r for r in values(chart) if "low" in r)
    assert point["low"] == point["high"] == 0.95


@pytest.mark.parametrize("broken", [{"metrics": {}}, {"trainable_parameters": 0}])
def test_nothing_to_draw_is_no_chart(broken: dict[str, Any]) -> None:
    assert score_against_cost([row(**broken)], "accuracy", {}) is None


def test_memory_is_stacked_by_component_with_the_peak_apart() -> None:
    bar = {"label": "lora", "weights_bytes": 90, "gradients_bytes": 1, "optimizer_bytes": None,
           "activations_bytes": 100, "peak_memory_bytes": 210}  # fmt: skip
    chart = memory_bars([bar])
    assert chart is not None
    drawn = values(chart)
    assert {r["part"]: r["bytes"] for r in drawn if "part" in r} == {
        "weights": 90, "gradients": 1, "activations": 100
    }  # fmt: skip
    assert [r["peak"] for r in drawn if "peak" in r] == [210]
    assert memory_bars([{"label": "lora", "peak_memory_bytes": None}]) is None


def test_the_forecast_is_a_bar_of_its_own() -> None:
    bar = {"label": "lora", "weights_bytes": 90, "peak_memory_bytes": 210}
    bar |= {"forecast": {"weights_bytes": 91, "peak_memory_bytes": 200}}
    chart = memory_bars([bar])
    assert chart is not None
    drawn = values(chart)
    assert {(r["which"], r["bytes"]) for r in drawn if "bytes" in r} == {
        ("measured", 90), ("forecast", 91)
    }  # fmt: skip
    assert {(r["which"], r["peak"]) for r in drawn if "peak" in r} == {
        ("measured", 210), ("forecast", 200)
    }  # fmt: skip


def test_the_line_joins_what_nothing_beats_and_the_area_is_memory() -> None:
    rows = [row(label=name, trainable_parameters=n, peak_memory_bytes=n)
            for name, n in (("a", 10), ("b", 100), ("c", 1000))]  # fmt: skip
    chart = score_against_cost(rows, "accuracy", {}, front=["a", "c"], bubbles=True)
    assert chart is not None
    spec = chart.to_dict()
    line = spec["layer"][0]
    assert line["mark"]["interpolate"] == "step-after"
    assert [r["label"] for r in spec["datasets"][line["data"]["name"]]] == ["a", "c"]
    assert any("size" in layer["encoding"] for layer in spec["layer"])
    assert score_against_cost(rows, "accuracy", {}, cost="train_seconds") is None


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


def test_logarithmic_axes_leave_out_what_is_not_above_zero() -> None:
    band = [{"label": "a", "x": x, "mean": 1.0, "low": low, "high": 2.0, "seeds": 2}
            for x, low in ((0, 0.5), (1, 0.5), (2, 0.0))]  # fmt: skip
    for log_x, log_y, kept in ((False, False, 3), (True, False, 2), (True, True, 1)):
        chart = seed_curves(band, "loss", ["a"], log_x=log_x, log_y=log_y)
        assert chart is not None and len(values(chart)) == kept
    assert seed_curves([], "loss", ["a"]) is None
