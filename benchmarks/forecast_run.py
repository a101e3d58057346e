"""One cell of ``python -m benchmarks.forecast``: a training measured as a run measures it."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import transformers

from workbench.export.adapter import write_weights
from workbench.measure.memory import breakdown
from workbench.measure.parameters import stored
from workbench.measure.record import WARMUP_STEPS, Clock
from workbench.planning import plan
from workbench.preparing import Prepared, prepare
from workbench.recipe import Recipe
from workbench.training.events import Step

COUNTED = ("trainable", "head", "adapter", "total")
EXACT = [*(f"{name}_parameters" for name in (*COUNTED, "stored")), "adapter_bytes"]


def main() -> None:
    """Takes some steps of a recipe; prints forecast and measurement as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=json.loads)
    parser.add_argument("--steps", type=int, default=WARMUP_STEPS)
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    recipe = Recipe.model_validate(arguments.recipe)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(recipe, arguments.steps, Path(folder))))


def measure(recipe: Recipe, steps: int, folder: Path) -> dict[str, Any]:
    """The forecast that a run makes, and what ``workbench.line`` measures of its first steps."""
    ready = prepare(recipe, 0, folder / "checkpoints", lambda _phase: None)
    measured = _train(ready, steps)
    session = ready.session
    model = session.finish()
    assert model is not None
    write_weights(ready.adapted, recipe.method.name, folder / "adapter")
    size = stored(folder / "adapter")
    measured |= {f"{name}_parameters": ready.parameters[name] for name in COUNTED}
    measured |= {"stored_parameters": size["stored"], "adapter_bytes": size["bytes"]}
    # Afterwards: what it measures of the device would be in the process's memory.
    started = time.perf_counter()
    counted = plan(recipe, time=steps > WARMUP_STEPS)
    taken = time.perf_counter() - started
    timed = {"seconds_per_step": counted["seconds_per_step"]}
    exact = {key: counted[key] for key in EXACT}
    return {
        "forecast": {**ready.forecast, **exact, **timed},
        "measured": measured,
        "exact": EXACT,
        "plan_seconds": taken,
    }


def _train(ready: Prepared, steps: int) -> dict[str, Any]:
    session, meter, clock = ready.session, ready.meter, Clock()
    pieces: dict[str, int] = {}
    meter.reset()
    for event in session.events():
        if not isinstance(event, Step):
            continue
        clock.add(event)
        if not pieces:
            meter.note("train")
        if clock.steps == WARMUP_STEPS:
            pieces = breakdown(session.model, session.optimizer, session.weights.kept_bytes)
            meter.stop_being_exact()
        if clock.steps >= steps:
            break
    return {
        **meter.record(pieces),
        "seconds_per_step": clock.train / clock.timed_steps if clock.timed_steps else None,
    }


if __name__ == "__main__":
    main()
