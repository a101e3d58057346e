"""``make bench``: what a later run of a study costs beyond its training, in seconds of one core.

The second and third seed of a recipe are run by one command on one thread, with 4 steps and 4 texts
for the test, and again with 8 of each. What is left at no steps and no texts is the fixed cost:
setting up, measuring memory, the export and the plain-load check in its own process. Retention is
left out, as a recipe may, and printed by itself: it takes as long as a pass over 1,536 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

RECIPES = {"quickstart/lora": 1.5, "quickstart-gpt/lora": 5.0}
"""Recipes, and the most that a later run of each may cost."""
SEEDS = [0, 1, 2]
FEW, MORE = 4, 8
"""Steps and texts of the runs that the fixed cost is worked out from."""


def main() -> None:
    """Measures the recipes and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.later_runs", description=__doc__)
    parser.add_argument("--recipe", nargs="+", default=list(RECIPES))
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        recipe, steps, texts, retention = arguments.measure
        print(json.dumps(later_runs(recipe, int(steps), int(texts), retention)))
        return
    print("fixed cost of a later run of one command, CPU seconds on one thread, check included")
    for recipe in arguments.recipe:
        few, steps, texts = (
            statistics.median(_in_own_process(recipe, *sizes))
            for sizes in ((FEW, FEW), (MORE, FEW), (FEW, MORE))
        )
        retention = statistics.median(_in_own_process(recipe, FEW, FEW, retention=True)) - few
        step, text = ((more - few) / (MORE - FEW) for more in (steps, texts))
        bar = f" (at most {RECIPES[recipe]})" if recipe in RECIPES else ""
        print(
            f"{recipe}: {few - FEW * (step + text):.2f} s{bar}; a step {step:.2f}, a text of the "
            f"test {text:.2f}, a run of {FEW} each {few:.2f}, retention {retention:.2f}"
        )


def later_runs(name: str, steps: int, texts: int, retention: str = "false") -> list[float]:
    """CPU seconds of each run but the first, this process and the checking one together."""
    from workbench.heavy_imports import loading_libraries
    from workbench.recipe import load_recipe

    sizes = [f"training.max_steps={steps}", f"data.test_size={texts}"]
    sizes.append(f"evaluation.retention={retention}")
    recipe = load_recipe(name, sizes)
    with loading_libraries():
        from workbench.pipeline.runner import run_all

    began: list[float] = []
    costs: list[float] = []

    def watch(kind: str, fields: dict[str, Any]) -> None:
        if kind == "run":
            began.append(_cpu_seconds())
        elif kind == "finished":
            costs.append(_cpu_seconds() - began[-1])
        elif kind == "failed":
            raise SystemExit(str(fields.get("reason")))

    with tempfile.TemporaryDirectory() as folder:
        run_all([recipe], SEEDS, Path(folder), observer=watch)
    return costs[1:]


def _in_own_process(recipe: str, steps: int, texts: int, *, retention: bool = False) -> list[float]:
    sizes = [str(steps), str(texts), str(retention).lower()]
    command = [sys.executable, "-m", "benchmarks.later_runs", "--measure", recipe, *sizes]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    costs: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return costs


def _cpu_seconds() -> float:
    """User and system time of this process and of its children, those that have ended included."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    own = sum(each.user + each.system for each in times)
    return own + sum(each.children_user + each.children_system for each in times)


if __name__ == "__main__":
    main()
