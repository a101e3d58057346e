"""Curves of a run while it trains."""

from __future__ import annotations

from typing import Any

import pytest
from chart_rows import values

from workbench.analysis.learning_curves import running_mean
from workbench.charts.run_curves import MAX_POINTS, SMOOTHING, loss_curve, validation_curve
from workbench.charts.style import HEIGHT


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
