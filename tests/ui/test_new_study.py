"""New study: from data to runs on one page, all of it in the address."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_runs import RunsFolder
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

from workbench import jobs
from workbench.errors import UsageError
from workbench.recipe import load_recipes

WORDS = "film story acting music plot scene camera dialogue ending cast".split()


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    """Three classes, one of them with a slip; two rows have none. Uploaded before."""
    path = tmp_path / "my-data" / "reviews.jsonl"
    path.parent.mkdir()
    rows = []
    for i in range(150):
        label = ("positive", "negative", "neutral")[i % 3]
        text = f"The {WORDS[i % 10]} of number {i} was what one calls {label} at best"
        label = "pos" if i in (0, 30) else "" if i in (4, 40) else label
        rows.append({"review": text, "stars": label, "author": f"p{i % 30}"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path.name


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Plans without torch; the words that asked for them."""
    from new_study import plan_step
    from workbench.new_study import files_of, inspect
    from workbench.new_study.study import Inspected

    asked: list[list[str]] = []

    def ask(words: list[str]) -> dict[str, object]:
        asked.append(words)
        folder = Path(words[words.index("--runs") + 1]).parent / "my-recipes" / words[1]
        found: Inspected = made[-1]
        draft = found.checked.draft
        plans = [
            {"recipe": name, "trainable_parameters": 7, "steps": 5, "train_seconds": 30.0,
             "peak_memory_bytes": 2e8, "fits": True}
            for name in draft.own
        ]  # fmt: skip
        return {
            "folder": str(folder),
            "command": draft.choices.command(),
            "plans": plans,
            "shows": "3 seeds show something",
            "notes": [],
            "files": files_of(draft, folder),
        }

    made: list[Inspected] = []

    def remembered(*arguments: object) -> Inspected:
        made.append(inspect(*arguments))
        return made[-1]

    monkeypatch.setattr(plan_step, "ask", ask)
    monkeypatch.setattr("workbench.new_study.inspect", remembered)
    return asked


def settled(app: AppTest) -> AppTest:
    deadline = time.monotonic() + 20
    while "Planning:" in texts(app) and time.monotonic() < deadline:
        time.sleep(0.1)
        app.run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if label in b.label).click().run()
    assert not app.exception
    return app


def box(app: AppTest, label: str):
    return next(w for w in app.selectbox if w.label == label)


def test_without_runs_the_app_opens_with_it_and_a_link_is_followed(runs: RunsFolder) -> None:
    assert open_view("recipes").title[0].value == "New study"
    assert open_view("recipes", study="bbc-news").title[0].value == "Recipes"


def test_with_runs_the_app_opens_with_the_recipes(runs: RunsFolder) -> None:
    runs.add_study()
    assert open_view("recipes").title[0].value == "Recipes"


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
