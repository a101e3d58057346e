"""A recipe gives the same files, whatever the hash seed of its process and however it got there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.run_files import unlike
from tests.small_recipes import METHODS, small_recipe
from tests.trained_runs import SharedFolder
from workbench.recipe import dump_recipe
from workbench.recipe.tasks import TASK_SPECS

ROOT = Path(__file__).parents[2]
SHORT = [("bert", "text-classification", "lora"), ("llama", "instruction", "prefix")]
TASKS = {
    "text-classification": "bert",
    "token-classification": "bert",
    "question-answering": "bert",
    "masked-lm": "bert",
    "instruction": "gpt2",
    "causal-lm": "llama",
}
LONG = [
    (family, task, method)
    for task, family in TASKS.items()
    for method in METHODS
    if method != "head" or TASK_SPECS[task].new_head
]
KILLED_AFTER = 3
HASH_SEEDS = ("1", "2", "3")
"""Of a run, the same again, and one that is killed and resumed."""


@pytest.mark.parametrize(
    "cells",
    [pytest.param(SHORT, marks=pytest.mark.slow), pytest.param(LONG, marks=pytest.mark.nightly)],
    ids=["a few", "every task and method"],
)
def test_every_file_is_the_same_again_and_after_a_kill(
    cells: list[tuple[str, str, str]], shared: SharedFolder, tmp_path: Path
) -> None:
    """Every file of the run's folder and of the export, in processes of other hash seeds."""
    files = [_recipe(shared, tmp_path, *cell) for cell in cells]
    for place, seed in enumerate(HASH_SEEDS):
        step = KILLED_AFTER if place == 2 else 0
        command = [sys.executable, "-m", "tests.whole_runs", str(step), str(tmp_path / seed)]
        done = subprocess.run(
            [*command, *files],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "WORKBENCH_CACHE": str(tmp_path / "kept")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    first, again, resumed = (tmp_path / seed for seed in HASH_SEEDS)
    assert len(list(first.glob("exported/*/*.safetensors"))) == len(cells)
    logs = [file.read_text() for file in resumed.glob("*/*/events.jsonl")]
    assert len(logs) == len(cells) and all('"resumed"' in log for log in logs)
    assert {str(each): unlike(first, each) for each in (again, resumed)} == {
        str(again): [],
        str(resumed): [],
    }


def _recipe(shared: SharedFolder, folder: Path, family: str, task: str, method: str) -> str:
    name = f"{family}-{task}-{method}"
    training = {"max_steps": 5, "checkpoint_minutes": 1e-6, "dropout": 0.1}
    recipe = small_recipe(
        task, method, shared.model(family), folder, name=name, study="all", training=training
    )
    file = folder / f"{name}.yaml"
    file.write_text(dump_recipe(recipe))
    return str(file)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "adapter" / "a.json").write_text("[2, 1]"), "adapter/a.json"),
        (lambda folder: (folder / "more").touch(), "more is in one only"),
        (lambda folder: _write(folder, loss=0.5), "result.json: .loss"),
        (lambda folder: _write(folder, train_seconds=9), None),
        (lambda folder: (folder / "log.txt").write_text("another warning"), None),
    ],
)  # fmt: skip
def test_what_differs_is_named(
    tmp_path: Path, change: Callable[[Path], object], named: str | None
) -> None:
    """The comparison itself: no file and no field escapes it, but for clocks and processes."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        (folder / "adapter").mkdir(parents=True)
        (folder / "adapter" / "a.json").write_text("[1, 2]")
        _write(folder)
    assert not unlike(*folders)
    change(folders[1])
    assert unlike(*folders) == ([named] if named else [])


def _write(folder: Path, **changed: float) -> None:
    result = {"loss": 0.25, "train_seconds": 1.0} | changed
    (folder / "result.json").write_text(json.dumps(result))
