"""Runs in every state: finished, running, failed, corrupt, not begun, none at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

import shell
from workbench import jobs
from workbench.jobs import launching
from workbench.recipe import dump_recipe
from workbench.store import read_run, write_json


def test_runs_says_when_there_are_none(runs: RunsFolder) -> None:
    assert "No runs yet" in texts(open_view("runs"))


def test_runs_lists_every_state_and_survives_a_corrupt_folder(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0)
    runs.add(news_recipe("lora"), 1, "running")
    runs.add(news_recipe("prompt"), 0, "failed", reason="the loss was nan")
    runs.add(news_recipe("full"), 0, "running", pid=2**22 - 1)
    runs.add_corrupt()
    table = open_view("runs").dataframe[0].value
    states = {
        (r, s): state[0] for r, s, state in zip(table.recipe, table.seed, table.state, strict=True)
    }
    assert states[("lora", 0)] == "finished"
    assert states[("lora", 1)] == "running"
    assert states[("prompt", 0)] == "failed"
    assert states[("full", 0)] == "interrupted"
    assert list(table.state).count(["unreadable"]) == 1
    assert table.state.iloc[0] == ["running"]  # what is active stands first
    lora = table[(table.recipe == "lora") & (table.seed == 0)].iloc[0]
    assert (lora.progress, lora.score) == (1.0, "0.958 accuracy")


def test_a_finished_run_shows_its_result_recipe_and_log(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 1)
    app = open_view("runs", run=f"news/{path.name}")
    tiles = {metric.label: metric.value for metric in app.metric}
    assert tiles[shell.plain("test accuracy")] == "0.961"
    assert tiles["trainable"] == "75.7k"
    assert tiles["peak memory"] == "231 MB"
    assert dump_recipe(news_recipe("lora")).strip() in texts(app)
    assert "loading\ntraining" in texts(app)
    assert "stop" not in {button.key for button in app.button}


def test_a_running_run_can_be_stopped(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    app = open_view("runs", run=f"news/{path.name}")
    app.button(key="stop").click().run()
    assert (path / "stop").exists()
    assert read_run(path).state == "running"  # asked, not killed
    app.run()
    assert app.button(key="kill").label == "End it now"
    assert app.dataframe[0].value.state.iloc[0] == ["stopping"]


def test_a_failed_run_says_why_in_words_and_can_be_resumed(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "out of memory\n  fix: lower training.micro_batch_size"
    path = runs.add(news_recipe("lora"), 0, "failed", reason=reason)
    resumed: list[Path] = []
    monkeypatch.setattr("workbench.jobs.resume", lambda run: resumed.append(run.path))
    app = open_view("runs", run=f"news/{path.name}")
    assert reason in texts(app)
    app.button(key="resume").click().run()
    assert resumed == [path]


@pytest.mark.parametrize("name", ["news/none-s0-00000000", "../../etc", "/etc"])
def test_an_address_without_a_run_breaks_nothing(runs: RunsFolder, name: str) -> None:
    app = open_view("runs", run=name)
    assert ("its process is starting" in texts(app).lower()) == name.startswith("news")


def test_a_corrupt_run_is_shown_as_such(runs: RunsFolder) -> None:
    path = runs.add_corrupt()
    assert "half written" in texts(open_view("runs", run=f"news/{path.name}"))


@pytest.mark.parametrize(
    "result", [{}, {"metrics": 3, "parameters": None, "memory": [], "warnings": {"a": 1}}]
)
def test_a_result_of_another_shape_breaks_nothing(
    runs: RunsFolder, result: dict[str, object]
) -> None:
    path = runs.add(news_recipe("lora"), 0)
    write_json(path / "result.json", result)
    write_json(path / "status.json", {"state": "finished", "progress": "x", "started_at": "y"})
    (path / "events.jsonl").write_text('{"kind": "validation"}\n{"kind": "step", "step": null}\n')
    assert not open_view("runs", run=f"news/{path.name}").exception
    assert not open_view("compare").exception
    assert not open_view("export").exception


def test_a_job_that_waits_is_shown_and_one_that_never_began_says_why(
    runs: RunsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child"
    script.write_text(
        f"#!{sys.executable}\nimport time\nprint('no such module', flush=True)\ntime.sleep(60)\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(launching.sys, "executable", str(script))
    job = jobs.start([news_recipe("lora")], runs.path, seeds=[0])
    assert open_view("runs").dataframe[0].value.state.iloc[0] == ["starting"]
    os.kill(job.pid, 9)
    while job.alive:
        pass
    said = texts(open_view("runs"))
    assert "ended before its first run began" in said
    assert "no such module" in said
