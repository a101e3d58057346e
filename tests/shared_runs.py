"""Recipes for runs whose processes share weights or optimizer state, and these runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.killed_runs import Unchecked, after_step, difference
from tests.small_recipes import small_recipe
from tests.trained_runs import SharedFolder
from tests.two_processes import SHARDED, together, zero
from workbench.pipeline import pipeline
from workbench.pipeline.runner import run_recipe
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs, read_run, run_path
from workbench.training.checkpoint_folder import CheckpointFolder

Make = Callable[..., Recipe]
ROOT = Path(__file__).parents[1]
FAMILIES = {"text-classification": "bert", "instruction": "llama"}


@dataclass(frozen=True)
class Case:
    """A recipe that is run by processes that share nothing, and by ones that share."""

    task: str
    method: str
    name: str
    training: dict[str, Any]
    decoding: dict[str, Any]

    def recipe(self, shared: SharedFolder) -> Recipe:
        """A validation of 7 and a test of 9 examples leave one process without any at the end,
        and the gradients are long enough to be clipped."""
        training = {"max_grad_norm": 0.05, "keep": "best", "validate_every": 2, **self.training}
        sections: dict[str, Any] = {
            "name": self.name,
            "training": training,
            "data": {"validation_size": 7, "test_size": 9},
        }
        if self.decoding:
            sections["task"] = {"decoding": self.decoding}
        data = shared.path / "data"
        data.mkdir(exist_ok=True)
        model = shared.model(FAMILIES[self.task])
        return small_recipe(self.task, self.method, model, data, **sections)


def _case(task: str, method: str, mark: str = "", /, **training: Any) -> Case:
    decoding = training.pop("decoding", {})
    return Case(task, method, "-".join(filter(None, [task, method, mark])), training, decoding)


ASKED = [
    _case(task, method)
    for task in ("text-classification", "instruction")
    for method in ("full", "lora", "prefix", "prompt")
]
MORE = [
    _case("text-classification", "bitfit"),
    _case("text-classification", "lora", "bf16", precision="bf16"),
    _case("instruction", "full", "bf16", precision="bf16"),
    _case("instruction", "prompt", "bf16", precision="bf16"),
    _case(
        "instruction",
        "lora",
        "beams",
        micro_batch_size=3,
        gradient_checkpointing=True,
        decoding={"max_new_tokens": 4, "num_beams": 2},
    ),
]
EVERY = [
    pytest.param(
        case,
        id=case.name,
        marks=pytest.mark.nightly if case.name.endswith("bf16") else pytest.mark.slow,
    )
    for case in [*ASKED, *MORE]
]


BLOWN_UP = {"learning_rate": 100.0, "max_grad_norm": None, "epochs": 40, "warmup_ratio": 0.0,
            "lr_scheduler": "constant", "weight_decay": 10.0}  # fmt: skip


def environment() -> dict[str, str]:
    """Of a process that finds the workbench, and no GPU."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


def rows_of(run: Run, kind: str, field: str) -> list[Any]:
    """One field of all rows of a kind in a run's log."""
    return [row[field] for row in run.events()[0] if row["kind"] == kind]


def launch(config: Path, recipe: Recipe, runs: Path, *options: str) -> Run:
    """The run of two processes that accelerate's launcher starts by a shipped configuration.

    Args:
        options: more for the launcher.
    """
    file = runs.with_name(f"{runs.name}.yaml")
    file.write_text(dump_recipe(recipe))
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += [*options, "-m", "workbench", "run", str(file), "--runs", str(runs)]
    done = run_quietly(command)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = list_runs(runs)
    return run


def resume(run: Run, *more: str) -> subprocess.CompletedProcess[str]:
    """``workbench resume`` of a run, as a person types it."""
    command = [sys.executable, "-m", "workbench", "resume", str(run.path), *more]
    return run_quietly([*command, "--runs", str(run.path.parents[1])])


