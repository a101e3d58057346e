"""New study: from data to runs on one page, all of it in the address."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_runs import RunsFolder
from new_study_kit import SETTLED, box, press, settled
from opening import open_view, texts

from workbench import jobs
from workbench.errors import RunRefused, UsageError
from workbench.recipe import load_recipes

pytestmark = pytest.mark.usefixtures("planned")


def test_without_runs_the_app_opens_with_it_and_a_link_is_followed(runs: RunsFolder) -> None:
    assert open_view("recipes").title[0].value == "New study"
    assert open_view("recipes", study="bbc-news").title[0].value == "Recipes"


def test_with_runs_the_app_opens_with_their_study(runs: RunsFolder) -> None:
    runs.add_study()
    assert open_view("recipes").title[0].value == "news"
    assert open_view("recipes", study="bbc-news").title[0].value == "Recipes"


def test_problems_are_settled_with_a_click_each_and_all_runs_start(
    runs: RunsFolder, reviews: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_view("new", data=reviews)
    assert [box(app, each).value for each in ("Task", "Text", "Second text", "Label")] == [
        "text-classification",
        "review",
        "none",
        "stars",
    ]
    assert box(app, "Keep together").value == "author"
    assert "missing label, 2 of 150 rows" in texts(app).replace("\\", "")
    press(app, "Leave these rows out")
    press(app, "Read it as")
    assert app.query_params["drop"] == "1" and app.query_params["merge"] == "pos=positive"
    app = settled(app)
    started = []
    monkeypatch.setattr(jobs, "start", lambda recipes, runs: started.append((recipes, runs)))
    monkeypatch.setattr("new_study.plan_step.jobs.start", jobs.start)
    press(app, "Start 9 runs")
    ((recipes, folder),) = started
    assert folder == runs.path and [each.name for each in recipes] == ["full", "lora", "prompt"]
    assert {each.data.group for each in recipes} == {"author"}
    assert load_recipes(runs.path.parent / "my-recipes" / "reviews") == recipes
    assert app.title[0].value == "reviews"


def test_of_two_quick_clicks_none_is_lost(runs: RunsFolder, reviews: str) -> None:
    app = open_view("new", data=reviews)
    press(app, "Leave these rows out")
    del app.query_params["drop"]  # the second click is sent before the address has changed
    press(app, "Read it as")
    assert app.query_params["drop"] == "1" and app.query_params["merge"] == "pos=positive"


def test_the_second_click_of_two_leads_to_the_study_too(
    runs: RunsFolder, reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = settled(open_view("new", data=reviews, **SETTLED))

    def refuse(*_: object) -> None:
        raise RunRefused("this run is running already")

    monkeypatch.setattr("new_study.plan_step.jobs.start", refuse)
    press(app, "Start 9 runs")
    assert app.title[0].value == "reviews"
    assert [each.name for each in (tmp_path / "my-recipes").iterdir()] == ["reviews"]


def test_a_reload_or_a_second_tab_shows_the_same(runs: RunsFolder, reviews: str) -> None:
    app = open_view("new", data=reviews, drop="1", keep="1", group="-", seeds="5")
    app = settled(app)
    again = settled(open_view("new", **dict(app.query_params.items())))
    for each in (app, again):
        assert box(each, "Keep together").value == "none"
        assert any(button.label == "Start 15 runs" for button in each.button)
    assert texts(app) == texts(again)


def test_methods_seeds_and_name_are_chosen(
    runs: RunsFolder, reviews: str, planned: list[list[str]]
) -> None:
    app = open_view("new", data=reviews, drop="1", merge="pos=positive")
    next(c for c in app.checkbox if c.label == "prefix").check().run()
    next(c for c in app.checkbox if c.label == "prompt").uncheck().run()
    next(n for n in app.number_input if n.label == "Seeds").set_value(2).run()
    next(t for t in app.text_input if t.label == "Name").set_value("mine").run()
    settled(app)
    words = planned[-1]
    assert words[:2] == ["new", "mine"] and words[words.index("--seeds") + 1] == "2"
    assert words[words.index("--methods") + 1] == "full,lora,prefix"
    assert any(button.label == "Start 6 runs" for button in app.button)


def test_another_task_forgets_the_columns_of_the_last(runs: RunsFolder, reviews: str) -> None:
    app = open_view("new", data=reviews, label="author", drop="1")
    assert box(app, "Label").value == "author"
    box(app, "Task").set_value("causal-lm").run()
    assert not app.exception
    assert box(app, "Label").value == "none" and "label" not in app.query_params


def test_what_nothing_decides_is_asked(runs: RunsFolder, tmp_path: Path) -> None:
    path = tmp_path / "my-data" / "two.jsonl"
    path.parent.mkdir()
    rows = [{"text": f"a text of some words, number {i}", "colour": "ab"[i % 2],
             "country": "xyz"[i % 3]} for i in range(60)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    app = open_view("new", data=path.name)
    assert "several columns could be the label" in texts(app)
    app = open_view("new", data=path.name, label="colour")
    assert box(app, "Label").value == "colour"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("reviews.csv", "reviews-2d711642.csv"),
        ("../../etc/cron d.CSV", "cron-d-2d711642.csv"),
        ("C:\\x\\..\\y.zip", "y-2d711642.zip"),
        ("...jsonl", "data-2d711642.jsonl"),
        ("\u202e" * 300 + ".tsv", "data-2d711642.tsv"),
    ],
)
def test_an_upload_gets_a_plain_name_in_the_data_folder(
    runs: RunsFolder, name: str, kept: str
) -> None:
    from new_study.data_step import keep

    upload = SimpleNamespace(name=name, getbuffer=lambda: memoryview(b"x"))
    path = keep(upload)
    assert path == runs.path.parent / "my-data" / kept and path.read_bytes() == b"x"
    assert keep(upload) == path and len(list(path.parent.iterdir())) == 1


def test_an_upload_that_is_no_data_is_refused(runs: RunsFolder) -> None:
    from new_study.data_step import keep

    with pytest.raises(UsageError, match="a .py file"):
        keep(SimpleNamespace(name="x.py", getbuffer=lambda: memoryview(b"x")))
    assert not (runs.path.parent / "my-data").exists()


def test_a_link_names_no_file_and_no_model_of_its_choice(
    runs: RunsFolder, reviews: str, tmp_path: Path, planned: list[list[str]]
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("text,label\n" + "a text of some words,x\n" * 9, encoding="utf-8")
    for data in (str(secret), "../secret.csv", "my-data/../../secret.csv", "some/hub-data"):
        app = open_view("new", data=data)
        assert not app.dataframe and "choose it again" in texts(app).replace("\\", "")
    app = settled(open_view("new", data=reviews, drop="1", keep="1", group="-", model="some/hub"))
    assert box(app, "Model").value == "asset:minilm-l6"
    assert not any("some/hub" in words for words in planned)


def test_what_is_typed_survives_a_reload_in_the_servers_memory(
    runs: RunsFolder, reviews: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_bytes((tmp_path / "my-data" / reviews).read_bytes())
    app = open_view("new")
    app.selectbox[0].options.append(str(elsewhere))  # as a browser does with what is typed
    app.selectbox[0].set_value(str(elsewhere)).run()
    assert box(app, "Label").value == "stars" and "elsewhere" not in str(app.query_params)
    again = open_view("new", **dict(app.query_params.items()))
    assert box(again, "Label").value == "stars"
    lost = open_view("new", kept="another number")
    assert "choose it again" in texts(lost)


@pytest.mark.parametrize(
    "query",
    [{"data": "/no/such/file.csv"}, {"data": "asset:nothing"}, {"data": "\0"}, {"task": "x"},
     {"method": "lroa"}, {"named": "../x"}, {"label": "nothing"}, {"seeds": "-1"},
     {"merge": "a=b"}, {"group": "stars"}, {"data": "a" * 5000}],
)  # fmt: skip
def test_whatever_stands_in_the_address_is_said_in_words(
    runs: RunsFolder, reviews: str, query: dict[str, str]
) -> None:
    app = open_view("new", **{"data": reviews, **query})
    assert not app.exception


def test_stars_are_classes_and_with_one_click_a_number(
    runs: RunsFolder, tmp_path: Path, planned: list[list[str]]
) -> None:
    path = tmp_path / "my-data" / "stars.jsonl"
    path.parent.mkdir()
    rows = [
        {"text": f"a text of some words, number {i}", "stars": i % 5 + 1, "likes": i % 30}
        for i in range(150)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    app = settled(open_view("new", data=path.name))
    said = "Predict: classes (column 'stars' holds 5 different whole numbers)"
    assert said in texts(app).replace("\\", "")
    (asked,) = [each for each in app.radio if each.label == "Predict the label as"]
    assert asked.options == ["classes", "a number"]
    asked.set_value("regression").run()
    app = settled(app)
    assert app.query_params["problem_type"] == "regression"
    words = planned[-1]
    assert words[words.index("--problem-type") + 1] == "regression"
    box(app, "Label").set_value("likes").run()  # what was said was of another column
    assert "problem_type" not in app.query_params
