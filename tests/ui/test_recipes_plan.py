"""The plan beside the form and the look at the data: what a process of its own says."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import RunsFolder
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

import data_preview
import plans
from workbench.recipe import load_recipe


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the command that plans by some Python."""

    def write(source: str) -> None:
        script = tmp_path / "command"
        script.write_text(f"#!{interpreter}\n{source}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(script))

    interpreter = sys.executable
    plans.planner.clear()
    return write


def planned(app: AppTest, recipe: str = "bbc-news/lora", *overrides: str) -> AppTest:
    """The page once its plan is there, which it looks for by itself in a browser."""
    deadline = time.monotonic() + 30
    while plans.planner().answer(load_recipe(recipe, list(overrides))) is None:
        assert time.monotonic() < deadline, "no plan came"
        time.sleep(0.05)
    return app.run()


def test_a_plan_is_made_once(runs: RunsFolder, command: Callable[[str], None]) -> None:
    command(
        "import json; print(json.dumps({'plans': [{'trainable_parameters': 75653, "
        "'head_parameters': 1925, 'adapter_parameters': 73728, 'total_parameters': 22715141}]}))"
    )
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {"trainable": "75.7k", "of the model": "0.33%", "method": "73.7k",
                     "task head": "1.93k"}  # fmt: skip
    command("raise SystemExit(1)")
    assert "plan" not in {button.key for button in app.run().button}
    assert {metric.label for metric in app.metric} == set(shown)


def test_a_plan_follows_the_form_where_nothing_has_to_be_fetched(
    runs: RunsFolder, command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "is_at_hand", lambda recipe: True)
    command(
        "import json, sys, yaml; r = yaml.safe_load(open(sys.argv[4]))['method']['r']; "
        "print(json.dumps({'plans': [{'trainable_parameters': r * 9216}]}))"
    )
    app = planned(open_view("recipes", study="bbc-news", recipe="lora"))
    assert {m.label: m.value for m in app.metric}["trainable"] == "73.7k"
    rank = next(widget for widget in app.number_input if widget.label == "r")
    app = planned(rank.set_value(16).run(), "bbc-news/lora", "method.r=16")
    assert {m.label: m.value for m in app.metric}["trainable"] == "147k"


def test_of_plans_that_wait_only_the_newest_is_made(command: Callable[[str], None]) -> None:
    command('import time; time.sleep(0.5); print(\'{"plans": [{"trainable_parameters": 1}]}\')')
    planner = plans.planner()
    recipes = [load_recipe("bbc-news/lora", [f"method.r={r}"]) for r in (1, 2, 3)]
    for recipe in recipes:
        planner.ask(recipe)
    deadline = time.monotonic() + 30
    while planner.answer(recipes[2]) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [planner.answer(recipe) is None for recipe in recipes] == [False, True, False]


def test_what_another_page_waits_for_is_planned_too(command: Callable[[str], None]) -> None:
    command('import time; time.sleep(0.5); print(\'{"plans": [{"trainable_parameters": 1}]}\')')
    planner = plans.planner()
    recipes = [load_recipe("bbc-news/lora", [f"method.r={r}"]) for r in (1, 2, 3, 4)]
    for recipe, asker in zip(recipes, ("mine", "mine", "theirs", "mine"), strict=True):
        planner.ask(recipe, asker)
    planner.ask(recipes[3], "theirs")  # who both want the last one now
    planner.ask(recipes[2], "theirs")
    deadline = time.monotonic() + 30
    while planner.answer(recipes[2]) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [planner.answer(recipe) is None for recipe in recipes] == [False, True, False, False]


def test_a_plan_shows_what_a_training_takes(
    runs: RunsFolder, command: Callable[[str], None]
) -> None:
    found = {
        "trainable_parameters": 75653, "total_parameters": 22715141, "adapter_bytes": 306140,
        "steps": 100, "train_seconds": 16.2, "peak_memory_bytes": 313_000_000, "fits": False,
        "free_memory_bytes": 200_000_000, "largest_batch_size": 9, "notes": ["a *note*"],
        "memory": {"weights_bytes": 136_000_000, "runtime_bytes": 32_000_000},
    }  # fmt: skip
    command(f"import json; print(json.dumps({{'plans': [{found!r}]}}))")
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["adapter file"] == "306 kB" and shown["training steps take"] == "16.2 s"
    assert shown["peak memory"] == "313 MB" and shown["largest batch"] == "9"
    assert "weights 136 MB, runtime 32 MB" in texts(app)
    assert "200 MB are free" in texts(app)
    assert not app.exception


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit('no such model')", "print('no such model')"]
)
def test_a_plan_that_fails_says_why(
    runs: RunsFolder, command: Callable[[str], None], source: str
) -> None:
    command(source)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    assert "workbench plan` failed" in texts(app)
    assert "no such model" in texts(app)
    assert not app.exception


# --- data ----------------------------------------------------------------------------------


FOUND = {
    "splits": {"train": 8, "validation": 2, "test": 2},
    "rows": [{"id": "a", "text": "<b>x</b>", "label": "sport"}],
    "labels": [{"label": "sport", "train": 8, "validation": 2, "test": 2}],
    "lengths": {"measured": 8, "max_length": 128, "longer": 2, "packed": False, "median": 9.0,
                "longest": 300, "histogram": [{"low": 1.0, "high": 9.0, "texts": 8}]},
    "duplicates_removed": 3,
    "notes": ["3 of 11 rows were left out"],
}  # fmt: skip


def test_the_data_is_read_once_and_shown(runs: RunsFolder, command: Callable[[str], None]) -> None:
    data_preview._known().clear()
    command(f"import json; print(json.dumps({FOUND!r}))")
    app = open_view("recipes", study="bbc-news", recipe="lora", part="Data")
    app.button(key="look").click().run()
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["duplicates"] == "3" and shown["longer than the limit"] == "25%"
    assert "3 of 11 rows were left out" in texts(app)
    command("raise SystemExit(1)")
    app.run()
    assert "look" not in {button.key for button in app.button}


def test_data_that_cannot_be_read_says_why_as_the_command_does(
    runs: RunsFolder, command: Callable[[str], None]
) -> None:
    data_preview._known().clear()
    error = {"what": "no column text", "where": "a.csv:1", "why": "", "fix": "name data.text"}
    command(f"import json; print(json.dumps({{'error': {error!r}}})); raise SystemExit(2)")
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app.button(key="look").click().run()
    assert "a.csv:1: no column text\n  fix: name data.text" in texts(app)
