"""What the views show of tasks that are no text classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts, written
from scipy.stats import ttest_rel
from streamlit.testing.v1 import AppTest

import layout
from workbench.charts.run_curves import validation_curve
from workbench.charts.scores import far_references, score_against_cost
from workbench.store import write_json

PERPLEXITY = {"full": 28.0, "lora": 26.0, "prefix": 30.0, "prompt": 41.5}
STUDIES = (
    "bbc-headlines", "conll2003-bert-base", "squad-bert-base", "wikitext-gpt2", "e2e-gpt2",
    "imdb-mlm-bert-base",
)  # fmt: skip


def said(app: AppTest) -> str:
    """What the page says as a reader sees it."""
    return texts(app).replace("\\", "").replace("\u2060", "")


def change(path: Path, **sections: Any) -> None:
    """Replaces sections of a run's result."""
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    write_json(path / "result.json", {**result, **sections})


def write_headlines(runs: RunsFolder) -> None:
    """A study of four methods that write text, three seeds each."""
    for method, mean in PERPLEXITY.items():
        for seed in range(3):
            scores = {"perplexity": mean + seed / 10, "rouge_l": 0.31}
            change(
                runs.add(news_recipe(method), seed),
                task="instruction",
                metrics={"test": scores, "validation": {"perplexity": mean}},
                selected={"step": 100, "metric": "perplexity", "value": mean},
                references={"base model (zero-shot)": {"perplexity": 161.27, "rouge_l": None}},
            )


# --- compare -------------------------------------------------------------------------------


def test_compare_shows_the_lowest_perplexity_first(runs: RunsFolder) -> None:
    write_headlines(runs)
    app = open_view("compare")
    assert app.selectbox(key="score").value == "perplexity"
    table = written(app).set_index("recipe")
    assert list(table.index) == ["lora", "full", "prefix", "prompt", "base model (zero-shot)"]
    assert table.loc["lora", "perplexity ↓"] == "26.10 [25.85, 26.35]"
    lora, full = (np.log(PERPLEXITY[name] + np.arange(3) / 10) for name in ("lora", "full"))
    low, high = np.exp(ttest_rel(lora, full).confidence_interval())
    assert table.loc["lora", "ratio vs full"] == f"0.9288x [{low:.4f}, {high:.4f}]"
    assert table.loc["base model (zero-shot)", "perplexity ↓"] == "161.3"
    assert "↓ lower is better, so a ratio below 1 is an improvement" in said(app)
    assert "Above the axis: base model (zero-shot) 161.3." in said(app)
    app.selectbox(key="score").set_value("rouge_l").run()
    assert not app.exception
    table = written(app).set_index("recipe")
    assert list(table.columns)[1:3] == ["rouge_l", "Δ vs full"]
    assert table.loc["base model (zero-shot)", "rouge_l"] == "–"
    assert "is an improvement" not in said(app)


