"""Several selected runs, what people note of runs, and columns that they add."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from pandas.api.types import is_numeric_dtype
from streamlit.testing.v1 import AppTest

from workbench.recipe.methods import LoRA
from workbench.store import read_run
from workbench.store.notes import Notes, read_notes, write_notes


def open_several(*paths: Path) -> AppTest:
    return open_view("runs", picked=[f"{path.parent.name}/{path.name}" for path in paths])


def test_several_runs_are_seen_together_also_while_they_run(runs: RunsFolder) -> None:
    paths = [runs.add(news_recipe("lora"), 0), runs.add(news_recipe("prompt"), 0, "running")]
    app = open_several(*paths)
    assert not app.exception
    assert "2 runs selected" in texts(app)
    table = app.dataframe[1].value
    assert table.loc["method.name"].to_dict() == {
        "lora, seed 0": "lora",
        "prompt, seed 0": "prompt",
    }
    assert table.loc["method.r"].dropna().to_dict() == {"lora, seed 0": "8"}
    charts = [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]
    titles = [chart["layer"][0]["encoding"]["y"]["title"] for chart in charts]
    assert titles == ["training loss", "validation accuracy"]
    (link,) = [e.proto for e in app.get("page_link") if "Compare the" in e.proto.label]
    assert link.label == "Compare the 1 result" and paths[0].name in link.query_string


def test_runs_that_are_the_same_differ_in_their_seed_alone(runs: RunsFolder) -> None:
    paths = [runs.add(news_recipe("lora"), seed) for seed in range(2)]
    assert "Nothing but the seed" in texts(open_several(*paths))


def test_what_is_not_there_is_said_and_the_others_are_shown(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("runs", picked=[f"news/{path.name}", "news/none-s0-00000000", "../../etc"])
    said = texts(app)
    assert "1 run selected" in said and "../../etc" in said and "none-s0-00000000" in said


def test_deleting_several_names_them_and_asks_again(runs: RunsFolder) -> None:
    ended = [runs.add(news_recipe("lora"), seed) for seed in range(2)]
    live, other = runs.add(news_recipe("full"), 0, "running"), runs.add(news_recipe("full"), 1)
    app = open_several(*ended, live)
    said = texts(app)
    assert all(f"• news/{path.name}" in said for path in ended)
    assert app.button(key="delete-several").disabled
    (sure,) = [box for box in app.checkbox if box.key.startswith("sure-delete:")]
    sure.check().run()
    app.button(key="delete-several").click().run()
    assert not app.exception
    assert [path.exists() for path in (*ended, live, other)] == [False, False, True, True]
    assert f"news/{live.name}" in app.query_params["picked"]


def test_stopping_several_asks_those_that_are_active(runs: RunsFolder) -> None:
    live = [runs.add(news_recipe("lora"), seed, "running") for seed in range(2)]
    ended = runs.add(news_recipe("full"), 0)
    app = open_several(*live, ended)
    (sure,) = [box for box in app.checkbox if box.key.startswith("sure-stop:")]
    sure.check().run()
    app.button(key="stop-several").click().run()
    assert [(path / "stop").exists() for path in (*live, ended)] == [True, True, False]


def test_archived_runs_leave_the_list_until_they_are_asked_for(runs: RunsFolder) -> None:
    paths = [runs.add(news_recipe("lora"), seed) for seed in range(3)]
    app = open_several(*paths[:2])
    app.button(key="archive-several").click().run()
    assert [read_notes(path).archived for path in paths] == [True, True, False]
    assert len(open_view("runs").dataframe[0].value) == 1
    shown = open_view("runs", archived="true")
    assert len(shown.dataframe[0].value) == 3
    assert len(open_view("compare", studies="news").dataframe[0].value) >= 1
    app = open_several(*paths[:2])
    app.button(key="archive-several").click().run()
    assert not any(read_notes(path).archived for path in paths)


def test_notes_are_edited_on_the_page_of_a_run(runs: RunsFolder) -> None:
    path, other = runs.add(news_recipe("lora"), 0), runs.add(news_recipe("lora"), 1)
    record = (path / "status.json").read_bytes(), (path / "result.json").read_bytes()
    write_notes(other, Notes(tags=("paper",)))
    app = open_view("runs", run=f"news/{path.name}")
    field = {each.key.rpartition(":")[2]: each for each in (*app.text_input, *app.text_area)
             if each.key and each.key.startswith("note:")}  # fmt: skip
    field["name"].set_value("<b>best</b>")
    field["text"].set_value("lower the rate next")
    (tags,) = [each for each in app.multiselect if each.label == "Tags"]
    assert tags.options == ["paper"]
    tags.set_value(["paper"])
    app.button(key="save-notes").click().run()
    assert not app.exception
    wanted = Notes(name="<b>best</b>", text="lower the rate next", tags=("paper",))
    assert read_notes(path) == wanted
    app.button(key="star").click().run()
    assert read_run(path).notes.starred
    said = texts(app)
    assert "lower the rate next" in said and "best" in said
    table = open_view("runs").dataframe[0].value
    assert set(table.name.dropna()) == {"★ <b>best</b>"} and list(table.tags[0]) == ["paper"]
    assert len(open_view("runs", search="paper best").dataframe[0].value) == 1
    assert record == ((path / "status.json").read_bytes(), (path / "result.json").read_bytes())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("training.epochs", 2),
        ("method.r", 8),
        ("test accuracy", 0.958),
        ("peak memory, MB", 231),
        ("training.learning_rate", LoRA.default_learning_rate),
    ],
)
def test_a_reader_adds_columns_that_sort_as_numbers(
    column: str, value: float, runs: RunsFolder
) -> None:
    runs.add(news_recipe("lora"), 0), runs.add(news_recipe("prompt"), 0, "running")
    assert column not in open_view("runs").dataframe[0].value
    app = open_view("runs", column=column)
    table = app.dataframe[0].value.set_index("recipe")
    assert table[column]["lora"] == pytest.approx(value, rel=1e-3)
    assert is_numeric_dtype(table[column])
