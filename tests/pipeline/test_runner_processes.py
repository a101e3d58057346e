"""A run on two processes is the run on one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.shared_runs import forked, launch, rows_of, run_quietly
from tests.trained_runs import TrainedRuns
from workbench.cli.distributed import configs_dir
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs

Make = Callable[..., Recipe]
Train = Callable[..., Run]
DDP = configs_dir() / "accelerate" / "ddp.yaml"


def by_accelerate(recipe: Recipe, runs: Path) -> Run:
    """One run by accelerate's launcher and the shipped configuration."""
    return launch(DDP, recipe, runs, "--num_processes", "2")


def by_command(recipe: Recipe, runs: Path) -> Run:
    """One run and one document, by ``--processes``."""
    file = runs.with_name("lora.yaml")
    file.write_text(dump_recipe(recipe))
    command = [sys.executable, "-m", "workbench", "run", str(file), "--processes", "2", "--json"]
    done = run_quietly([*command, "--runs", str(runs)])
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(done.stdout)["runs"]
    (run,) = list_runs(runs)
    assert row["state"] == "finished" and Path(row["path"]) == run.path
    return run


@pytest.mark.parametrize(
    "started",
    [
        pytest.param(by_command, marks=pytest.mark.slow),
        pytest.param(by_accelerate, marks=pytest.mark.nightly),
    ],
)
def test_two_processes_give_what_one_gives(
    started: Callable[[Recipe, Path], Run], make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    """Every example once, the same losses, one record."""
    recipe = make_recipe("lora", training={"learning_rate": 1e-2, "epochs": 3})
    alone, both = train(recipe, 0, tmp_path / "one"), started(recipe, tmp_path / "two")
    assert (alone.state, both.state) == ("finished", "finished"), alone.reason or both.reason
    assert both.result["policy"]["processes"] == 2
    assert both.result["time"]["examples_seen"] == alone.result["time"]["examples_seen"]
    losses = [rows_of(run, "step", "loss") for run in (alone, both)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert both.result["metrics"]["test"] == pytest.approx(
        alone.result["metrics"]["test"], abs=0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "task, family", [("token-classification", "bert"), ("instruction", "llama")]
)
def test_two_processes_tag_and_write_what_one_does(
    task: str, family: str, trained_runs: TrainedRuns, plain_loader: object, tmp_path: Path
) -> None:
    """Losses are means over tokens, of which each process has another number; texts are gathered
    from both."""
    recipe = trained_runs.recipe(task, "lora", family, training={"max_steps": 8})
    alone, both = trained_runs.read(recipe), forked(recipe, tmp_path, {}, loader=plain_loader)
    assert both.result["policy"]["processes"] == 2
    assert both.result["time"]["examples_seen"] == alone.result["time"]["examples_seen"]
    losses = [rows_of(run, "step", "loss") for run in (alone, both)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert both.result["metrics"]["test"] == pytest.approx(
        alone.result["metrics"]["test"], rel=1e-3
    )
    tables = [pq.read_table(r.path / "predictions.parquet").to_pydict() for r in (alone, both)]
    assert tables[0]["id"] == tables[1]["id"] and len(set(tables[1]["id"])) == 8
    assert tables[0]["prediction"] == tables[1]["prediction"]
