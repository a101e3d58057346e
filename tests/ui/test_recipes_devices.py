"""Which device a run gets, and the warning that the machine is at work already."""

from __future__ import annotations

from typing import Any

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

from recipes import launch_panel
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
    monkeypatch.setattr(launch_panel, "gpus", lambda: GPUS)
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
    monkeypatch.setattr(launch_panel, "gpus", list)
    app = open_view("recipes", **OPEN)
    assert "Device" not in {box.label for box in app.selectbox}


def test_a_machine_at_work_is_said(runs: RunsFolder) -> None:
    launch_panel._busy.clear()
    assert "at work" not in texts(open_view("recipes", **OPEN))
    path = runs.add(news_recipe("prompt"), 0, "running")
    launch_panel._busy.clear()
    said = texts(open_view("recipes", **OPEN)).replace("\\", "")
    assert f"at work on news/{path.name} (31.0 s left)" in said
