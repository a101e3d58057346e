"""Recipes: filters and the form in the address, and what a link or a reload brings back."""

from __future__ import annotations

from pathlib import Path

from made_runs import RunsFolder
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

from recipes import fields, links
from workbench.cli.ui_server import app_path


def test_filters_leave_what_goes_with_them_and_stand_in_the_address(runs: RunsFolder) -> None:
    app = open_view("recipes", method="prefix", hub="runs without the Hub")
    studies = set(app.selectbox(key="study").options)
    assert studies == {"bbc-headlines", "bbc-news", "quickstart", "quickstart-gpt"}
    app.selectbox(key="hub").set_value("needs the Hub").run()
    assert "squad-bert-base" in app.selectbox(key="study").options
    app.selectbox(key="task").set_value("question-answering").run()
    assert app.selectbox(key="study").options == ["squad-bert-base"]
    assert not app.exception
    app.selectbox(key="method").set_value("ia3").run()
    assert "No recipes match these filters." in texts(app)


def test_a_link_shows_the_values_that_it_names_but_no_other_source(runs: RunsFolder) -> None:
    app = AppTest.from_file(str(app_path()), default_timeout=20)
    app.query_params["study"], app.query_params["recipe"] = "bbc-news", "lora"
    app.query_params["set"] = ["method.r=32", "model.source=evil/model", "training.epochs=1"]
    app.run()
    assert not app.exception
    assert "--set training.epochs=1.0" in texts(app) and "--set method.r=32" in texts(app)
    assert "evil/model" not in texts(app)
    assert sorted(app.query_params["set"]) == ["method.r=32", "training.epochs=1.0"]
    next(w for w in app.number_input if w.label == "rank (r)").set_value(8).run()
    assert app.query_params["set"] == "training.epochs=1.0"
    app.selectbox(key="study").set_value("quickstart").run()  # which has a lora too
    assert "set" not in app.query_params and "--set" not in texts(app)


def test_a_link_with_a_wrong_value_says_so(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora", set="method.r=-3")
    assert "cannot be used" in texts(app)
    assert "--set method.r" not in texts(app)


def own_data(tmp_path: Path) -> AppTest:
    """The page of a shipped recipe whose form holds a csv file."""
    links._drafts.clear()
    file = tmp_path / "reviews.csv"
    file.write_text("review,stars\ngood,1\n")
    app = open_view("recipes", study="bbc-news", recipe="lora")
    typed = {"data set": str(file), "text column": "review"}
    for label, value in typed.items():
        next(w for w in app.text_input if w.label == label).set_value(value)
    next(w for w in app.multiselect if w.label == "label column").set_value(["stars"])
    app.run()
    assert not app.exception and f"--set data.source={fields.as_yaml(str(file))}" in said(app)
    return app


def said(app: AppTest) -> str:
    return texts(app).replace("'", "")


def opened_again(app: AppTest) -> AppTest:
    """The page in a new session at the address of another, as a reload has it."""
    again = AppTest.from_file(str(app_path()), default_timeout=20)
    for key, value in app.query_params.items():
        again.query_params[key] = value
    again.run()
    assert not again.exception
    return again


def test_a_reload_keeps_the_data_source_without_writing_it_into_the_address(
    runs: RunsFolder, tmp_path: Path
) -> None:
    app = own_data(tmp_path)
    assert "reviews.csv" not in str(app.query_params)
    again = opened_again(app)
    source = next(w for w in again.text_input if w.label == "data set")
    assert source.value == str(tmp_path / "reviews.csv")
    assert said(again).count("reviews.csv") and not again.button(key="start").disabled
    source.set_value("other.csv").run()  # a tab of its own: the first one keeps what it had
    third = opened_again(app)
    assert "reviews.csv" in said(third)
    third.selectbox(key="study").set_value("quickstart").run()
    assert "reviews.csv" not in said(third) and "draft" not in third.query_params


def test_a_form_that_was_lost_says_so_and_starts_nothing(runs: RunsFolder, tmp_path: Path) -> None:
    app = own_data(tmp_path)
    links._drafts.clear()  # as a restart of the server does
    app = opened_again(app)
    assert "lost with the page: data.source" in texts(app).replace("\\", "")
    assert app.button(key="start").disabled and app.button(key="queue").disabled
    assert opened_again(app).button(key="start").disabled
    source = next(w for w in app.text_input if w.label == "data set")
    source.set_value(str(tmp_path / "reviews.csv")).run()
    assert not app.button(key="start").disabled and "lost with" not in texts(app)
    links._drafts.clear()
    app = opened_again(app)
    app.button(key="reset").click().run()
    assert not app.button(key="start").disabled and "lost with" not in texts(app)
    assert "draft" not in app.query_params


def test_a_draft_is_found_by_its_own_recipe_alone(runs: RunsFolder, tmp_path: Path) -> None:
    app = own_data(tmp_path)
    app.query_params["recipe"] = "full"
    again = opened_again(app)
    assert "reviews.csv" not in said(again) and again.button(key="start").disabled
    app.query_params["draft"] = "guessed~data.source~evil.key~<b>"
    again = opened_again(app)
    assert again.button(key="start").disabled
    assert "evil" not in texts(again) and "<b>" not in texts(again)
