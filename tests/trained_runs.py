"""Tiny runs that are trained once in a session, by whichever worker first asks for them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.small_recipes import small_recipe
from tests.tiny_models import make_tiny, topic_rows
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run, run_path


class SharedFolder:
    """A folder of all workers; what one of them has made there, the others find."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path = path

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """What ``make`` writes to the path that it is given, made by one worker."""
        place = self.path / name
        with FileLock(self.path / f"{name}.lock"):
            if not place.exists():
                unfinished = self.path / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(place)
        return place

    def model(self, family: str, spread: float = 0.02) -> Path:
        """A tiny model; with a spread of 0.3 two answers are never nearly the same by accident."""
        name = f"tiny-{family}-{spread}"
        return self.once(name, lambda folder: make_tiny(family, folder, spread=spread))

    def topics(self) -> Path:
        """A jsonl file of 96 short texts with one of three topics each."""
        text = "".join(json.dumps(row) + "\n" for row in topic_rows(96))
        return self.once("topics.jsonl", lambda path: path.write_text(text))


class TrainedRuns:
    """Finished runs, by the fingerprints of their recipes."""

    def __init__(self, shared: SharedFolder, loader: Any) -> None:
        self._shared, self._loader = shared, loader
        self._data = shared.path / "data"
        self._data.mkdir(exist_ok=True)

    def recipe(
        self, task: str, method: str | dict[str, Any], family: str = "bert", /, **sections: Any
    ) -> Recipe:
        """A small recipe whose data and model, of weights that tell words apart, are shared."""
        model = self._shared.model(family, 0.3)
        return small_recipe(task, method, model, self._data, **sections)

    def read(self, recipe: Recipe, seed: int = 0) -> Run:
        """The run of a recipe, for tests that change nothing of it."""
        from workbench.pipeline.runner import run_recipe

        name = f"{recipe.study}-{recipe.name}-{recipe.fingerprint}"
        runs = self._shared.path / "runs" / name
        with FileLock(self._shared.path / f"{name}.lock"):
            run = read_run(run_path(runs, recipe, seed))
            if run.state != "finished":
                run = run_recipe(recipe, seed, runs, force=True, loader=self._loader)
        assert run.state == "finished", run.reason
        return run

    def copy(self, recipe: Recipe, to: Path, seed: int = 0) -> Run:
        """The same below a runs folder of the test's own, which it may change."""
        run = self.read(recipe, seed)
        place = run_path(to, recipe, seed)
        shutil.copytree(run.path, place)
        return read_run(place)


def folder_of_all_workers(own: Path) -> Path:
    """Where all workers find what they share; ``own`` is a worker's folder for temporary files."""
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
