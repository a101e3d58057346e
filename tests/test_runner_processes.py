"""A run on two processes is the run on one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.small_recipes import small_recipe
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs

Make = Callable[..., Recipe]
Train = Callable[..., Run]


def succeed(command: list[str]) -> None:
    """Runs a command on the CPU from the top folder, and says what it said if it fails."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=300,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(make_recipe: Make, train: Train, tmp_path: Path) -> None:
    """Every example once, the same losses, one record; by `--processes` and by accelerate."""
    recipe = make_recipe("lora", training={"learning_rate": 1e-2, "epochs": 3})
    alone = train(recipe, 0, tmp_path / "one")
    assert alone.state == "finished", alone.reason
    file = tmp_path / "lora.yaml"
    file.write_text(dump_recipe(recipe))
    commands = {
        "processes": [sys.executable, "-m", "workbench", "run", str(file), "--processes", "2"],
        "accelerate": [
            *(sys.executable, "-m", "accelerate.commands.launch"),
            *("--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
            *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
            *("-m", "workbench", "run", str(file)),
        ],
    }
    for name, command in commands.items():
        succeed([*command, "--runs", str(tmp_path / name)])
        (both,) = list_runs(tmp_path / name)
        assert both.state == "finished", both.reason
        assert both.result["policy"]["processes"] == 2
        assert both.result["time"]["examples_seen"] == alone.result["time"]["examples_seen"]
        losses = [[e["loss"] for e in r.events()[0] if e["kind"] == "step"] for r in (alone, both)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-4)
        assert both.result["metrics"]["test"] == pytest.approx(
            alone.result["metrics"]["test"], abs=0.05
        )


@pytest.mark.slow
def test_two_processes_tag_and_write_what_one_does(
    tiny_bert: Path, tiny_llama: Path, train: Train, tmp_path: Path
) -> None:
    """Losses are means over tokens, of which each process has another number; texts are gathered
    from both."""
    files = tmp_path / "recipes"
    files.mkdir()
    alone: dict[str, Run] = {}
    for task, model in (("token-classification", tiny_bert), ("instruction", tiny_llama)):
        recipe = small_recipe(task, "lora", model, tmp_path, training={"max_steps": 8})
        (files / f"{task}.yaml").write_text(dump_recipe(recipe))
        alone[task] = train(recipe, 0, tmp_path / "one")
        assert alone[task].state == "finished", alone[task].reason
    succeed(
        [
            *(sys.executable, "-m", "workbench", "run", str(files)),
            *("--processes", "2", "--runs", str(tmp_path / "two")),
        ]
    )
    both = {run.result["task"]: run for run in list_runs(tmp_path / "two")}
    assert both.keys() == alone.keys()
    for task, run in both.items():
        single = alone[task]
        assert run.result["policy"]["processes"] == 2
        assert run.result["time"]["examples_seen"] == single.result["time"]["examples_seen"]
        losses = [[e["loss"] for e in r.events()[0] if e["kind"] == "step"] for r in (single, run)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-4)
        assert run.result["metrics"]["test"] == pytest.approx(
            single.result["metrics"]["test"], rel=1e-3
        )
        tables = [pq.read_table(r.path / "predictions.parquet").to_pydict() for r in (single, run)]
        assert tables[0]["id"] == tables[1]["id"] and len(set(tables[1]["id"])) == 8
        assert tables[0]["prediction"] == tables[1]["prediction"]
