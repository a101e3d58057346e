"""One cell of ``python -m benchmarks.forecast``: a training measured as a run measures it."""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import transformers

from workbench.adapters.save import write_weights
from workbench.costs.memory_meter import MemoryMeter, breakdown, read_whole
from workbench.costs.parameters import count_parameters, stored
from workbench.costs.plan import plan
from workbench.data import load_data
from workbench.distributed.accelerator import make_accelerator
from workbench.methods.build import build_model
from workbench.pipeline.record import WARMUP_STEPS
from workbench.pipeline.setup import make_trainer, set_up
from workbench.recipe import Recipe
from workbench.training.events import Step
from workbench.training.trainer import Trainer

COUNTED = ("trainable", "head", "adapter", "total")
ROUND_STEPS, ROUND_SECONDS = 6, 2.0
"""A round goes on until both are reached."""
EXACT = [*(f"{name}_parameters" for name in (*COUNTED, "stored")), "adapter_bytes"]


def main() -> None:
    """Takes some steps of a recipe; prints forecast and measurement as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=json.loads)
    parser.add_argument("--rounds", type=int, default=0)
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    recipe = Recipe.model_validate(arguments.recipe)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(recipe, arguments.rounds, Path(folder))))


def measure(recipe: Recipe, rounds: int, folder: Path) -> dict[str, Any]:
    """The forecast that a run makes, and what the run measures of its first steps.

    With ``rounds``, plans that begin a new calibration and training steps take turns after that.
    """
    setup = set_up(recipe, 0, load_data(recipe.data, recipe.task), trial=False)
    accelerator = make_accelerator(setup.policy, recipe.training)
    meter = MemoryMeter(accelerator.device)
    meter.start()
    with meter.phase("load"):
        adapted = build_model(recipe, setup.task, setup.load_base, steps=setup.steps, seed=0)
        read_whole(adapted.model)
    counts = count_parameters(adapted)
    trainer = make_trainer(setup, adapted, recipe, 0, accelerator, folder)
    training = trainer.events()
    measured = _first_steps(trainer, meter, training)
    # Only now: what a plan measures of the device would be in the process's memory.
    timed = _in_turn(recipe, training, rounds)
    model = trainer.finish()
    assert model is not None
    write_weights(adapted, recipe.method.name, folder / "adapter")
    size = stored(folder / "adapter")
    measured |= {f"{name}_parameters": counts[name] for name in COUNTED}
    measured |= {"stored_parameters": size["stored"], "adapter_bytes": size["bytes"]}
    counted = plan(recipe, time=False)
    exact = {key: counted[key] for key in EXACT}
    return {"forecast": {**setup.forecast, **exact}, "measured": measured, "exact": EXACT, **timed}


def _first_steps(
    trainer: Trainer, meter: MemoryMeter, training: Iterator[object]
) -> dict[str, Any]:
    meter.reset()
    for _step in itertools.islice(_steps(training), WARMUP_STEPS):
        meter.note("train")
    pieces = breakdown(trainer.model, trainer.optimizer, trainer.weights.kept_bytes)
    meter.keep_freed()
    return meter.record(pieces)


def _in_turn(recipe: Recipe, training: Iterator[object], rounds: int) -> dict[str, Any]:
    """Of each round the seconds per step that its plan predicted and that its steps then took, and
    the range that the last plan gave."""
    predicted: list[float] = []
    taken: list[float] = []
    plans: list[float] = []
    between: list[float] | None = None
    for done in range(rounds):
        started = time.perf_counter()
        planned = plan(recipe, recalibrate=done == 0)
        plans.append(time.perf_counter() - started)
        if planned["seconds_per_step"] is None:
            raise SystemExit(f"no time was predicted: {'; '.join(planned['notes'])}")
        predicted.append(planned["seconds_per_step"])
        between = planned["seconds_per_step_range"]
        steps: list[float] = []
        for step in _steps(training):
            steps.append(step.seconds)
            if len(steps) >= ROUND_STEPS and sum(steps) >= ROUND_SECONDS:
                break
        if not steps:
            raise SystemExit(f"the training ended after {done} rounds; take fewer --rounds")
        taken.append(fmean(steps))
    return {"predicted": predicted, "range": between, "taken": taken, "plan_seconds": plans}


def _steps(training: Iterator[object]) -> Iterator[Step]:
    return (each for each in training if isinstance(each, Step))


if __name__ == "__main__":
    main()
