"""Runs that are really killed, and what is compared once they have gone on."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.methods.test_contract import CASES, RATES
from tests.run_files import unlike
from tests.training.killing import dying_at, in_child, without_forecast
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run
from workbench.training import checkpoint_files, launched
from workbench.training.accumulation import Accumulation
from workbench.training.checkpoint_folder import CheckpointFolder

SAY_WHAT_HAPPENED = ("checkpoints", "warnings", "warning", "forced", "progress")
"""What tells a run that was resumed from one that was not: how it got there."""


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
    return lambda: setattr(launched, "Step", dying_at(step, launched.Step))


def difference(whole: Run, resumed: Run, *, but: Sequence[str] = ()) -> str:
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
    return exported_difference(whole, resumed, but=but)


def exported_difference(whole: Run, resumed: Run, *, but: Sequence[str] = ()) -> str:
    """The same without the checkpoints: every other file, and each step once in the log."""
    if unequal := unlike(whole.path, resumed.path, but=(*SAY_WHAT_HAPPENED, *but)):
        return ", ".join(unequal)
    steps = [row["step"] for row in resumed.events()[0] if row["kind"] == "step"]
    return "" if steps == list(range(1, len(steps) + 1)) else "the steps in the log"
