"""Compare with runs that do not fit together: none is ranked as if it did, and no tab breaks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from opening import open_view, texts, written
from reported_runs import METHODS, add_run, add_study, recipe_of
from streamlit.testing.v1 import AppTest

from workbench.store import read_json

VIEWS = ("Scores", "Costs", "Curves", "Classes", "Disagreements", "Recipes", "Download")


def said(app: AppTest) -> str:
    """What the page says as a reader sees it."""
    return re.sub(r"[\\\u2060]", "", texts(app))


def change_scores(folder: Path, pattern: str, **scores: float | None) -> None:
    """Rewrites the test scores of some runs."""
    for path in folder.glob(pattern):
        record = read_json(path / "result.json") or {}
        record["metrics"]["test"] = scores
        (path / "result.json").write_text(json.dumps(record))  # which may hold NaN, unlike ours


@pytest.mark.parametrize("view", VIEWS)
def test_one_run_is_shown_and_nothing_is_claimed_of_it(view: str, folder: Path) -> None:
    add_run(folder, recipe_of("lora"), 0)
    app = open_view("compare", view=view)
    if view == "Scores":
        row = written(app).set_index("recipe").loc["lora"]
        assert "±" not in row["accuracy"] and not [name for name in row.index if "Δ" in name]
        assert "one seed" in said(app)
        assert "is better" not in said(app)


def test_a_score_that_is_not_there_is_no_zero_and_no_winner(folder: Path) -> None:
    add_study(folder)
    change_scores(folder, "news/prompt-*", accuracy=None, f1_macro=0.5)
    app = open_view("compare", view="Scores")
    table = written(app).set_index("recipe")
    assert table.loc["prompt", "accuracy"] == "–"
    assert table.loc["prompt", "Pareto"] in ("–", "") and table.loc["prompt", "Δ vs full"] == "–"
    assert list(table.index)[-2:] == ["prompt", "majority class"]  # rows with a score come first
    assert not [t for t in app.text if "prompt" in t.value and "95% interval" in t.value]
    for view in VIEWS:
        open_view("compare", view=view)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_leaves_its_run_out(value: float, folder: Path) -> None:
    add_study(folder)
    change_scores(folder, "news/prompt-*", accuracy=value, f1_macro=0.5)
    app = open_view("compare", view="Scores")
    assert set(app.dataframe[0].value["recipe"]) == {"full", "lora", "majority class"}
    left_out = [text.value for text in app.text if "is left out" in text.value]
    assert len(left_out) == 3 and all("accuracy" in text for text in left_out), left_out


def test_a_seed_without_a_score_is_left_out_of_the_mean_and_named(folder: Path) -> None:
    add_study(folder)
    change_scores(folder, "news/prompt-s0-*", accuracy=None, f1_macro=0.5)
    app = open_view("compare", view="Scores")
    assert "accuracy is absent, not zero, in prompt seed 0" in said(app)


def test_what_did_not_finish_is_left_out_and_counted(folder: Path) -> None:
    add_study(folder)
    for state in ("failed", "stopped"):
        add_run(folder, recipe_of("lora", name=f"lora-{state}"), 0, state=state)
    app = open_view("compare", view="Scores")
    assert set(app.dataframe[0].value["recipe"]) == {*METHODS, "majority class"}
    assert re.search(r"2 .*left out|left out.*2", said(app)), said(app)


def test_another_metric_another_data_set_and_other_seeds_are_told(folder: Path) -> None:
    add_study(folder)
    other = recipe_of("lora", "reviews", data={"source": "asset:bbc-headlines"})
    add_run(folder, other, 5, metrics={"f1_macro": 0.99}, comparability={"data": "another"})
    app = open_view("compare", view="Scores", studies="news")
    app.multiselect(key="studies").set_value(["news", "reviews"]).run()
    assert not app.exception
    assert len(app.header) == 2 and "Not comparable with the other groups" in said(app)
    first, second = (app.dataframe[i].value for i in (0, 2))  # one pair between them
    assert list(second["recipe"]) == ["reviews/lora", "majority class"] and "news/lora" in set(
        first["recipe"]
    )
    assert not [name for name in second.columns if "Δ" in name]
    assert "group 2 has no full: no differences are shown there" in said(app)
    assert [each.value for each in app.subheader].count("Conclusions") == 1
    add_run(folder, recipe_of("full"), 7)
    again = said(open_view("compare", view="Scores", studies="news"))
    assert "different seeds: lora and prompt with 0, 1 and 2; full with 0, 1, 2 and 7" in again
