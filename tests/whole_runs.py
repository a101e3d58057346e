"""Runs trained from a process of their own, which has its own hash seed.

``python -m tests.whole_runs KILLED_AFTER RUNS RECIPE...``: each run is a fork of it, is killed
after that step (0: never), resumed, and exported to ``RUNS/exported``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.killed_runs import Unchecked, after_step
from tests.training.killing import in_child, without_forecast, wrap


def main(step: int, runs: Path, *files: str) -> None:
    from workbench import cli
    from workbench.pipeline import pipeline, runner
    from workbench.recipe import load_recipe
    from workbench.store import run_path

    without_forecast()
    wrap(pipeline, "check_folder", lambda _: lambda *_: 0.0)
    wrap(runner, "PlainLoader", lambda _: Unchecked)

    def command(*arguments: object, die: bool = False) -> None:
        if die:
            after_step(step)()
        assert cli.main([*map(str, arguments), "--runs", str(runs)]) == 0

    for file in files:
        recipe = load_recipe(file)
        run = run_path(runs, recipe, 0)
        if step:
            assert in_child(lambda file=file: command("run", file, die=True))  # type: ignore[misc]
        again = ("resume", run) if step else ("run", file)
        in_child(lambda again=again: command(*again))  # type: ignore[misc]
        exported = runs / "exported" / recipe.name
        in_child(lambda run=run, out=exported: command("export", run, "--output", out))  # type: ignore[misc]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
