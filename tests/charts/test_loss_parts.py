"""The parts of a training loss in its curve: each named, and none where there is one loss."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.charts.run_curves import MAX_POINTS, loss_curve
from workbench.charts.style import HEIGHT


def steps(count: int) -> list[dict[str, Any]]:
    parts = {"classification": 1.0, "language_modelling": 4.0}
    return [{"kind": "step", "step": n + 1, "loss": 3.0, "losses": parts} for n in range(count)]


@pytest.mark.parametrize("count", [1, 5, 5000])
def test_each_part_is_drawn_beside_the_whole(count: int) -> None:
    events = steps(count)
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
