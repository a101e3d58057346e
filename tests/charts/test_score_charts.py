"""A metric against a cost: what is drawn, and None rather than an empty frame."""

from __future__ import annotations

import re
from typing import Any

import pytest
from chart_rows import row, values

from workbench.charts.scores import score_against_cost
from workbench.charts.style import MOST_NAMED
from workbench.report.pictures import svg_file


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


def test_the_axis_of_an_accuracy_ends_at_0_and_1() -> None:
    wide = {"accuracy": {"mean": 0.5, "ci_low": 0.02, "ci_high": 0.99, "n": 2}}
    chart = score_against_cost([row(metrics=wide)], "accuracy", {})
    assert chart is not None
    domains = [
        layer["encoding"]["y"]["scale"]["domain"]
        for layer in chart.to_dict()["layer"]
        if "scale" in layer["encoding"]["y"]
    ]
    assert domains and all(domain == [0.0, 1.0] for domain in domains)


def test_bars_are_over_seeds_and_texts_where_these_are_known() -> None:
    both = {"population_ci_low": 0.9, "population_ci_high": 0.97}
    score = {"mean": 0.95, "ci_low": 0.94, "ci_high": 0.96, "n": 3, **both}
    chart = score_against_cost([row(metrics={"accuracy": score})], "accuracy", {})
    point = next(r for r in values(chart) if r.get("label") == "lora")
    assert (point["low"], point["high"]) == (0.9, 0.97)


def test_rows_and_references_stand_with_their_scores() -> None:
    chart = score_against_cost([row()], "accuracy", {"TF-IDF": 0.945})
    assert chart is not None
    found = re.findall(r'fill="([^"]+)"[^<>]*>([^<>]+)</text>', svg_file(chart))
    inks = {text: ink for ink, text in found}
    assert inks["lora 0.950"] == inks["TF-IDF 0.945"] == "#1d2327", "the colour of texts, readable"


def spread(count: int) -> list[dict[str, Any]]:
    """Rows that are far enough from each other for all names."""
    return [
        row(
            label=f"lora-{n}",
            trainable_parameters=10 ** (n % 4),
            metrics={"accuracy": {"mean": 0.1 + n / 80, "ci_low": None, "ci_high": None, "n": 1}},
        )
        for n in range(count)
    ]


def test_of_many_rows_some_are_named_those_of_the_front_first() -> None:
    chart = score_against_cost(spread(60), "accuracy", {}, front=["lora-59"])
    assert chart is not None
    named = [point["label"] for point in values(chart) if point.get("side")]
    assert len(named) == MOST_NAMED and "lora-59" in named


def test_no_name_is_written_over_another_and_what_matters_most_is_named() -> None:
    alike = [row(label=f"lora-{n}") for n in range(9)]
    far = row(label="full", trainable_parameters=22_000_000)
    chart = score_against_cost([*alike, far], "accuracy", {}, front=["lora-8", "full"])
    assert chart is not None
    sides = {point["label"]: point["side"] for point in values(chart) if point.get("side")}
    assert {"lora-8", "full"} <= sides.keys()
    together = [side for label, side in sides.items() if label != "full"]
    assert len(together) == len(set(together)) <= 4
    texts = re.findall(r">(lora-[^<>]+|full[^<>]+)</text>", svg_file(chart))
    assert len(texts) == len(sides)
