"""Charts on the page: space for what stands around them, and the page's own colour of texts."""

from __future__ import annotations

from typing import Any

import pytest

from compare import draw
from workbench.charts.classes import class_scores, confusion_matrix

NAMES = ["a", "b", "c", "d", "entertainment"]
SCORE = {"name": "a", "f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "support": 9}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The specifications that Streamlit was given."""
    found: list[Any] = []
    monkeypatch.setattr(
        draw.st, "altair_chart", lambda chart, **_look: found.append(chart.to_dict())
    )
    return found


def test_texts_in_a_chart_have_the_colour_of_the_page_in_each_theme(drawn: list[Any]) -> None:
    draw.draw(confusion_matrix([[9, 1, 0, 0, 0]] * 5, NAMES, "#0f8a80"), "key", "words")
    assert drawn[0]["config"]["text"]["color"] == "currentColor"


def test_a_matrix_has_as_much_space_beside_it_as_its_names_take(drawn: list[Any]) -> None:
    for longest in ("c", "entertainment", "x" * 90, "x" * 200):
        names = [*NAMES[:4], longest]
        draw.draw(confusion_matrix([[9] * 5] * 5, names, "#0f8a80"), longest, "words")
    wide = [chart["width"] for chart in drawn]
    assert wide[0] < wide[1] < wide[2] == wide[3]
    two_beside_each_other = 2 * wide[1] + 30
    assert two_beside_each_other <= 738  # of a page of 768 pixels


def test_a_legend_takes_nothing_from_the_plot(drawn: list[Any]) -> None:
    for count in (1, 4, 12):
        methods = {f"lora-{i:02d}-of-a-long-name": "lora" for i in range(count)}
        chart = class_scores([SCORE | {"recipe": name} for name in methods], methods)
        draw.draw(chart, str(count), "words")
        drawn[-1]["height"] -= chart.to_dict()["height"]
    one, four, twelve = (chart["height"] for chart in drawn)
    assert four - one == 3 * draw.ENTRIES and twelve - one == 11 * draw.ENTRIES
