"""``workbench tune`` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.training import stepping

Workbench = Callable[..., Any]


@pytest.fixture
def study(tiny_bert: Path, topics_file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "_base.yaml").write_text(
        f"task: {{name: text-classification}}\n"
        f"model: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {topics_file}, validation_size: 16, test_size: 24}}\n"
        f"training: {{epochs: 1, batch_size: 8, precision: fp32}}\n"
    )
    for method in ("lora", "head"):
        (folder / f"{method}.yaml").write_text(
            f"base: _base.yaml\nmethod: {{name: {method}}}\ntraining: {{learning_rate: 1e-2}}\n"
        )
    return folder


def test_from_a_study_to_tuned_runs(workbench: Workbench, study: Path) -> None:
    answer = workbench("tune", study, "--trials", 2, "--output", "tuned", "--json")
    assert answer.code == 0, answer.err
    document = answer.json
    assert document["complete"] and document["written"] == ["tuned/head.yaml", "tuned/lora.yaml"]
    for each in document["recipes"]:
        assert [trial["number"] for trial in each["trials"]] == [0, 1]
        assert each["best"] in each["trials"] and each["metric"] == "accuracy"
        assert [best["trials"] for best in each["expected_best"]] == [1, 2]
        assert each["steps"] == 14 and each["tokens"] > 0 and each["train_seconds"] > 0
    assert "[1/4] tiny/head trial 1/2, learning rate 0.01: validation accuracy" in answer.err
    assert "left" in answer.err

    table = workbench("tune", study, "--trials", 2)
    assert table.code == 0, table.err
    assert "own values" in table.out and "14 steps" in table.out and "0.01 (" in table.out
    assert "best of 1" in table.out and "best of 2" in table.out and " ± " in table.out
    assert "trial 1/2" not in table.err, "what has ended is not run again"
    refused = workbench("tune", study, "--trials", 2, "--output", "tuned")
    assert refused.code == 2 and "would be overwritten" in refused.err

    run = workbench("run", "tuned/lora.yaml", "--json")
    assert run.code == 0, run.err
    result = json.loads((Path(run.json["runs"][0]["path"]) / "result.json").read_text())
    tuned = next(each for each in document["recipes"] if each["recipe"] == "lora")
    assert result["tuning"]["trials"] == 2
    assert result["tuning"]["train_seconds"] == tuned["train_seconds"]
    assert "2 trials" in workbench("show", run.json["runs"][0]["id"]).out
    rows = workbench("compare", "--format", "json").json["rows"]
    assert [(row["study"], row["recipe"]) for row in rows] == [("tuned", "lora")]


def test_what_was_given_up_is_printed_with_its_reason(workbench: Workbench, study: Path) -> None:
    given = ("tune", study / "head.yaml", "--trials", 2, "--prune", "--set", "training.max_steps=4")
    answer = workbench(*given, "--output", "tuned")
    assert answer.code == 0, answer.err
    assert "pruned" in answer.out and "6 steps" not in answer.out
    (row,) = [line for line in answer.out.splitlines() if "1 goes on" in line]
    assert "pruned at step 1: accuracy" in row and "is place 2 of 2" in row
    assert "best of" not in answer.out, "the scores of all are not known"
    assert "trial 1/2, learning rate 0.01: at step 1/4: accuracy" in answer.err
    document = workbench(*given, "--json").json["recipes"][0]
    assert [document["pruned"], document["failed"], document["steps"]] == [1, 0, 1 + 4]
    assert document["expected_best"] == []
    assert "pruned: 1" in Path("tuned/head.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "Invalid value for '--trials'"),
        ([], "Missing option '--trials'"),
        (["--trials", "2", "--search", "method.r"], "is not of the form KEY=VALUES"),
        (["--trials", "2", "--search", "method.rank=4,8"], "no recipe has a key method.rank"),
        (["--trials", "2", "--search", "data.source=a,b"], "data.source cannot be searched"),
        (["--trials", "2", "--seed", "0"], "--seed 0 is one of the seeds that a recipe reports"),
        (["--trials", "2", "--output", "no good"], "cannot be a name"),
        (["--trials", "2", "--set", "method.r"], "is not of the form key.path=value"),
        (
            ["--trials", "9", "--search", "training.learning_rate=1e-3,1e-2"],
            "9 trials of 2 combinations",
        ),
        (
            ["--trials", "2", "--set", "data.validation_size=null", "--set", "training.keep=last"],
            "no validation split to tune on",
        ),
    ],
)
def test_bad_arguments_are_one_message(
    arguments: list[str], message: str, workbench: Workbench, study: Path
) -> None:
    answer = workbench("tune", study, *arguments)
    assert answer.code == 2 and message in " ".join(answer.err.split())
    assert not Path("runs").exists() or not list(Path("runs").rglob("trial-*"))


def test_a_search_in_which_all_trials_fail_says_so(
    workbench: Workbench, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = stepping.check_finite

    def diverging(loss: float, norm: float, step: int, rate: float) -> None:
        check(float("nan"), norm, step, rate)

    monkeypatch.setattr(stepping, "check_finite", diverging)
    answer = workbench("tune", study / "head.yaml", "--trials", 2, "--output", "tuned")
    assert answer.code == 1 and "head: no trial gave a score" in answer.err
    assert not list(Path("tuned").glob("*.yaml"))