def test_compare_shows_each_group_by_a_metric_that_it_has(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"))
    conditions = {"data": "other", "split": "other"}
    change(
        runs.add(news_recipe("full")),
        metrics={"test": {"answer_f1": 0.8}},
        selected={"metric": None, "step": 9, "value": None},
        references={},
        comparability=conditions,
    )
    app = open_view("compare")
    shown = {name for frame in app.dataframe for name in frame.value.columns}
    assert {"accuracy", "answer_f1"} <= shown
    assert "No recipe here has this metric." not in said(app)


def test_references_are_left_off_the_chart_on_the_worse_side_only() -> None:
    score = {"mean": 26.0, "ci_low": 25.5, "ci_high": 26.5}
    metrics = {"perplexity": score, "bleu": score}
    rows = [{"label": "lora", "method": "lora", "metrics": metrics, "trainable_parameters": 9}]
    references = {"far above": 61.0, "near": 26.6, "far below": 3.0}
    assert set(far_references(rows, "perplexity", references)) == {"far above"}
    assert set(far_references(rows, "bleu", references)) == {"far below"}
    assert far_references(rows, "accuracy", references) == {}
    chart = score_against_cost(rows, "perplexity", references)
    assert chart is not None
    titles = [layer["encoding"]["y"].get("title") for layer in chart.to_dict()["layer"][:2]]
    assert titles == ["perplexity (lower is better)"] * 2


def test_the_validation_curve_says_which_way_is_better() -> None:
    events = [{"kind": "validation", "step": 1, "metrics": {"perplexity": 30.0}, "best": True}]
    chart = validation_curve(events, "perplexity")
    assert chart is not None
    title = chart.to_dict()["layer"][0]["encoding"]["y"]["title"]
    assert title == "validation perplexity (lower is better)"


# --- runs and export -----------------------------------------------------------------------


def test_a_run_is_headed_by_the_metrics_that_have_a_value(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"))
    change(
        path,
        task="token-classification",
        metrics={"test": {"entity_f1": None, "entity_recall": None, "accuracy": 0.91}},
        selected={"step": 100, "metric": "entity_f1", "value": None},
        references={},
    )
    app = open_view("runs", run=f"news/{path.name}")
    first = open_view("runs").dataframe[0].value.iloc[0]
    assert (first.score, first.metric) == (0.91, "accuracy")
    assert [m.label for m in app.metric if "test" in m.label] == [layout.plain("test accuracy")]
    assert "token-classification" in said(app)
    scores = app.dataframe[0].value
    assert list(scores.columns) == ["test", "validation"]
    assert list(scores.index) == ["entity_f1", "entity_recall", "accuracy"]
    assert scores.loc["entity_f1", "test"] == "–"


def test_a_run_on_windows_says_how_many_and_which_state_was_kept(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"))
    data = {"sizes": {"train": 800}, "features": {"train": 1312}, "labels": []}
    change(path, data=data, selected={"step": 100, "metric": None, "value": None})
    page = said(open_view("runs", run=f"news/{path.name}"))
    assert "train 1312" in page and "step 100, the last" in page
    change(path, data={**data, "features": {"train": 800}})
    assert "features" not in said(open_view("runs", run=f"news/{path.name}"))


def test_export_speaks_of_outputs(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"))
    assert "16 examples, outputs differ by at most 1.0e-06" in said(open_view("export"))


# --- the form ------------------------------------------------------------------------------


@pytest.mark.parametrize("study", STUDIES)
def test_recipes_of_every_task_start_as_their_files(runs: RunsFolder, study: str) -> None:
    app = open_view("recipes", study=study, recipe="lora")
    assert app.header[0].value == layout.plain(f"{study} / lora")
    assert "--set" not in texts(app) and not app.error


def test_the_form_has_the_settings_of_the_task(runs: RunsFolder) -> None:
    app = open_view("recipes", study="squad-bert-base", recipe="lora")
    next(w for w in app.number_input if w.label == "overlap of windows, tokens").set_value(32).run()
    next(w for w in app.checkbox if w.label == "questions without an answer").check().run()
    assert "--set task.stride=32 --set task.allow_no_answer=true" in texts(app)
    assert "decoding" not in said(app)


def test_sections_within_a_section_and_texts_reach_the_recipe(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-headlines", recipe="lora")
    next(w for w in app.number_input if w.label == "beams").set_value(4).run()
    instruction = next(w for w in app.text_input if w.label == "instruction")
    assert instruction.value == "Write the headline of this news article."
    instruction.set_value("Headline: short, please").run()
    next(w for w in app.text_input if w.label == "adapter to continue from").set_value(
        "runs/mine"
    ).run()
    assert not app.error
    assert "--set task.decoding.num_beams=4" in texts(app)
    assert """--set 'task.instruction="Headline: short, please"'""" in texts(app)
    assert """--set 'init_from="runs/mine"'""" in texts(app)
    (resolved,) = [code.value for code in app.code if code.value.startswith("study:")]
    assert "num_beams: 4" in resolved and "'Headline: short, please'" in resolved
    next(w for w in app.text_input if w.label == "instruction").set_value("").run()
    assert "--set task.instruction=null" in texts(app) and not app.error


KINDS = '''
from typing import Any, Literal
import streamlit as st
from pydantic import BaseModel
from recipes import fields

class Inner(BaseModel):
    """Within."""
    depth: int = 1
    note: str | None = None

class Kinds(BaseModel):
    flag: bool | None = None
    switch: bool = True
    choice: Literal["a", "b"]
    maybe: Literal["a", "b"] | None = None
    lines: str = "one\\ntwo"
    several: list[Inner] = []
    some: Inner | None = None
    table: dict[str, Any] = {"a": [1]}
    either: int | Literal["auto"] = "auto"
    pair: tuple[int, str] = (1, "x")
    whole: Inner = Inner()
    anything: Any = None

st.text(repr(fields.fields(Kinds, {}, section="s", key="k")))
'''


def test_kinds_of_fields_without_a_widget_of_their_own_break_nothing(runs: RunsFolder) -> None:
    app = AppTest.from_string(KINDS).run()
    assert not app.exception
    assert app.text[-1].value == "[]"
    for label, value in (("flag", "true"), ("some", "{depth: 2}"), ("pair", "[2, y]")):
        next(w for w in app.text_input if w.label == label).set_value(value)
    next(w for w in app.number_input if w.label == "depth").set_value(3)
    next(w for w in app.text_input if w.label == "maybe").set_value("b")
    next(w for w in app.text_area if w.label == "lines").set_value("one\nno")
    app.run()
    assert app.text[-1].value == repr(
        ["s.flag=true", "s.maybe=b", 's.lines="one\\nno"', "s.some={depth: 2}", "s.pair=[2, y]",
         "s.whole.depth=3"]
    )  # fmt: skip
