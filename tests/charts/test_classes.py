"""The charts of classes: F1 of each, and what is mistaken for what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_runs import CLASSES, METHODS, add_run, recipe_of

from workbench.analysis.group import Analysis
from workbench.charts.classes import CONFUSION_FIGURE, FIGURE
from workbench.charts.style import MOST_NAMED, row_colors
from workbench.comparison import compare
from workbench.report.pictures import svg_file


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


def test_the_axis_of_f1_ends_at_one(analysis: Analysis) -> None:
    (picture,) = FIGURE.draw(analysis)
    low, high = picture.chart.to_dict()["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert 0 <= low < high <= 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("n" * 50 + "-r16", "n" * 11 + "…" + "n" * 7 + "-r16"),
        ("\u202etxet", "\ufffdtxet"),
        ("pos\u200b", "pos\ufffd"),
        ("חדש", "\u2068חדש\u2069"),
        ("🙂 tech", "🙂 tech"),
    ],
)
def test_a_name_of_a_class_breaks_no_axis(name: str, shown: str, tmp_path: Path) -> None:
    labels = [name, "sport"] * 10
    add_run(tmp_path, recipe_of("lora"), labels=labels, predictions=labels, known=labels[:2])
    analysis = Analysis(compare([tmp_path]).groups()[0])
    matrix = CONFUSION_FIGURE.draw(analysis, confusion=["lora"])
    for picture in (*FIGURE.draw(analysis), *matrix):
        texts = re.findall(r">([^<>]+)</text>", svg_file(picture.chart))
        assert shown in texts and name not in set(texts) - {shown}
        assert repr(name)[1:-1] in str(picture.chart.to_dict()["datasets"])  # for tooltips


def test_of_many_recipes_the_best_are_drawn(tmp_path: Path) -> None:
    for number in range(MOST_NAMED + 4):
        labels = [CLASSES[i % 3] for i in range(30)]
        wrong = ["sport"] * number + labels[number:]
        add_run(tmp_path, recipe_of("lora", name=f"lora-{number}"), predictions=wrong)
    analysis = Analysis(compare([tmp_path]).groups()[0])
    (picture,) = FIGURE.draw(analysis)
    (rows,) = picture.chart.to_dict()["datasets"].values()
    assert list(dict.fromkeys(row["recipe"] for row in rows)) == analysis.labels[:MOST_NAMED]
    assert f"The best {MOST_NAMED} of {MOST_NAMED + 4} recipes are drawn." in picture.caption


def test_a_matrix_has_the_colour_of_its_method(analysis: Analysis) -> None:
    scale = row_colors(analysis.methods).to_dict()
    colors = dict(zip(scale["domain"], scale["range"], strict=True))
    for label in METHODS:
        (picture,) = CONFUSION_FIGURE.draw(analysis, confusion=[label])
        assert picture.chart.to_dict()["layer"][0]["mark"]["color"] == colors[label]
