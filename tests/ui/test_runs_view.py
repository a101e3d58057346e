"""Runs in every state: finished, running, failed, corrupt, not begun, none at all."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype
from streamlit.testing.v1 import AppTest

import layout
from runs import run_table
from runs.event_log import MOST_STEPS, Histories
from workbench import jobs
from workbench.jobs import launch
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
    assert (lora.metric, lora.method) == ("accuracy", "lora")
    assert math.isnan(lora.progress)  # it has finished: a full bar would say nothing
    assert table.progress.notna().any()
    assert lora.score == pytest.approx(0.958, abs=5e-4)
    for name in ("score", "taken", "left", "loss", "seed"):  # they sort as numbers
        assert is_numeric_dtype(table[name]), name
    assert is_datetime64_any_dtype(table.started)


def _components(app: AppTest) -> list[str]:
    return [each.key for each in app.get("bidi_component")]


def test_a_run_that_is_awaited_offers_a_notification(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora", study="other"), 0, "running")
    assert "notifier" in _components(open_view("runs"))


def test_a_table_of_finished_runs_is_quiet_and_found_by_state(runs: RunsFolder) -> None:
    runs.add_study()
    app = open_view("runs")
    assert not {"progress", "left"} & {*app.dataframe[0].value.columns}
    shown = json.loads(app.dataframe[0].proto.columns)["state"]["type_config"]["options"]
    labels = {each["value"]: each.get("label") or each["value"] for each in shown}
    assert labels["finished"] == run_table.DONE and labels["failed"] == "failed"
    assert "notifier" not in _components(app), "nobody is told of what has ended"
    runs.add(news_recipe("lora", study="other"), 0, "failed", reason="x")
    assert "progress" in open_view("runs").dataframe[0].value
    assert len(open_view("runs", search="finished lora").dataframe[0].value) == 3
    assert list(open_view("runs", search="failed").dataframe[0].value.study) == ["other"]


@pytest.mark.parametrize(
    ("order", "recipes"),
    [
        ("↓ Test score", ["full", "lora", "prompt", "prefix"]),
        ("↑ Test score", ["prompt", "lora", "full", "prefix"]),
        ("↓ Recipe", ["prompt", "prefix", "lora", "full"]),
        ("↓ trainable parameters", ["full", "lora", "prompt", "prefix"]),
    ],
)
def test_the_table_is_sorted_by_a_column_with_what_has_no_value_last(
    order: str, recipes: list[str], runs: RunsFolder
) -> None:
    """Scores as numbers, of which a text sorts 10 before 9."""
    for method, score in (("lora", 9.5), ("full", 10.0), ("prompt", 9.0)):
        path = runs.add(news_recipe(method), 0)
        record = json.loads((path / "result.json").read_text())
        record["metrics"]["test"]["accuracy"] = score
        write_json(path / "result.json", record)
    runs.add(news_recipe("prefix"), 0, "failed", reason="x")
    app = open_view("runs", sort=order, column="trainable parameters")
    assert list(app.dataframe[0].value.recipe) == recipes
    assert list(open_view("runs").dataframe[0].value.recipe)[0] == "prefix"  # the newest


def test_a_row_of_a_sorted_table_opens_its_own_run(runs: RunsFolder) -> None:
    paths = {method: runs.add(news_recipe(method), 0) for method in ("lora", "full", "prompt")}
    app = open_view("runs", sort="↑ Recipe", picked=f"news/{paths['lora'].name}")
    shown = json.loads(app.dataframe[0].proto.selection_default)["selection"]["rows"]
    assert list(app.dataframe[0].value.recipe[shown]) == ["lora"]


def test_numbers_that_are_written_as_text_stand_to_the_right(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("runs", run=f"news/{path.name}")
    (table,) = [each for each in app.dataframe if "majority class" in each.value.columns]
    looks = json.loads(table.proto.columns)
    assert {looks[name].get("alignment") for name in table.value.columns} == {"right"}


def test_a_finished_run_shows_its_result_recipe_and_log(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 1)
    app = open_view("runs", run=f"news/{path.name}")
    tiles = {metric.label: metric.value.replace("\\", "") for metric in app.metric}
    assert tiles[layout.plain("test accuracy")] == "0.961"
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
    assert app.button(key="kill").label == "Kill"
    assert open_view("runs").dataframe[0].value.state.iloc[0] == ["stopping"]


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


@pytest.mark.parametrize(
    "name", ["news/none-s0-00000000", "../../etc", "/etc", "a\0/b", "news/..", f"news/{'x' * 300}"]
)
def test_an_address_without_a_run_breaks_nothing(runs: RunsFolder, name: str) -> None:
    assert "There is no such run" in texts(open_view("runs", run=name))


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
    monkeypatch.setattr(launch.sys, "executable", str(script))
    job = jobs.start([news_recipe("lora")], runs.path, seeds=[0])
    assert open_view("runs").dataframe[0].value.state.iloc[0] == ["starting"]
    os.kill(job.pid, 9)
    while job.alive:
        pass
    said = texts(open_view("runs"))
    assert "failed before its first run started" in said
    assert "no such module" in said


# --- one run -------------------------------------------------------------------------------


def test_a_running_run_shows_what_it_takes_at_the_moment(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    app = open_view("runs", run=f"news/{path.name}")
    tiles = {metric.label: metric.value for metric in app.metric}
    assert tiles["tokens per second"] == "9,000"
    assert tiles["process memory"] == "812 MB"
    assert layout.plain("1.00e-03") == tiles["learning rate"]


def test_the_log_is_searched(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    (path / "log.txt").write_text("loading\nstep 1 Loss 0.5\nstep 2 loss 0.4\ndone\n")
    app = open_view("runs", run=f"news/{path.name}", find="LOSS step")
    assert any(code.value == "    2  step 1 Loss 0.5\n    3  step 2 loss 0.4" for code in app.code)
    assert "2 lines found" in texts(app)


def test_deleting_names_what_is_lost_and_asks_again(runs: RunsFolder) -> None:
    path, other = runs.add(news_recipe("lora"), 0), runs.add(news_recipe("lora"), 1)
    app = open_view("runs", run=f"news/{path.name}")
    assert "the adapter (10.3 kB)" in texts(app)
    assert app.button(key="delete").disabled
    app.checkbox(key=f"sure:news/{path.name}").check().run()
    app.button(key="delete").click().run()
    assert not app.exception
    assert not path.exists() and other.exists()
    assert "run" not in app.query_params


def test_a_run_that_was_started_meanwhile_is_not_deleted(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "stopped")
    app = open_view("runs", run=f"news/{path.name}")
    app.checkbox(key=f"sure:news/{path.name}").check().run()
    status = read_run(path).status
    write_json(path / "status.json", {**status, "state": "running"})
    app.button(key="delete").click().run()
    assert path.exists() and not app.exception


def test_stopping_twice_or_too_late_is_no_error(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    app = open_view("runs", run=f"news/{path.name}")
    write_json(path / "status.json", {**read_run(path).status, "state": "stopped"})
    app.button(key="stop").click().run()
    assert not app.exception
    assert not (path / "stop").exists()


def test_the_step_to_go_on_from_is_said(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "failed", reason="x")
    assert "no checkpoint yet" in texts(open_view("runs", run=f"news/{path.name}"))
    for step in (20, 40):
        (path / "checkpoints" / f"step-{step:06d}").mkdir(parents=True)
    assert "checkpoint: step 40" in texts(open_view("runs", run=f"news/{path.name}"))


# --- reading on ----------------------------------------------------------------------------


def test_each_row_of_a_log_is_read_once(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    known = Histories()
    assert len(known.of(read_run(path))) == 64
    with open(path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write('{"kind": "step", "step": 61, "loss": 0.2}\n{"kind": "st')
    rows = known.of(read_run(path))
    assert len(rows) == 65
    with open(path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write('ep", "step": 62, "loss": 0.1}\n')
    assert sum(row["kind"] == "step" for row in known.of(read_run(path))) == 62


def test_a_log_that_was_cut_is_read_anew(runs: RunsFolder) -> None:
    """What a resumed run does: the file is longer again before anybody looks."""
    path = runs.add(news_recipe("lora"), 0, "running")
    known = Histories()
    known.of(read_run(path))
    lines = (path / "events.jsonl").read_text().splitlines(keepends=True)
    again = [line.replace('"loss": ', '"loss": 1') for line in lines[30:]]
    more = '{"kind": "step", "step": 61, "loss": 0.2}\n' * 5
    (path / "events.jsonl").write_text("".join([*lines[:30], *again, more]))
    assert known.of(read_run(path)) == Histories().of(read_run(path))


def test_a_long_run_is_kept_short_and_keeps_its_mean(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    steps = range(1, 20_001)
    rows = [json.dumps({"kind": "step", "step": n, "loss": n / 100}) for n in steps]
    (path / "events.jsonl").write_text("\n".join(rows) + "\n")
    kept = Histories().of(read_run(path))
    assert len(kept) < 2 * MOST_STEPS
    assert kept[-1]["step"] == 20_000
    assert sum(r["loss"] for r in kept) / len(kept) == pytest.approx(100.005)
