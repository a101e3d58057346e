"""``workbench curve`` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    asked = ["curve", study, "--sizes", "4,8", "--seeds", "0,1"]
    planned = workbench(*asked, "--dry-run", "--json").json["runs"]
    assert [(row["recipe"], row["steps"], row["left"]) for row in planned] == [
        ("tiny-curve/head-n4", 1, 2), ("tiny-curve/lora-n4", 1, 2),
        ("tiny-curve/head-n8", 2, 2), ("tiny-curve/lora-n8", 2, 2),
    ]  # fmt: skip
    assert workbench(*asked, "--no-run").code == 2

    first = workbench(*asked[:3], "4,8", "--seeds", "0", "--json")
    assert first.code == 0, first.err
    answer = workbench(*asked, "--output", "page", "--json")
    assert answer.code == 0, answer.err
    assert "run 2 of 8" in answer.err and (Path("page") / "size-curves.svg").is_file()
    points = {(p["name"], p["size"]): p["scores"] for p in answer.json["points"]}
    assert set(points["lora", 8]) == {"0", "1"}
    assert points["lora", 8]["0"] == next(
        p["scores"]["0"] for p in first.json["points"] if (p["name"], p["size"]) == ("lora", 8)
    )
    assert {"majority class", "TF-IDF + logistic regression"} <= {name for name, _ in points}

    rows = workbench("compare", "tiny-curve", "--json").json["rows"]
    groups = {row["recipe"]: row["group"] for row in rows}
    assert groups["lora-n4"] == groups["head-n4"] != groups["lora-n8"] == groups["head-n8"]
    assert {tuple(row["seeds"]) for row in rows} == {(0, 1)}
    assert "left" in workbench(*asked, "--dry-run").out
    assert "0 runs left" in workbench(*asked, "--dry-run").err


def test_curve_refuses_more_examples_than_there_are_before_it_runs(
    workbench: Workbench, study: Path
) -> None:
    answer = workbench("curve", study, "--sizes", "4,4000")
    assert answer.code == 2 and "4,000 for train" in answer.err
    assert not Path("runs").exists()
    assert workbench("curve", study, "--sizes", "4").code == 2
    assert workbench("curve", study, "--sizes", "4,8", "--format", "latex").code == 2
