"""One of several processes of a run that is killed or goes on, as tests want it.

Usage, by accelerate launch: sharded_worker.py RECIPE RUNS whole|resume|KILLED_AFTER. The last
checkpoint of a finished run stays, to be compared. With a number the process ends like a killed
one after so many optimizer steps.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.killed_runs import after_step
from workbench.recipe import load_recipe
from workbench.runner import run_recipe
from workbench.training.rotation import CheckpointFolder


def main(recipe: str, runs: str, what: str) -> None:
    """Runs the recipe to its end, or to where it is killed."""
    CheckpointFolder.finish = CheckpointFolder.tidy  # type: ignore[method-assign]
    if what.isdigit():
        after_step(int(what))()
    run_recipe(load_recipe(Path(recipe)), 0, Path(runs), resume=what == "resume")


if __name__ == "__main__":
    main(*sys.argv[1:4])
