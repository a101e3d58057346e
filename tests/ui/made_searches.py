"""Searches made up for the views, in the words of those that `workbench tune` leaves."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from made_runs import RunsFolder, news_recipe

from workbench.store import process_start_time, write_json
from workbench.tuning.folder import trial_folder, tuning_folder
from workbench.tuning.space import LEARNING_RATE, Range, Space
from workbench.tuning.trials import Trial, Tuning

OWN = {"lora": 5e-3, "prefix": 3e-2}


def trial(number: int, rate: float, score: float | None, reason: str = "") -> Trial:
    loss = None if score is None else 1 - score
    return Trial(
        number=number,
        values={LEARNING_RATE: rate},
        score=score,
        loss=loss,
        reason=reason,
        steps=100,
        tokens=180_000,
        train_seconds=16.0,
        validation_seconds=2.0,
    )


def add_search(
    runs: RunsFolder, method: str, trials: list[Trial], wanted: int, space: Space | None = None
) -> Path:
    """The folder of a search, as the search itself would have written it."""
    recipe, own = news_recipe(method), OWN[method]
    space = space or {LEARNING_RATE: Range(own / 10, own * 10)}
    folder = tuning_folder(runs.path, recipe, space, 3)
    folder.mkdir(parents=True)
    document = Tuning(
        recipe=recipe, space=space, seed=3, higher=True, folder=folder, trials=trials
    ).document() | {"wanted": wanted}
    write_json(folder / "tuning.json", document)
    return folder


def begin_trial(folder: Path, number: int) -> None:
    """A trial that is half done, in this process."""
    path = trial_folder(folder, number)
    path.mkdir()
    status = {"version": 1, "state": "running", "pid": os.getpid(), "heartbeat_at": time.time()}
    status |= {"process_started_at": process_start_time(os.getpid()), "host": socket.gethostname()}
    write_json(path / "status.json", status | {"progress": {"step": 35, "steps": 100}})


def add_searches(runs: RunsFolder) -> None:
    """Two searches of the study news: one is done, of the other a trial is running."""
    rates = (5e-3, 9e-4, 2.1e-2, 2.4e-3, 8.2e-3, 4.6e-2, 6.1e-3, 3.9e-3)
    scores = (0.955, 0.91, 0.94, 0.948, 0.962, None, 0.958, 0.951)
    done = [
        trial(n, rate, score) for n, (rate, score) in enumerate(zip(rates, scores, strict=True))
    ]
    add_search(runs, "lora", done, len(done))
    begun = [
        trial(n, 6 * each.values[LEARNING_RATE], each.score) for n, each in enumerate(done[:3])
    ]
    begin_trial(add_search(runs, "prefix", begun, len(done)), len(begun))
