"""Curves of a run while it trains."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from chart_rows import values

from workbench.analysis.learning_curves import running_mean
from workbench.charts.run_curves import (
    MAX_POINTS,
    SMOOTHING,
    learning_rate_curve,
    loss_curve,
    loss_curves,
    validation_curve,
)
from workbench.charts.style import HEIGHT, method_color


def steps(count: int) -> list[dict[str, Any]]:
    return [{"kind": "step", "step": n, "loss": 1 / n} for n in range(1, count + 1)]


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


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9, 0.99])
def test_the_running_mean_is_that_of_pandas(keep: float) -> None:
    losses = [3 / n + 0.3 * (n % 7) for n in range(1, 200)]
    wanted = pd.Series(losses).ewm(alpha=1 - keep, adjust=True).mean()
    assert running_mean(losses, keep) == pytest.approx(list(wanted))


def test_the_loss_is_smoothed_as_asked_beside_the_logged_one() -> None:
    chart = loss_curve(steps(50), "#123456", 0.5)
    assert chart is not None
    wanted = pd.Series([1 / n for n in range(1, 51)]).ewm(alpha=0.5, adjust=True).mean()
    assert [row["smoothed"] for row in values(chart)] == pytest.approx(list(wanted))
    layers = chart.to_dict()["layer"]
    assert [layer["encoding"]["y"]["field"] for layer in layers] == ["loss", "smoothed", "smoothed"]
    assert [t["field"] for t in layers[-1]["encoding"]["tooltip"]] == ["step", "loss", "smoothed"]
    shown = loss_curve(steps(50), "#123456", 0.0)
    assert shown is not None
    layers = shown.to_dict()["layer"]
    assert layers[0]["encoding"]["y"]["field"] == "loss"
    assert [t["field"] for t in layers[-1]["encoding"]["tooltip"]] == ["step", "loss"]


def test_a_long_run_is_as_smooth_as_a_short_one() -> None:
    """Smoothed first and thinned afterwards: else the mean would reach back over more steps."""
    chart = loss_curve(steps(4 * MAX_POINTS), smoothing=0.9)
    assert chart is not None
    logged = pd.Series([1 / n for n in range(1, 4 * MAX_POINTS + 1)])
    smooth = logged.ewm(alpha=1 - 0.9, adjust=True).mean()
    wanted = smooth.groupby(smooth.index // 4).mean()
    assert [row["smoothed"] for row in values(chart)] == pytest.approx(list(wanted))


def test_several_runs_have_a_legend_and_the_colours_of_their_methods() -> None:
    methods = {"a": "lora", "b": "prompt"}
    chart = loss_curves({"a": steps(20), "b": steps(30), "c": []}, methods, 0.9)
    assert chart is not None
    assert {row["run"] for row in values(chart)} == {"a", "b"}
    color = chart.to_dict()["layer"][0]["encoding"]["color"]
    wanted = [method_color("lora"), method_color("prompt")]
    assert (color["scale"]["domain"], color["scale"]["range"]) == (["a", "b"], wanted)
    assert color["legend"]["orient"] == "top"
    assert loss_curves({"a": []}, methods, 0.9) is None


def test_the_curves_of_a_run_have_no_colour_but_the_one_that_is_given() -> None:
    events = steps_with_parts(5)
    events = [{**row, "learning_rate": 1e-3} for row in events]
    events += [{"kind": "validation", "step": 5, "metrics": {"f1": 0.5}, "best": True}]
    others = {method_color(name) for name in ("full", "lora", "bitfit", "prefix")}
    for chart in (
        loss_curve(events, "#123456"),
        validation_curve(events, "f1", "#123456"),
        learning_rate_curve(events, "#123456"),
    ):
        drawn = json.dumps(chart.to_dict()) if chart is not None else ""
        assert "#123456" in drawn and not any(color in drawn for color in others)


def test_the_kept_state_is_the_last_best_one() -> None:
    events = [
        {"kind": "validation", "step": n, "metrics": {"accuracy": score}, "best": best}
        for n, score, best in ((10, 0.8, True), (20, 0.9, True), (30, 0.85, False))
    ]
    chart = validation_curve(events, "accuracy")
    assert chart is not None
    marked = chart.to_dict()["datasets"][chart.to_dict()["layer"][-1]["data"]["name"]]
    assert [point["step"] for point in marked] == [20]


def steps_with_parts(count: int) -> list[dict[str, Any]]:
    parts = {"classification": 1.0, "language_modelling": 4.0}
    return [{"kind": "step", "step": n + 1, "loss": 3.0, "losses": parts} for n in range(count)]


@pytest.mark.parametrize("count", [1, 5, 5000])
def test_each_part_is_drawn_beside_the_whole(count: int) -> None:
    events = steps_with_parts(count)
    chart = loss_curve(events)
    assert chart is not None
    drawn = chart.to_dict()
    assert drawn["height"] == HEIGHT
    rows = [row for dataset in drawn["datasets"].values() for row in dataset]
    for part, value in (("classification", 1.0), ("language modelling", 4.0)):
        means = [row["mean"] for row in rows if row.get("part") == part]
        assert 0 < len(means) <= MAX_POINTS
        assert means == pytest.approx([value] * len(means))


def test_one_loss_is_drawn_as_before() -> None:
    for more in ({}, {"losses": {}}, {"losses": {"a": None}}, {"losses": 3}):
        events = [{"kind": "step", "step": 1, "loss": 1.0, **more}]
        curve = loss_curve(events)
        assert curve is not None and len(curve.to_dict()["layer"]) == 1
    assert loss_curve([]) is None
