"""Score against retention: both intervals, and no chart where nothing was measured."""

from __future__ import annotations

from typing import Any

from chart_rows import row, values

from workbench.charts.retention import score_against_retention

KEPT: dict[str, Any] = {
    "mean": 0.8,
    "ci_low": 0.7,
    "ci_high": 0.9,
    "n": 3,
    "values": [0.8, 0.8, 0.8],
    "measure": "linear CKA",
    "perplexity": None,
    "base_perplexity": None,
}


def test_a_recipe_is_a_point_with_both_intervals_beside_the_line_of_the_base() -> None:
    alone = KEPT | {"mean": 1.0, "ci_low": None, "ci_high": None}
    rows: Any = [row(retention=KEPT), row(label="head", retention=alone)]
    chart = score_against_retention(rows, "accuracy")
    assert chart is not None
    lora, head = (r for r in values(chart) if "label" in r)
    assert (lora["retention_low"], lora["retention_high"]) == (0.7, 0.9)
    assert (lora["low"], lora["high"]) == (0.94, 0.96)
    assert head["retention_low"] == head["retention_high"] == 1.0
    rule = chart.to_dict()["layer"][0]
    assert rule["encoding"]["x"] == {"datum": 1.0}


def test_rows_without_retention_are_left_out_and_without_any_there_is_no_chart() -> None:
    rows: Any = [row(retention=None), row(label="full", retention=KEPT)]
    chart = score_against_retention(rows, "accuracy")
    assert chart is not None
    assert [r["label"] for r in values(chart) if "label" in r] == ["full"]
    assert score_against_retention(rows[:1], "accuracy") is None
    assert score_against_retention(rows, "f1") is None
