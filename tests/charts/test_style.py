"""Colours: one for each method, whatever the scores and the other rows are."""

from __future__ import annotations

from typing import Any

import pytest
from chart_rows import row

from workbench.charts.retention import score_against_retention
from workbench.charts.scores import score_against_cost
from workbench.charts.style import ALARM, PALETTE, row_colors, score_scale
from workbench.recipe.methods import METHOD_SPECS


def colors(methods: dict[str, str]) -> dict[str, str]:
    scale = row_colors(methods).to_dict()
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_each_method_has_a_colour_of_its_own() -> None:
    found = colors({name: name for name in METHOD_SPECS})
    assert sorted(found.values()) == sorted(set(PALETTE))


def test_the_methods_most_often_compared_are_not_grey_as_references_are_nor_red() -> None:
    for color in colors({name: name for name in ("full", "lora", "prefix", "prompt")}).values():
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        assert max(red, green, blue) - min(red, green, blue) > 60 and color != ALARM


def test_a_method_has_its_colour_whatever_rank_it_has_and_whatever_stands_beside_it() -> None:
    alone = colors({"mine": "lora"})["mine"]
    assert colors({"full": "full", "mine": "lora"})["mine"] == alone
    assert colors({"mine": "lora", "full": "full", "x": "prompt"})["mine"] == alone
    assert colors({"lora": "lora"})["lora"] == alone != colors({"lora": "full"})["lora"]


def test_rows_of_one_method_have_shades_that_do_not_follow_their_order() -> None:
    names = ["lora-r4", "lora-r8", "lora-r16", "lora-r32"]
    found = colors({name: "lora" for name in names})
    assert len(set(found.values())) == 4
    assert found == colors({name: "lora" for name in reversed(names)})


def test_names_that_are_no_methods_have_colours_too() -> None:
    assert len(set(colors({name: name for name in ("first", "second", "lora")}).values())) == 3


@pytest.mark.parametrize("scores", [[0.97, 1.0], [1.0], [0.0, 0.02], [0.0, 1.0]])
def test_an_axis_has_no_score_that_cannot_be(scores: list[float]) -> None:
    low, high = score_scale("accuracy", scores).to_dict()["domain"]
    assert 0.0 <= low <= min(scores) and max(scores) <= high <= 1.0 and low < high
    kept = {"mean": 0.9, "ci_low": 0.8, "ci_high": 0.99}
    alone = dict.fromkeys(("ci_low", "ci_high", "population_ci_low", "population_ci_high"))
    found: Any = [
        row(metrics={"accuracy": {"mean": score, **alone}}, retention=kept) for score in scores
    ]
    chart = score_against_retention(found, "accuracy")
    assert chart is not None
    for layer in chart.to_dict()["layer"][1:]:
        scale = layer["encoding"].get("y", {}).get("scale", {"domain": [0, 1]})
        assert 0.0 <= scale["domain"][0] < scale["domain"][1] <= 1.0


def test_charts_of_one_page_agree() -> None:
    rows = [row(label=name, method=name) for name in ("full", "lora")]
    charts = [score_against_cost(each, "accuracy", {}) for each in (rows, rows[::-1], rows[1:])]
    for chart in charts:
        assert chart is not None
        drawn = [layer.get("encoding", {}).get("color") for layer in chart.to_dict()["layer"]]
        scales = [color["scale"] for color in drawn if color]
        assert scales
        for each in scales:
            found = dict(zip(each["domain"], each["range"], strict=True))
            assert found["lora"] == colors({"lora": "lora"})["lora"]
