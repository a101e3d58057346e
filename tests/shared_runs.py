"""Recipes for runs whose processes share weights or optimizer state, and how they are launched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.killed_runs import difference
from tests.small_recipes import small_recipe
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs

Make = Callable[..., Recipe]
ROOT = Path(__file__).parents[1]
SCRIPT = str(Path(__file__).with_name("sharded_worker.py"))


@dataclass(frozen=True)
class Case:
    """A recipe that is run by processes that share nothing, and by ones that share."""

    task: str
    method: str
    name: str
    training: dict[str, Any]
    decoding: dict[str, Any]

    def recipe(self, models: dict[str, Path], folder: Path) -> Recipe:
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
        return small_recipe(self.task, self.method, models[self.task], folder, **sections)


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
        decoding={"max_new_tokens": 4, "beams": 2},
    ),
]


BLOWN_UP = {"learning_rate": 100.0, "max_grad_norm": None, "epochs": 40, "warmup_fraction": 0.0,
            "schedule": "constant", "weight_decay": 10.0}  # fmt: skip


def environment() -> dict[str, str]:
    """Of a process that finds the workbench, and no GPU."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


def rows_of(run: Run, kind: str, field: str) -> list[Any]:
    """One field of all rows of a kind in a run's log."""
    return [row[field] for row in run.events()[0] if row["kind"] == kind]


def launch(config: Path, recipe: Recipe, folder: Path, what: str, *options: str) -> tuple[int, str]:
    """Two processes by a shipped configuration: to the end, killed after a step, or going on.

    Args:
        what: ``whole``, the step to be killed after, or ``resume``.
        options: more for accelerate's launcher.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    done = run_quietly([*accelerate, *options, SCRIPT, str(file), str(folder / "runs"), what])
    return done.returncode, done.stderr[-3000:]


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


def killed_and_resumed(
    case: Case, models: dict[str, Path], config: Path, folder: Path, *options: str
) -> Run:
    """A run that was killed after step 5, now resumed, and the undisturbed run's to the bit.

    Returns:
        the run as the kill left it.
    """
    training = {**case.training, "dropout": 0.1, "max_steps": 7, "micro_batch_size": 2}
    recipe = replace(case, training=training).recipe(models, folder)
    code, said = launch(config, recipe, folder / "undisturbed", "whole", *options)
    assert code == 0, said
    code, _ = launch(config, recipe, folder / "killed", "5", *options)
    assert code != 0
    (killed,) = list_runs(folder / "killed" / "runs")
    assert killed.state in ("interrupted", "failed")
    code, said = launch(config, recipe, folder / "killed", "resume", *options)
    assert code == 0, said
    (undisturbed,) = list_runs(folder / "undisturbed" / "runs")
    (resumed,) = list_runs(folder / "killed" / "runs")
    assert rows_of(resumed, "resumed", "step") == [4]
    assert not difference(undisturbed, resumed)
    return killed


def assert_guarded(config: Path, make_recipe: Make, folder: Path) -> None:
    """A tiny rate moves nothing; a huge one makes the loss non-finite: both fail, and say so."""
    still = make_recipe("prefix", training={"learning_rate": 1e-30})
    assert launch(config, still, folder / "still", "whole")[0] != 0
    (run,) = list_runs(folder / "still" / "runs")
    assert run.state == "failed" and "did not move in the first step" in run.reason
    blown_up = make_recipe("full", training=BLOWN_UP)
    assert launch(config, blown_up, folder / "blown-up", "whole")[0] != 0
    (run,) = list_runs(folder / "blown-up" / "runs")
    assert run.state == "failed" and "the gradient norm" in run.reason
    losses = rows_of(run, "step", "loss")
    assert losses and all(loss == loss for loss in losses)