def run_quietly(
    command: Sequence[str], timeout: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command with its output kept, and the exit code that it has."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=timeout,
        check=False,
        env=environment() | variables,
    )


# --- forked -------------------------------------------------------------------------------------


def forked(
    recipe: Recipe,
    runs: Path,
    sharing: Mapping[str, str],
    *,
    loader: Any = None,
    prepare: Callable[[], object] | None = None,
    resume: bool = False,
    fails: bool = False,
) -> Run:
    """A run of two forked processes, which keeps its last checkpoint.

    Args:
        loader: checks the export; without one nothing is checked.
        prepare: called in each process before the run.
        fails: it is expected not to finish.
    """
    checked = loader is not None
    if checked:
        loader.wait()

    def work() -> None:
        CheckpointFolder.finish = CheckpointFolder.remove_leftovers  # type: ignore[method-assign]
        if prepare is not None:
            prepare()
        if checked:
            loader.start = lambda: None  # the parent's process, which is waiting for this one
        else:
            pipeline.check_folder = lambda *_: 0.0
        run = run_recipe(recipe, 0, runs, resume=resume, loader=loader or Unchecked())
        assert run.state == "finished", run.reason

    runs.mkdir(parents=True, exist_ok=True)
    said = runs / "said.txt"
    codes = together(work, said, sharing)
    assert (codes != [0, 0]) == fails, said.read_text()[-3000:]
    return read_run(run_path(runs, recipe, 0))


WAYS: dict[str, Mapping[str, str] | None] = {
    "alone": None,
    "whole": {},
    "shared": SHARDED,
    "zero1": zero(1),
    "zero2": zero(2),
}
"""Ways of running: by one process, by two that share nothing, and by two that share."""


class Ways:
    """The run of each case in each way, made by the worker that first asks for it."""

    def __init__(self, shared: SharedFolder, loader: Any) -> None:
        self._shared, self._loader = shared, loader

    def run(self, case: Case, way: str) -> Run:
        """A finished run, to be read only."""
        recipe, runs, sharing = case.recipe(self._shared), self._shared.path / way, WAYS[way]
        with FileLock(self._shared.path / f"{way}-{case.name}.lock"):
            run = read_run(run_path(runs, recipe, 0))
            if run.state == "finished":
                return run
            if sharing is None:
                run = run_recipe(recipe, 0, runs, loader=self._loader)
                assert run.state == "finished", run.reason
                return run
            return forked(recipe, runs, sharing, loader=self._loader)


def killed_and_resumed(
    case: Case, shared: SharedFolder, sharing: Mapping[str, str], folder: Path
) -> Run:
    """A run that was killed after step 5, now resumed, and the undisturbed run's to the bit.

    Returns:
        the run as the kill left it.
    """
    training = {**case.training, "dropout": 0.1, "max_steps": 7, "micro_batch_size": 2}
    recipe = replace(case, training=training).recipe(shared)
    undisturbed = forked(recipe, folder / "undisturbed", sharing)
    killed = forked(recipe, folder / "killed", sharing, prepare=after_step(5), fails=True)
    assert killed.state in ("interrupted", "failed")
    resumed = forked(recipe, folder / "killed", sharing, resume=True)
    assert rows_of(resumed, "resumed", "step") == [4]
    assert not difference(undisturbed, resumed)
    return killed


def assert_guarded(sharing: Mapping[str, str], make_recipe: Make, folder: Path) -> None:
    """A tiny rate moves nothing; a huge one makes the loss non-finite: both fail, and say so."""
    still = make_recipe("prefix", training={"learning_rate": 1e-30})
    run = forked(still, folder / "still", sharing, fails=True)
    assert run.state == "failed" and "did not move in the first step" in run.reason
    blown_up = make_recipe("full", training=BLOWN_UP)
    run = forked(blown_up, folder / "blown-up", sharing, fails=True)
    assert run.state == "failed" and "the gradient norm" in run.reason
    losses = rows_of(run, "step", "loss")
    assert losses and all(loss == loss for loss in losses)
