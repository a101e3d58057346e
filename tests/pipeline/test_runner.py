"""The life of a run: its record, its states, and what a failure leaves behind."""

from __future__ import annotations

import json
import os
import platform
import signal
from collections.abc import Callable
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score

from workbench.costs.forecast import forecast
from workbench.errors import RunRefused
from workbench.pipeline import setup
from workbench.pipeline.runner import run_all
from workbench.recipe import load_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs, open_run, run_path

Make = Callable[..., Recipe]
Train = Callable[..., Run]


def test_a_finished_run_holds_everything(make_recipe: Make, train: Train, tmp_path: Path) -> None:
    recipe = make_recipe("lora", training={"learning_rate": 2e-2})
    run = train(recipe, 3, tmp_path)
    assert run.state == "finished", run.reason
    assert run.path == tmp_path / "tiny" / f"lora-s3-{recipe.fingerprint[:8]}"
    kept = {p.name for p in run.path.iterdir()}
    assert kept >= {
        "recipe.yaml",
        "status.json",
        "environment.json",
        "events.jsonl",
        "log.txt",
        "predictions.parquet",
        "result.json",
        "adapter",
        "checkpoints",
    }
    assert not [name for name in kept if name.endswith(".tmp")]
    assert load_recipe(run.path / "recipe.yaml").fingerprint == recipe.fingerprint

    result, time = run.result, run.result["time"]
    rows = pq.read_table(run.path / "predictions.parquet").to_pylist()
    assert len(rows) == 24 == result["data"]["sizes"]["test"]
    right = sum(row["label"] == row["prediction"] for row in rows) / len(rows)
    assert result["metrics"]["test"]["accuracy"] == pytest.approx(right)
    assert all(0 < row["score"] <= 1 for row in rows)
    assert time["steps"] == 14 and time["examples_seen"] == 2 * 56
    assert time["steps_per_second"] == pytest.approx(12 / time["train_seconds"])
    assert result["parameters"]["stored"] == result["parameters"]["trainable"]
    weights = list(run.adapter.glob("*.safetensors"))
    assert result["adapter_bytes"] == sum(p.stat().st_size for p in weights) > 0
    parts = result["memory"]["breakdown"]
    assert parts["weights_bytes"] > parts["optimizer_bytes"] > 0
    assert result["references"]["majority class"]["accuracy"] < 0.6
    _check_what_baselines_answer(rows, result["references"])
    assert not list(run.path.rglob("*.bin")) and not list(run.path.rglob("*.pt"))


def _check_what_baselines_answer(rows: list[dict[str, Any]], scores: dict[str, Any]) -> None:
    labels = [row["label"] for row in rows]
    for name, known in scores.items():
        given = [row[f"{name}: prediction"] for row in rows]
        assert known["accuracy"] == pytest.approx(accuracy_score(labels, given))
        assert known["f1_macro"] == pytest.approx(f1_score(labels, given, average="macro"))
        each = [float(right == answer) for right, answer in zip(labels, given, strict=True)]
        assert [row[f"{name}: example_accuracy"] for row in rows] == each
    assert len(scores) == 2


