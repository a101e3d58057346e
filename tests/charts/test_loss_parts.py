"""The parts of a training loss in its curve: each named, and none where there is one loss."""

from __future__ import annotations

from typing import Any

import pytest

from workbench import charts
from workbench.charts.loss_parts import with_parts


def steps(count: int) -> list[dict[str, Any]]:
    parts = {"classification": 1.0, "language_modelling": 4.0}
    return [{"kind": "step", "step": n + 1, "loss": 3.0, "losses": parts} for n in range(count)]


@pytest.mark.parametrize("count", [1, 5, 5000])
def test_each_part_is_drawn_beside_the_whole(count: int) -> None:
    events = steps(count)
    chart = with_parts(charts.loss_curve(events), events)
    assert chart is not None
    drawn = chart.to_dict()
    assert drawn["height"] == charts.HEIGHT
    rows = [row for dataset in drawn["datasets"].values() for row in dataset]
    for part, value in (("classification", 1.0), ("language modelling", 4.0)):
        means = [row["mean"] for row in rows if row.get("part") == part]
        assert 0 < len(means) <= charts.MAX_POINTS
        assert means == pytest.approx([value] * len(means))


def test_one_loss_is_drawn_as_before() -> None:
    for more in ({}, {"losses": {}}, {"losses": {"a": None}}, {"losses": 3}):
        events = [{"kind": "step", "step": 1, "loss": 1.0, **more}]
        curve = charts.loss_curve(events)
        assert curve is not None and with_parts(curve, events) is curve
    assert with_parts(None, steps(3)) is None
