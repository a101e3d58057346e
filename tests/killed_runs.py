"""Runs that are really killed, and what is compared once they have gone on."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.methods.test_contract import CASES, RATES
from tests.training.killing import dying_at, in_child, without_forecast
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run
from workbench.training import checkpoint_files, trainer
from workbench.training.accumulation import Accumulation
from workbench.training.checkpoint_folder import CheckpointFolder


class Unchecked:
    """In the place of the process that loads exports, whose imports take 4 s of CPU time: the
    undisturbed run's export was checked, and equal bytes load equally."""

    def start(self) -> None:
        """Nothing has to be imported."""

    def wait(self) -> None:
        """It is ready."""

    def ask(self, _request: dict[str, Any]) -> dict[str, Any]:
        """It measures nothing."""
        return {"error": "nothing is loaded"}

    def __enter__(self) -> Unchecked:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""


def the_recipe(make_recipe: Callable[..., Recipe], case: str, **training: Any) -> Recipe:
    """Fourteen steps of three micro-batches with random dropout, saved after every third."""
    values: dict[str, Any] = {"epochs": 2, "micro_batch_size": 3, "dropout": 0.1}
    values |= {"learning_rate": RATES.get(case, 2e-2), "validate_every": 3} | training
    return make_recipe(copy.deepcopy(CASES[case]), training=values)


def killed(recipe: Recipe, runs: Path, prepare: Callable[[], object], *, resume: bool) -> Path:
    """The folder of a run whose process was killed at the point that ``prepare`` sets up."""

    def run() -> None:
        from workbench.pipeline.runner import run_recipe

        without_forecast()
        prepare()
        run_recipe(recipe, 0, runs, resume=resume, loader=Unchecked())  # type: ignore[arg-type]

    assert in_child(run) == signal.SIGKILL
    (folder,) = (runs / "tiny").glob("[a-z]*")
    assert read_run(folder).state == "interrupted"
    return folder


def begin(*arguments: str, prepare: Callable[[], object] = lambda: None) -> int:
    """The pid of a forked ``workbench`` that checks no export, for which something is set up."""
    from workbench import cli
    from workbench.pipeline import pipeline, runner

    if child := os.fork():
        return child
    code = 1
    try:
        without_forecast()
        pipeline.check_folder = lambda *_: 0.0
        runner.PlainLoader = Unchecked  # type: ignore[assignment,misc]
        prepare()
        code = cli.main(list(arguments))
    finally:
        os._exit(code)


def in_backward(step: int, part: int = 2) -> Callable[[], object]:
    """A kill in a micro-batch of the child's ``step``-th step: gradients are half added up."""
    call = (step - 1) * 3 + part
    return lambda: setattr(Accumulation, "_losses", dying_at(call, Accumulation._losses))


def after_step(step: int) -> Callable[[], object]:
    """A kill between the optimizer's ``step``-th step in the child and its row in the log."""
    return lambda: setattr(trainer, "Step", dying_at(step, trainer.Step))


def shown(rows: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    """Rows of the log without what a clock says."""
    return [
        {k: v for k, v in row.items() if k not in ("time", "seconds")}
        for row in rows
        if row["kind"] in kinds
    ]


def difference(whole: Run, resumed: Run) -> str:
    """What two runs of a recipe do not have in common, of all that they leave; empty if nothing."""
    (last, *_) = CheckpointFolder(whole.path / "checkpoints").newest_first()
    saved = [last, resumed.path / "checkpoints" / last.name]
    tensors, states = zip(*(checkpoint_files.load(path) for path in saved), strict=True)
    for stem in tensors[0]:
        bits = [{k: v.numpy().tobytes() for k, v in each[stem].items()} for each in tensors]
        if bits[0] != bits[1]:
            return f"{stem} in the last checkpoint"
    if [{**s, "mark": 0} for s in states][0] != {**states[1], "mark": 0}:
        return "the state in the last checkpoint"
    return exported_difference(whole, resumed)


def exported_difference(whole: Run, resumed: Run) -> str:
    """The same without the last checkpoint: adapter, log and predictions."""
    for file in sorted(whole.adapter.glob("*.safetensors")):
        if file.read_bytes() != (resumed.adapter / file.name).read_bytes():
            return f"the adapter's {file.name}"
    rows = [shown(run.events()[0], "step", "validation") for run in (whole, resumed)]
    if rows[0] != rows[1]:
        return "the log"
    steps = [row["step"] for row in rows[1] if row["kind"] == "step"]
    if steps != list(range(1, len(steps) + 1)):
        return "the steps in the log"
    tables = [pq.read_table(run.path / "predictions.parquet") for run in (whole, resumed)]
    return "" if tables[0].equals(tables[1]) else "the predictions"
