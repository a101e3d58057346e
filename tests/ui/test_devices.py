"""Which device a run gets, and the warning that the machine is at work already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_runs import RunsFolder, news_recipe
from new_study_kit import SETTLED, box, press, settled, stand_in_for_plans, write_reviews
from opening import open_view, texts

import devices
from workbench import jobs

GPUS = [("GPU 0", "37%"), ("GPU 1", "0%")]
OPEN = {"study": "bbc-news", "recipe": "lora"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options with which runs were started or queued on a machine with two GPUs."""
    given: list[dict[str, Any]] = []
    for name in ("start", "enqueue"):
        monkeypatch.setattr(jobs, name, lambda *_, **options: given.append(options))
    monkeypatch.setattr(jobs, "ensure_worker", lambda _: None)
    monkeypatch.setattr(devices, "gpus", lambda: GPUS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return given


def test_a_run_is_started_on_the_chosen_device(
    runs: RunsFolder, started: list[dict[str, Any]]
) -> None:
    app = open_view("recipes", **OPEN, device="GPU 1")
    environment = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    said = "CUDA_VISIBLE_DEVICES=1 CUDA_DEVICE_ORDER=PCI_BUS_ID workbench run bbc-news/lora"
    assert said in texts(app) and repr(environment) in texts(app)
    app.button(key="start").click().run()
    assert started[0]["environment"] == environment


def test_a_queued_run_waits_for_the_chosen_device(
    runs: RunsFolder, started: list[dict[str, Any]]
) -> None:
    open_view("recipes", **OPEN, device="GPU 0").button(key="queue").click().run()
    assert started[0]["devices"] == "0" and "environment" not in started[0]
    app = open_view("recipes", **OPEN, device="CPU")
    assert app.button(key="queue").disabled and not app.button(key="start").disabled


def test_any_device_and_a_machine_without_choice_ask_for_none(
    runs: RunsFolder, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_view("recipes", **OPEN).button(key="start").click().run()
    assert not {"environment", "devices"} & started[0].keys()
    monkeypatch.setattr(devices, "gpus", list)
    app = open_view("recipes", **OPEN)
    assert "Device" not in {box.label for box in app.selectbox}


def test_a_machine_at_work_is_said(runs: RunsFolder) -> None:
    devices._busy.clear()
    assert "at work" not in texts(open_view("recipes", **OPEN))
    path = runs.add(news_recipe("prompt"), 0, "running")
    devices._busy.clear()
    said = texts(open_view("recipes", **OPEN)).replace("\\", "")
    assert f"at work on news/{path.name} (31.0 s left)" in said


def test_a_new_study_runs_on_the_chosen_device(
    runs: RunsFolder,
    started: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    stand_in_for_plans(monkeypatch)
    reviews = write_reviews(tmp_path)
    app = settled(open_view("new", data=reviews, **SETTLED))
    assert "CUDA_VISIBLE_DEVICES" not in texts(app)
    box(app, "Device").set_value("GPU 1").run()
    command = "CUDA_VISIBLE_DEVICES=1 CUDA_DEVICE_ORDER=PCI_BUS_ID workbench new reviews"
    (shown,) = [each.value for each in app.code if each.value.startswith(command)]
    assert shown.endswith(f"--run --runs {runs.path}")
    app = settled(open_view("new", data=reviews, **SETTLED, device="GPU 1"))  # a reload
    press(app, "Start 9 runs")
    environment = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert started == [{"environment": environment}]
    app = settled(open_view("new", data=reviews, **SETTLED, device="GPU 0"))
    press(app, "Queue 9 runs")
    assert started[1] == {"devices": "0"}
    app = settled(open_view("new", data=reviews, **SETTLED, device="CPU"))
    disabled = {each.label: each.disabled for each in app.button if "9 runs" in each.label}
    assert disabled == {"Start 9 runs": False, "Queue 9 runs": True}


def test_what_is_added_to_a_study_runs_on_the_chosen_device(
    runs: RunsFolder, started: list[dict[str, Any]]
) -> None:
    for method in ("full", "lora"):
        runs.add(news_recipe(method), 0)
    app = open_view("study", study="news", device="GPU 1")
    press(app, "Start 2 runs")  # another seed
    environment = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert started == [{"environment": environment}]
    app = open_view("study", study="news", device="GPU 0")
    box(app, "Method").set_value("prefix").run()
    press(app, "Queue 1 run")
    assert started[1] == {"devices": "0"}
    app = open_view("study", study="news", device="CPU")
    queues = [each for each in app.button if each.label.startswith("Queue")]
    assert queues and all(each.disabled for each in queues)


def test_what_is_added_to_a_study_says_that_the_machine_is_at_work(runs: RunsFolder) -> None:
    runs.add(news_recipe("full"), 0)
    path = runs.add(news_recipe("prompt", study="other"), 0, "running")
    devices._busy.clear()
    app = open_view("study", study="news")
    said = [each.value.replace("\\", "") for each in app.warning]
    assert sum(f"at work on other/{path.name}" in each for each in said) == 2  # method, seeds


def test_new_study_says_that_the_machine_is_at_work(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in_for_plans(monkeypatch)
    path = runs.add(news_recipe("prompt"), 0, "running")
    devices._busy.clear()
    app = settled(open_view("new", data=write_reviews(tmp_path), **SETTLED))
    assert f"at work on news/{path.name} (31.0 s left)" in texts(app).replace("\\", "")
