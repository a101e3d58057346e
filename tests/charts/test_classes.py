"""The charts of classes: F1 of each, and what is mistaken for what."""

from __future__ import annotations

import re

from reported_runs import CLASSES, METHODS

from workbench.analysis.group import Analysis
from workbench.charts.classes import CONFUSION_FIGURE, FIGURE


def test_every_class_has_a_dot_for_each_recipe(analysis: Analysis) -> None:
    (picture,) = FIGURE.draw(analysis)
    (rows,) = picture.chart.to_dict()["datasets"].values()
    assert {(row["recipe"], row["name"]) for row in rows} == {
        (method, name) for method in METHODS for name in CLASSES
    }
    for row in rows:
        assert 0 <= row["f1_low"] <= row["f1"] <= row["f1_high"] <= 1 and row["support"] == 10
    lowest = min((row["f1"], row["name"]) for row in rows if row["recipe"] == "prompt")
    assert f"prompt: {lowest[1]} {lowest[0]:.3f}" in picture.alt


def test_the_alt_text_of_a_matrix_names_the_most_frequent_confusion(analysis: Analysis) -> None:
    (picture,) = CONFUSION_FIGURE.draw(analysis, confusion=["prompt"])
    (cells,) = picture.chart.to_dict()["datasets"].values()
    wrong = [cell for cell in cells if cell["right"] != cell["predicted"]]
    most = max(cell["count"] for cell in wrong)
    found = re.search(r"confusions: (\w+) taken for (\w+) ([\d.]+) times", picture.alt)
    assert found and float(found[3]) == round(most, 2)
    assert {"right": found[1], "predicted": found[2], "count": most}.items() <= max(
        wrong, key=lambda cell: (cell["count"], cell["right"], cell["predicted"])
    ).items()
    assert CONFUSION_FIGURE.draw(analysis, confusion=[]) == []
