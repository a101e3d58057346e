"""Commands on whole studies as they are typed: ``curve`` and ``run --until-decided``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.store import Run

Workbench = Callable[..., Any]


@pytest.fixture
def study(tiny_bert: Path, topics_file: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "_base.yaml").write_text(
        f"task: {{name: text-classification}}\n"
        f"model: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {topics_file}, validation_size: 16, test_size: 24}}\n"
        f"training: {{epochs: 1, batch_size: 4, precision: fp32}}\n"
        f"seeds: [0, 1]\n"
    )
    for method in ("lora", "head"):
        (folder / f"{method}.yaml").write_text(f"base: _base.yaml\nmethod: {{name: {method}}}\n")
    return folder


@pytest.mark.integration
def test_curve_runs_what_is_missing_and_shows_the_rest(workbench: Workbench, study: Path) -> None:
    asked = ["curve", study, "--sizes", "4,8", "--seeds", "0"]
    planned = workbench(*asked, "--dry-run", "--json").json["runs"]
    assert [(row["recipe"], row["steps"], row["left"]) for row in planned] == [
        ("tiny-curve/head-n4", 1, 1), ("tiny-curve/lora-n4", 1, 1),
        ("tiny-curve/head-n8", 2, 1), ("tiny-curve/lora-n8", 2, 1),
    ]  # fmt: skip
    assert workbench(*asked, "--no-run").code == 2

    answer = workbench(*asked, "--output", "page", "--json")
    assert answer.code == 0, answer.err
    assert "tiny-curve/lora-n8-s0" in answer.err and (Path("page") / "size-curves.svg").is_file()
    points = {(p["name"], p["size"]): p["scores"] for p in answer.json["points"]}
    assert set(points["lora", 8]) == {"0"}
    again = workbench(*asked, "--json")
    assert again.err.count("finished before, skipped") == 4 and again.json == answer.json
    assert {"majority class", "TF-IDF + logistic regression"} <= {name for name, _ in points}

    rows = workbench("compare", "tiny-curve", "--json").json["rows"]
    groups = {row["recipe"]: row["group"] for row in rows}
    assert groups["lora-n4"] == groups["head-n4"] != groups["lora-n8"] == groups["head-n8"]
    left = workbench(*asked, "--dry-run")
    assert "left" in left.out and "0 runs left" in left.err


def test_curve_refuses_more_examples_than_there_are_before_it_runs(
    workbench: Workbench, study: Path
) -> None:
    answer = workbench("curve", study, "--sizes", "4,4000")
    assert answer.code == 2 and "4,000 for train" in answer.err
    assert "ask for less in --sizes" in answer.err and "data.train_size" not in answer.err
    assert not Path("runs").exists()
    assert workbench("curve", study, "--sizes", "4").code == 2
    assert workbench("curve", study, "--sizes", "4,8", "--format", "latex").code == 2


@pytest.mark.integration
def test_run_until_decided_adds_seeds_and_continues(workbench: Workbench, study: Path) -> None:
    asked = ["run", study, "--until-decided", "--max-seeds", 3]
    answer = workbench(*asked)
    assert answer.code == 0, answer.err
    looks = [line for line in answer.err.splitlines() if line.startswith("look at")]
    assert looks[0].startswith("look at 2 seeds of at most 3: ")
    document = json.loads(next(Path("runs/tiny").glob("looks-*.json")).read_text())
    assert [look["seeds"] for look in document["looks"]] == [2, 3][: len(looks)]
    verdict = workbench("compare", "tiny", "--json").json["verdicts"][0]
    assert verdict["looks"] == len(looks) and verdict["runs"] == 1 + len(looks)

    again = workbench(*asked, "--json")
    assert again.code == 0 and again.json["verdicts"] == [verdict]
    assert "finished before, skipped" in again.err
    assert workbench("run", study, "--until-decided", "--max-seeds", 4).code == 2


def test_curve_that_failed_at_once_ends_as_its_runs_do(
    workbench: Workbench, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Run(path=Path("x"), state="failed", reason="", status={"exit_code": 1})
    monkeypatch.setattr("workbench.cli.curve.run_here", lambda *_, **__: [failed])
    assert workbench("curve", study, "--sizes", "4,8").code == 1
