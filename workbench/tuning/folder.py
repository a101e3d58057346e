"""Where the tuning of one recipe lives, and who may write there.

    runs/<study>/tuning/<recipe>-<key8>/
        optuna.jsonl    every trial: what it tries, what came of it
        tuning.json     the same for people and programs, with the best, what it all cost and how
                        many trials are wanted
        trial-000/      the run folder of a trial: its log, its validation scores

The key is a hash of all that decides what a trial gives: the recipe, what is searched, the seed.
So the same command goes on where the last one ended, and another one does not mix with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from workbench.errors import RunRefused
from workbench.recipe import Recipe
from workbench.tuning.space import Space

TUNING = "tuning"


def tuning_folder(runs_dir: Path, recipe: Recipe, space: Space, seed: int) -> Path:
    """Where the trials of a recipe go."""
    searched = {key: str(wanted) for key, wanted in space.items()}
    decides = json.dumps([recipe.numerics(), searched, seed], sort_keys=True)
    key = hashlib.sha256(decides.encode()).hexdigest()[:8]
    return runs_dir / recipe.study / TUNING / f"{recipe.name}-{key}"


def trial_folder(folder: Path, number: int) -> Path:
    """The run folder of a trial."""
    return folder / f"trial-{number:03d}"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Makes a tuning folder and keeps every other process out of it.

    Raises:
        RunRefused: when another process is at it.
    """
    locks = folder.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / folder.name, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunRefused(
            "another process is tuning this",
            where=str(folder),
            why="one search has one writer",
            fix="wait for it; the same command then goes on from what it found",
        ) from None
    try:
        folder.mkdir(exist_ok=True)
        yield
    finally:
        lock.release()


def set_aside(folder: Path) -> None:
    """Moves a tuning folder to ``.replaced`` beside it and leaves an empty one in its place."""
    shelf = folder.parent / ".replaced"
    shelf.mkdir(exist_ok=True)
    taken = {path.name for path in shelf.iterdir()}
    number = next(n for n in range(1, len(taken) + 2) if f"{folder.name}.{n}" not in taken)
    folder.rename(shelf / f"{folder.name}.{number}")
    folder.mkdir()