def test_the_log_tells_what_happened_and_when_over_all_attempts(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe("head", training={"max_steps": 4, "validate_every": 2})

    def ask(kind: str, fields: dict[str, Any]) -> None:
        if kind == "progress" and fields["step"] == 2:
            (run_path(tmp_path, recipe, 0) / "stop").touch()

    first = train(recipe, 0, tmp_path, observer=ask)
    before = (first.path / "log.txt").read_text()
    whole = train(recipe, 0, tmp_path, resume=True)
    text = (whole.path / "log.txt").read_text()
    assert text.startswith(before), "a resumed run appends"
    moments = [datetime.fromisoformat(line[:19]) for line in text.splitlines()]
    assert moments == sorted(moments)
    lines = [line[20:] for line in text.splitlines()]
    version = metadata.version("transformers")
    wanted = [
        "start: study tiny, recipe head, method head,",
        f"python {platform.python_version()}, ",
        "device: cpu (",
        "phase: train",
        "step 2 of 4: loss ",
        "step 2: checkpoint of the training, to resume from",
        "stopped: stopped on request",
        "resume: study tiny, recipe head",
        "resumed after step 2",
        "step 2: checkpoint of the best state so far",
        "step 2: validation accuracy 0.",
        "step 4 of 4: loss ",
        "step 4: validation accuracy 0.",
        "phase: export",
        "finished",
    ]
    remaining = iter(lines)
    for start in wanted:
        assert any(line.startswith(start) for line in remaining), start
    assert f"transformers {version}" in before


def test_a_run_records_what_was_forecast_of_it(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "forecast", forecast)
    result = train(make_recipe("lora"), 0, tmp_path).result
    expected = result["forecast"]
    assert expected["steps"] == result["time"]["steps"] == 14
    assert expected["peak_memory_bytes"] > 0 and expected["notes"] is not None
    assert expected["adapter_bytes"] == result["adapter_bytes"]


def test_a_failed_run_says_why_and_the_next_one_goes_on(
    make_recipe: Make, tmp_path: Path, topics_file: Path
) -> None:
    broken = make_recipe({"name": "lora", "target_modules": ["query", "valeu"]}, name="broken")
    good = make_recipe("head", training={"max_steps": 3})
    seen: list[str] = []
    runs = run_all([broken, good], [0], tmp_path, observer=lambda kind, _: seen.append(kind))
    assert [r.state for r in runs] == ["failed", "finished"]
    assert "'valeu'; did you mean value?" in runs[0].reason
    assert "choose from" in runs[0].reason and "Traceback" not in runs[0].reason
    assert "Traceback" in (runs[0].path / "log.txt").read_text()
    assert not (runs[0].path / "adapter").exists()
    assert seen.count("run") == 2 and "failed" in seen and "finished" in seen

    seen.clear()
    before = runs[1].path.joinpath("result.json").stat().st_mtime_ns
    again = run_all([good], [0], tmp_path, observer=lambda kind, _: seen.append(kind))
    assert seen == ["skipped"] and again[0].state == "finished"
    assert runs[1].path.joinpath("result.json").stat().st_mtime_ns == before


def test_running_twice_is_refused_and_force_keeps_the_old_folder(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe("head", training={"max_steps": 2})
    writer = open_run(tmp_path, recipe, 0)
    with pytest.raises(RunRefused, match=f"process {os.getpid()} on .* queued since"):
        train(recipe, 0, tmp_path)
    writer.close("failed", "given up")
    assert train(recipe, 0, tmp_path).state == "finished"
    with pytest.raises(RunRefused, match="finished already"):
        train(recipe, 0, tmp_path)
    assert train(recipe, 0, tmp_path, force=True).state == "finished"
    shelf = tmp_path / "tiny" / ".replaced"
    states = [json.loads((p / "status.json").read_text())["state"] for p in sorted(shelf.iterdir())]
    assert states == ["failed", "finished"]
    assert len(list_runs(tmp_path)) == 1


def test_a_request_to_stop_ends_the_whole_series_whenever_it_comes(
    make_recipe: Make, tmp_path: Path
) -> None:
    recipe = make_recipe("head", training={"max_steps": 2})

    def ask_during_the_export(kind: str, fields: dict[str, Any]) -> None:
        if kind == "phase" and fields["phase"] == "export":
            os.kill(os.getpid(), signal.SIGTERM)

    runs = run_all([recipe], [0, 1, 2], tmp_path, observer=ask_during_the_export)
    assert [r.state for r in runs] == ["finished"]
    assert len(list_runs(tmp_path)) == 1


@pytest.mark.parametrize("phase", ["load", "train", "test"])
def test_a_stop_is_heard_between_the_phases_too(
    phase: str, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe("head", training={"max_steps": 2, "validate_every": 2})

    def ask(kind: str, fields: dict[str, Any]) -> None:
        if kind == "phase" and fields["phase"] == phase:
            (run_path(tmp_path, recipe, 0) / "stop").touch()

    run = train(recipe, 0, tmp_path, observer=ask)
    assert run.state == "stopped", run.reason
    assert [e["phase"] for e in run.events()[0] if e["kind"] == "phase"][-1] == phase
    whole = train(recipe, 0, tmp_path, resume=True)
    assert whole.state == "finished", whole.reason
    assert [e["step"] for e in whole.events()[0] if e["kind"] == "step"] == [1, 2]


def test_one_owner_at_a_time_also_for_resuming(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("head")
    writer = open_run(tmp_path, recipe, 0)
    (writer.path / "status.json").unlink()  # as in the moment before it is first written
    for resume in (False, True):
        with pytest.raises(RunRefused, match="another process has this run"):
            open_run(tmp_path, recipe, 0, resume=resume)
    writer.close("stopped")
    open_run(tmp_path, recipe, 0, resume=True).close("stopped")


def test_an_adapter_of_an_attempt_that_died_is_replaced(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe("head", training={"max_steps": 2})
    first = train(recipe, 0, tmp_path)
    (first.path / "result.json").unlink()  # killed between the adapter and the result
    status = json.loads((first.path / "status.json").read_text())
    (first.path / "status.json").write_text(json.dumps({**status, "state": "interrupted"}))
    again = train(recipe, 0, tmp_path, resume=True)
    assert again.state == "finished", again.reason


def test_changed_data_runs_again(make_recipe: Make, tmp_path: Path, topics_file: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(topics_file.read_bytes())
    recipe = make_recipe("head", data={"source": str(file)}, training={"max_steps": 2})
    seen: list[str] = []

    def watch(kind: str, _: dict[str, Any]) -> None:
        seen.append(kind)

    run_all([recipe], [0], tmp_path / "runs", observer=watch)
    run_all([recipe], [0], tmp_path / "runs", observer=watch)
    assert seen.count("run") == 1 and "skipped" in seen
    with open(file, "a") as more:
        more.write(json.dumps({"text": "a wholly new text", "label": "sport"}) + "\n")
    (run,) = run_all([recipe], [0], tmp_path / "runs", observer=watch)
    assert seen.count("run") == 2 and run.state == "finished"
