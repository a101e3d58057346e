"""Where the tuning of one recipe lives, and who may write there.

    runs/<study>/tuning/<recipe>-<key8>/
        optuna.jsonl    every trial: what it tries, what came of it
        tuning.json     the same for people and programs, with the best and what it all cost
        trial-000/      the run folder of a trial: its log, its validation scores

The key is a hash of all that decides what a trial gives: the recipe, what is searched, the seed.
So the same command continues where the last one ended, and another one does not mix with it.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import RunRefused
from workbench.recipe import Recipe
from workbench.recipe.renamed import as_hashed, flat_as_first_written
from workbench.store.run_folder import lock_folder
from workbench.tuning.space import Space

TUNING = "tuning"


def tuning_folder(
    runs_dir: Path, recipe: Recipe, space: Space, seed: int, halving: int | None = None
) -> Path:
    """The folder of a search; ``halving`` is the number of trials of one that prunes, of which each
    is compared with all others."""
    searched = {key: str(wanted) for key, wanted in space.items()}
    first = as_hashed(recipe.numerics()), flat_as_first_written(searched)
    pruned = [] if halving is None else [halving]
    decides = json.dumps([*first, seed, *pruned], sort_keys=True)
    key = hashlib.sha256(decides.encode()).hexdigest()[:8]
    return runs_dir / recipe.study / TUNING / f"{recipe.name}-{key}"


def trial_folder(folder: Path, number: int) -> Path:
    return folder / f"trial-{number:03d}"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Makes a tuning folder and keeps every other process out of it (RunRefused)."""
    lock = lock_folder(folder)
    if lock is None:
        raise RunRefused(
            "another process is tuning this",
            where=str(folder),
            why="one search has one writer",
            fix="wait for it; the same command then continues from what it found",
        )
    with lock:
        folder.mkdir(exist_ok=True)
        yield
