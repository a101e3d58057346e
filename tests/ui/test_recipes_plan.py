"""The plan beside the form and the look at the data: what processes of their own say."""

from __future__ import annotations

import errno
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import RunsFolder
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

import run_cli
from recipes import data_preview, plan_panel
from workbench.recipe import load_recipe

PLANNER = """
import sys
import time

import yaml
from workbench.services.protocol import read_message, write_message

while (asked := read_message(sys.stdin.buffer)) is not None:
    if asked["do"] == "cancel":
        continue

    def say(**said):
        write_message(sys.stdout.buffer, {"id": asked["id"], **said})

    say(began=True)
    if asked["do"] == "plan":
        with open(asked["recipe"]) as file:
            recipe = yaml.safe_load(file)
        say(**answer(recipe))
    else:
        say(result={})
"""
"""A process that plans, but for ``answer``."""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces Python, and so the commands that are asked, by some Python."""

    def write(source: str) -> None:
        script = tmp_path / "command"
        script.write_text(f"#!{interpreter}\n{source}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(script))

    interpreter = sys.executable
    return write


@pytest.fixture
def answer(
    command: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Replaces the process that plans by one that answers a recipe by some Python."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))  # nothing is at hand

    def write(value: str, *, after: float = 0.0) -> None:
        lines = (f"    time.sleep({after})", f"    return {value}")
        command("\n".join(("def answer(recipe):", *lines, PLANNER)))

    plan_panel.planner.clear()
    return write


def planned(app: AppTest, recipe: str = "bbc-news/lora", *overrides: str) -> AppTest:
    """The page once its plan is there, which it looks for by itself in a browser."""
    deadline = time.monotonic() + 30
    while plan_panel.planner().answer(load_recipe(recipe, list(overrides))) is None:
        assert time.monotonic() < deadline, "no plan came"
        time.sleep(0.05)
    return app.run()


def test_a_plan_is_made_once(runs: RunsFolder, answer: Callable[..., None]) -> None:
    found = {"trainable_parameters": 75653, "head_parameters": 1925,
             "adapter_parameters": 73728, "total_parameters": 22715141}  # fmt: skip
    answer(str({"result": found}))
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {"trainable": "75.7k", "of the model": "0.33%", "method": "73.7k",
                     "task head": "1.93k"}  # fmt: skip
    plan_panel.planner().unload()
    answer(str({"error": {"what": "it was asked again"}}))
    assert "plan" not in {button.key for button in app.run().button}
    assert {metric.label for metric in app.metric} == set(shown)


def test_a_plan_follows_the_form_where_nothing_has_to_be_fetched(
    runs: RunsFolder, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_panel, "is_at_hand", lambda recipe: True)
    answer("{'result': {'trainable_parameters': recipe['method']['r'] * 9216}}")
    app = planned(open_view("recipes", study="bbc-news", recipe="lora"))
    assert {m.label: m.value for m in app.metric}["trainable"] == "73.7k"
    rank = next(widget for widget in app.number_input if widget.label == "rank (r)")
    app = planned(rank.set_value(16).run(), "bbc-news/lora", "method.r=16")
    assert {m.label: m.value for m in app.metric}["trainable"] == "147k"


def test_of_plans_that_wait_only_the_newest_is_made(answer: Callable[..., None]) -> None:
    answer("{'result': {'trainable_parameters': 1}}", after=0.5)
    planner = plan_panel.planner()
    recipes = [load_recipe("bbc-news/lora", [f"method.r={r}"]) for r in (1, 2, 3)]
    page: dict[str | int, Any] = {}
    for recipe in recipes:
        planner.ask(recipe, page)
    deadline = time.monotonic() + 30
    while planner.answer(recipes[2]) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [planner.answer(recipe) is None for recipe in recipes] == [False, True, False]


def test_what_another_page_waits_for_is_planned_too(answer: Callable[..., None]) -> None:
    answer("{'result': {'trainable_parameters': 1}}", after=0.5)
    planner = plan_panel.planner()
    recipes = [load_recipe("bbc-news/lora", [f"method.r={r}"]) for r in (1, 2, 3, 4)]
    mine: dict[str | int, Any] = {}
    theirs: dict[str | int, Any] = {}
    for recipe, page in zip(recipes, (mine, mine, theirs, mine), strict=True):
        planner.ask(recipe, page)
    planner.ask(recipes[3], theirs)  # who both want the last one now
    planner.ask(recipes[2], theirs)
    deadline = time.monotonic() + 30
    while planner.answer(recipes[2]) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [planner.answer(recipe) is None for recipe in recipes] == [False, True, False, False]


def test_a_plan_shows_what_a_training_takes(runs: RunsFolder, answer: Callable[..., None]) -> None:
    found = {
        "trainable_parameters": 75653, "total_parameters": 22715141, "adapter_bytes": 306140,
        "steps": 100, "train_seconds": 16.2, "train_seconds_range": [14.0, 18.1], "timings": 4,
        "peak_memory_bytes": 313_000_000, "fits": False,
        "free_memory_bytes": 200_000_000, "largest_batch_size": 9, "notes": ["a *note*"],
        "memory": {"weights_bytes": 136_000_000, "runtime_bytes": 32_000_000},
    }  # fmt: skip
    answer(str({"result": found}))
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["adapter file"] == "306 kB" and shown["training time"] == "16.2 s"
    assert shown["peak memory"] == "313 MB" and shown["largest batch"] == "9"
    assert "weights 136 MB, runtime 32 MB" in texts(app)
    assert "14.0 s to 18.1 s by 4 timings of the device" in texts(app)
    assert "200 MB are free" in texts(app)
    assert not app.exception


def test_a_plan_that_fails_says_why_and_can_be_tried_again(
    runs: RunsFolder, answer: Callable[..., None]
) -> None:
    answer(str({"error": {"what": "no such model", "fix": "check the name"}}))
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    assert "no such model\n  fix: check the name" in texts(app)
    assert not app.exception
    plan_panel.planner().unload()
    answer(str({"result": {"trainable_parameters": 1}}))
    app = app.button(key="plan-again").click().run()
    app = planned(app.button(key="plan").click().run())
    assert {metric.label for metric in app.metric} >= {"trainable"}


@pytest.mark.parametrize(("where", "refused"), [("reviews.csv", True), ("", False)])
def test_nothing_starts_whose_data_the_plan_refuses(
    runs: RunsFolder, answer: Callable[..., None], where: str, refused: bool
) -> None:
    answer(str({"error": {"what": "missing label, 1 of 3 rows", "where": where}}))
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert not app.button(key="start").disabled
    app = planned(app.button(key="plan").click().run())
    assert app.button(key="start").disabled == app.button(key="queue").disabled == refused
    assert ("Cannot start" in texts(app)) == refused


@pytest.mark.parametrize(
    ("source", "why"),
    [("raise SystemExit(1)", "exit code 1"), ("print('A remark of a library', flush=True)", "")],
)
def test_a_process_that_does_not_answer_is_said_to(
    runs: RunsFolder, command: Callable[[str], None], source: str, why: str
) -> None:
    plan_panel.planner.clear()
    command(f"{source}\nimport time; time.sleep(1)")
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    assert "the planner's process ended in the middle of an answer" in texts(app)
    assert why in texts(app)
    assert not app.exception


def test_a_full_disk_is_said(
    runs: RunsFolder, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    answer(str({"result": {}}))
    monkeypatch.setattr(run_cli.tempfile, "TemporaryDirectory", full)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app = planned(app.button(key="plan").click().run())
    assert "No space left on device" in texts(app)
    assert not app.exception


# --- data ----------------------------------------------------------------------------------


FOUND = {
    "splits": {"train": 8, "validation": 2, "test": 2},
    "rows": [{"id": "a", "text": "<b>x</b>", "label": "sport"}],
    "labels": [{"label": "sport", "train": 8, "validation": 2, "test": 2}],
    "lengths": {"measured": 8, "max_length": 128, "longer": 2, "truncated": 2, "windows": False,
                "packed": False, "median": 9.0, "longest": 300,
                "histogram": [{"low": 1.0, "high": 9.0, "texts": 8}]},
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
