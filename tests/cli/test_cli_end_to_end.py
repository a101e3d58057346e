"""The commands one after the other on a tiny model."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.recipe import recipes_dir
from workbench.training.guards import check_finite


@pytest.fixture
def study(tiny_bert: Path, topics_file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "_base.yaml").write_text(
        f"task: {{name: text-classification}}\n"
        f"model: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {topics_file}, validation_size: 16, test_size: 24}}\n"
        f"training: {{epochs: 2, batch_size: 8, precision: fp32, learning_rate: 1e-2}}\n"
    )
    (folder / "lora.yaml").write_text("base: _base.yaml\nmethod: {name: lora}\n")
    return folder


def test_from_a_recipe_to_a_prediction(workbench: Callable[..., Any], study: Path) -> None:
    (plan,) = workbench("plan", study, "--json").json["plans"]
    assert plan["adapter_parameters"] == 2048, "2 layers x (query, value) x 8 x (32 + 32)"

    answer = workbench("run", study, "--seeds", "0,1", "--json")
    assert answer.code == 0, answer.err
    first, second = answer.json["runs"]
    assert (first["state"], second["state"]) == ("finished", "finished")
    rows = [line.split()[:2] for line in answer.err.splitlines() if "  accuracy " in line]
    assert rows == [[first["id"], "accuracy"], [second["id"], "accuracy"]], answer.err

    again = workbench("run", study, "--seeds", "0,1")
    assert again.code == 0 and again.err.count("finished before, skipped") == 2

    (row,) = workbench("compare", "tiny", "--format", "json").json["rows"]
    assert row["seeds"] == [0, 1] and row["metrics"]["accuracy"]["n"] == 2
    assert "accuracy" in workbench("show", first["id"]).out

    answer = workbench("export", first["id"], "--output", "out")
    assert answer.code == 0, answer.err
    assert Path("out/adapter_config.json").is_file()
    assert workbench("export", first["id"], "--output", "out").code == 3

    texts = ["--text", "the goal match", "--text", "bank profit"]
    exported = workbench("predict", "out", *texts, "--json").json["predictions"]
    from_run = workbench("predict", first["id"], *texts, "--json").json["predictions"]
    assert [p["logits"] for p in exported] == [p["logits"] for p in from_run]
    assert {p["prediction"] for p in exported} <= {"business", "sport", "tech"}


def test_a_question_is_answered_from_its_text(
    workbench: Callable[..., Any], tiny_bert: Path, topics_file: Path, tmp_path: Path
) -> None:
    contexts = [json.loads(line)["text"] for line in topics_file.read_text().splitlines()[:48]]
    data = tmp_path / "questions.jsonl"
    with open(data, "w") as file:
        for text in contexts:
            row = {"text": text, "question": "the goal", "label": text.split()[1]}
            file.write(json.dumps(row) + "\n")
    recipe = tmp_path / "questions.yaml"
    recipe.write_text(
        "study: tiny\ntask: {name: question-answering, stride: 4}\n"
        f"model: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {data}, text_pair: question, validation_size: 8, test_size: 12}}\n"
        "method: {name: lora}\ntraining: {epochs: 1, precision: fp32}\n"
    )
    answer = workbench("run", recipe, "--json")
    assert answer.code == 0, answer.err
    (run,) = answer.json["runs"]
    assert "answer_f1" in workbench("show", run["id"]).out
    table = workbench("compare", "tiny", "--format", "markdown").out
    assert "answer\\_f1" in table and "majority" not in table

    context = "the bank profit was in the market"
    asked = workbench("predict", run["id"], "--text", context, "--pair", "the goal", "--json")
    (found,) = asked.json["predictions"]
    assert found["prediction"] in context and found["text_pair"] == "the goal"
    answer = workbench("predict", run["id"], "--text", context)
    assert answer.code == 2 and "there is no question about the text" in answer.err


def test_a_run_on_bad_data_ends_with_2_and_says_why(
    workbench: Callable[..., Any], study: Path
) -> None:
    answer = workbench("run", study, "--set", "data.label=topic", "--json")
    assert answer.code == 2
    (row,) = answer.json["runs"]
    assert row["state"] == "failed" and "topic" in row["reason"]


def test_a_training_that_fails_ends_with_1_and_says_why(
    workbench: Callable[..., Any], study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gradient(_loss: float, _norm: float, step: int, rate: float) -> None:
        check_finite(math.inf, 0.0, step, rate)

    monkeypatch.setattr("workbench.training.stepping.check_finite", no_gradient)
    answer = workbench("run", study, "--json")
    assert answer.code == 1
    (row,) = answer.json["runs"]
    assert row["state"] == "failed" and "the loss is inf" in row["reason"]


@pytest.mark.slow
def test_processes_pass_their_exit_code_on() -> None:
    code = "import sys; from workbench.cli.distributed import launch; sys.exit(launch({}, 2))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(["check", "no-such-recipe"])],
        capture_output=True, text=True, timeout=120, cwd=recipes_dir().parent,
    )  # fmt: skip
    assert done.returncode == 2 and "no shipped recipe of that name" in done.stderr
    assert "Traceback" not in done.stderr
