"""The page of a study: its runs as a grid, the answer, and what can be done next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

from tests.own_data import write_study
from workbench import jobs
from workbench.errors import RunRefused, StorageError
from workbench.recipe import Recipe, load_recipes
from workbench.store import Queue, Run, process_start_time

BASE = """# Made by: workbench new news --data asset:bbc-news --methods lora,full --seeds 2
# task: text-classification (texts, and a column with a label for each)
# test: 20 rows (classes in proportion)
# max_length: 32 tokens (half of the training texts have 20 or fewer, the longest 30)
task: {name: text-classification}
model: {source: "asset:minilm-l6", max_length: 32}
data: {source: "asset:bbc-news", train_size: 40, test_size: 20}
training: {epochs: 2}
seeds: [0, 1]
"""


@pytest.fixture
def own(runs: RunsFolder) -> Path:
    """The study `news` as New study writes it, none of whose runs was begun."""
    return write_study(runs.path.parent / "my-recipes" / "news", BASE)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[Recipe]]:
    """What was started."""
    found: list[list[Recipe]] = []
    monkeypatch.setattr(jobs, "start", lambda recipes, runs: found.append(list(recipes)))
    return found


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label == label).click().run()
    assert not app.exception
    return app


def links(app: AppTest) -> dict[str, str]:
    """Labels of the links on the page, with the query that each opens."""
    found = [element.proto for element in app.get("page_link")]
    return {proto.label.replace("\\", ""): proto.query_string for proto in found}


def test_cells_show_scores_and_progress_and_open_their_runs(runs: RunsFolder) -> None:
    for seed in range(2):
        runs.add(news_recipe("full"), seed)
    running = runs.add(news_recipe("lora"), 0, "running")
    jobs.enqueue([news_recipe("lora")], runs.path, seeds=[1])
    app = open_view("study", study="news")
    found = links(app)
    assert found["60%, 31.0 s left"] == f"run=news%2F{running.name}"
    assert "0.968" in found and "queued" in found
    assert "2 of 4 runs finished, 1 running, 1 queued" in texts(app).replace("\\", "") + "".join(
        each.proto.text.replace("\\", "") for each in app.get("progress")
    )


def test_the_answer_stands_on_top_and_the_tabs_of_compare_below(runs: RunsFolder) -> None:
    runs.add_study()
    app = open_view("study", study="news")
    compared = open_view("compare", studies="news")
    said = [each.value for each in app.text]
    (answer,) = [t.value for t in compared.text if t.value in said and "full" in t.value][:1]
    assert said.count(answer) == 1
    assert {tab.label for tab in app.tabs} == {tab.label for tab in compared.tabs}


def test_the_newest_study_is_shown_and_another_is_chosen(runs: RunsFolder) -> None:
    old = runs.add(news_recipe("lora", study="old"), 0).parent
    runs.add(news_recipe("lora", study="young"), 0)
    os.utime(old, (1, 1))
    app = open_view("study")
    assert app.title[0].value == "young" and app.query_params["study"] == "young"
    next(b for b in app.selectbox if b.label == "Study").set_value("old").run()
    assert app.title[0].value == "old" and app.query_params["study"] == "old"
    assert "is not here" in open_view("study", study="never").toast[0].value


def test_without_any_study_the_page_says_where_to_begin(runs: RunsFolder) -> None:
    assert "New study" in texts(open_view("study"))


def test_unfinished_runs_are_started_and_no_others(
    runs: RunsFolder, own: Path, started: list[list[Recipe]]
) -> None:
    full, lora = sorted(load_recipes(own), key=lambda each: each.name)
    runs.add(lora, 0)
    runs.add(full, 0, "stopped")
    runs.add(full, 1, "running")
    app = open_view("study", study="news")
    press(app, "Start 2 unfinished runs")
    ((stopped, never),) = started
    assert (stopped.name, stopped.seeds) == ("full", [0])
    assert (never.fingerprint, never.seeds) == (lora.fingerprint, [1])


def test_stop_ends_what_runs_and_what_waits(
    runs: RunsFolder, own: Path, started: list[list[Recipe]]
) -> None:
    full, lora = sorted(load_recipes(own), key=lambda each: each.name)
    running = runs.add(full, 0, "running")
    jobs.enqueue([lora], runs.path, seeds=[0, 1])
    app = open_view("study", study="news")
    press(app, "Stop")
    assert (running / "stop").exists() and not Queue(runs.path).list()
    press(app, "Start 3 unfinished runs")
    assert [(each.name, each.seeds) for each in started[0]] == [("full", [1]), ("lora", [0, 1])]


def test_a_run_that_cannot_be_stopped_keeps_no_other_going(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        runs.add(news_recipe("lora"), seed, "running")
    asked: list[str] = []

    def refuse(run: Run) -> None:
        asked.append(run.id)
        raise StorageError("the disk is full", where=run.id)

    monkeypatch.setattr("study.actions.stop_if_active", refuse)
    app = press(open_view("study", study="news"), "Stop")
    assert len(asked) == 2 and len(app.toast) == 2


def test_why_a_study_is_not_started_stays_until_it_is_read(
    runs: RunsFolder, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunRefused("another process is at this run", fix="wait")

    monkeypatch.setattr(jobs, "start", refuse)
    app = press(open_view("study", study="news"), "Start 4 unfinished runs")
    (said,) = app.toast
    assert "another process is at this run" in said.value and said.proto.duration == 0


def test_a_method_is_added_to_the_recipes_and_started(
    runs: RunsFolder, own: Path, started: list[list[Recipe]]
) -> None:
    app = open_view("study", study="news")
    box = next(b for b in app.selectbox if b.label == "Method")
    assert "lora" not in box.options and "prefix" in box.options
    box.set_value("prefix").run()
    press(app, "Start 2 runs")
    ((prefix,),) = started
    assert prefix.method.name == "prefix" and prefix.seeds == [0, 1]
    assert [each.name for each in load_recipes(own)] == ["full", "lora", "prefix"]


def test_seeds_are_added_to_the_recipes_and_queued(
    runs: RunsFolder, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_worker", lambda runs: None)
    app = open_view("study", study="news")
    next(n for n in app.number_input if n.label == "How many").set_value(2).run()
    press(app, "Queue 4 runs")
    assert sorted((e.fields["recipe"], e.seed) for e in Queue(runs.path).list()) == [
        (name, seed) for name in ("full", "lora") for seed in (2, 3)
    ]
    assert {tuple(each.seeds) for each in load_recipes(own)} == {(0, 1, 2, 3)}


def test_a_search_is_started_as_a_job(
    runs: RunsFolder, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(jobs, "start_search", lambda *arguments: asked.append(arguments))
    app = open_view("study", study="news")
    next(n for n in app.number_input if "Trials" in n.label).set_value(3).run()
    press(app, "Start 6 trials")
    ((recipes, trials, folder),) = asked
    assert [each.name for each in recipes] == ["full", "lora"]
    assert (trials, folder) == (3, runs.path)
    assert app.title[0].value == "Runs" and app.query_params["searched"] == "news"


def test_a_study_of_new_study_is_edited_there(runs: RunsFolder, own: Path) -> None:
    (own / "_base.yaml").write_text(
        BASE.replace("seeds: [0, 1]", "seeds: [0, 1, 4]").replace(
            "--seeds 2", "--seeds 2 --set lora:method.r=4 --set data.validation_size=9"
        )
    )
    text = "base: _base.yaml\nmethod: {name: full}\ntraining: {learning_rate: 0.5, epochs: 2}\n"
    (own / "full.yaml").write_text(text, encoding="utf-8")  # changed by hand
    (own / "lora.yaml").write_text("base: _base.yaml\nmethod: {name: lora, r: 4}\n")
    app = press(open_view("study", study="news"), "Edit and run again")
    assert app.title[0].value == "New study"
    query = app.query_params
    assert query["data"] == "asset:bbc-news" and query["named"] == "news-2"
    assert query["method"] == ["full", "lora"] and query["seeds"] == "0,1,4,"
    assert {"lora:method.r=4", "full:training.learning_rate=0.5"} <= set(query["values"])
    assert "validation" not in str(query)
    from new_study import address

    kept = address._kept()[query["kept"]]
    # The size of the training split is in no line that says what was chosen: it is by hand.
    assert kept == {"values": "data.validation_size=9\ndata.train_size=40"}
    said = "without a field here: data.validation_size=9, data.train_size=40."
    assert said in texts(app).replace("\\", "")
    assert "Not taken over" not in texts(app)
    press(app, "Leave them out")
    assert "without a field here" not in texts(app) and "values" in app.query_params


def test_what_one_method_has_for_itself_is_named_when_a_study_is_edited(
    runs: RunsFolder, own: Path
) -> None:
    text = "base: _base.yaml\nmethod: {name: full}\ndata: {train_size: 30}\nmodel: {dtype: bf16}\n"
    (own / "full.yaml").write_text(text, encoding="utf-8")
    app = press(open_view("study", study="news"), "Edit and run again")
    said = texts(app).replace("\\", "")
    words = "Not taken over, since the methods of a new study share such settings: "
    assert f'{words}full: model.dtype="bf16", full: data.train_size=30.' in said


@pytest.mark.parametrize("written", [True, False])
def test_another_study_is_edited_in_the_form(runs: RunsFolder, own: Path, written: bool) -> None:
    recipe = news_recipe("lora", study="news" if written else "gone")
    path = runs.add(recipe, 0)
    (own / "_base.yaml").write_text(BASE.partition("\n")[2], encoding="utf-8")
    found = links(open_view("study", study=recipe.study))["Edit and run again"]
    from urllib.parse import parse_qs

    expected = {"path": [str(own.parent)], "study": ["news"]}
    if not written:
        expected = {"path": [str(path / "recipe.yaml")]}
    assert parse_qs(found) == expected


def test_playground_and_export_open_with_the_adapters_of_the_study(runs: RunsFolder) -> None:
    runs.add_study()
    found = links(open_view("study", study="news"))
    assert found["Playground"].count("adapters=news%2F") == 4
    assert found["Export the best"].startswith("run=news%2Ffull-s0-")


def test_the_report_of_the_study_is_made_when_it_is_asked_for(runs: RunsFolder) -> None:
    runs.add_study()
    app = open_view("study", study="news")
    assert any(b.proto.label == "Report" for b in app.get("download_button"))


@pytest.mark.parametrize("alive", [True, False])
def test_a_search_that_is_starting_is_not_started_again(
    runs: RunsFolder, own: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    folder = runs.path / ".jobs" / "20260101-000000-1"
    (folder / "news").mkdir(parents=True)
    pid = os.getpid() if alive else 1
    record = {"pid": pid, "process_started_at": process_start_time(os.getpid())}
    job = jobs.Job(folder=folder, record=record, runs=(), command=["tune"], **record)
    monkeypatch.setattr(jobs, "list_jobs", lambda *_, **__: [job])
    app = open_view("study", study="news")
    assert any("trials" in b.label for b in app.button) is not alive
    assert ("A search of this study is running" in texts(app)) is alive


def test_a_search_that_never_began_says_what_it_printed(
    runs: RunsFolder, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs.path / ".jobs" / "20260101-000000-1"
    (folder / "news").mkdir(parents=True)
    ended = jobs.Job(
        folder=folder, record={}, pid=1, process_started_at=0.0, runs=(), command=["tune"]
    )
    (folder / "log.txt").write_text("another process is at this search\n", encoding="utf-8")
    monkeypatch.setattr(jobs, "list_jobs", lambda *_, **__: [ended])
    shown = texts(open_view("study", study="news"))
    assert "another process is at this search" in shown
    assert "The last job failed" not in texts(open_view("runs"))
