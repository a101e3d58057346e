"""Progress of several runs at once: what their folders say, as a line for each that has ended."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from workbench.cli.output import test_scores
from workbench.cli.progress import Progress
from workbench.cli.time_left import TimeLeft
from workbench.formatting import about, duration
from workbench.store import ACTIVE, Run, read_run

MOST_NAMED = 4
"""Runs whose progress fits a line."""


class ParallelProgress(Progress):
    """Reads the folders of runs; ``look`` says what is new.

    Args:
        names: ``study/recipe`` of each run by its folder.
    """

    def __init__(
        self,
        names: Mapping[Path, str],
        *,
        at_once: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream, clock)
        self._names, self._at_once = names, at_once
        self._left_to_do = TimeLeft([])
        self._since = time.time()
        self._begun: dict[Path, float] = {}
        self._done: set[Path] = set()
        self._wide = max((len(f"{path.parent.name}/{path.name}") for path in names), default=0)

    def look(self) -> None:
        running = []
        for path in (path for path in self._names if path not in self._done):
            run = read_run(path)
            mine = run.status.get("pid") and run.status.get("started_at", 0) >= self._since
            if mine and run.state in ACTIVE:
                self._begun.setdefault(path, self._clock())
                running.append(run)
            elif mine:
                self._end(run)
        if running:
            self._show(f"{self._so_far(running)} | {', '.join(map(_place, running[:MOST_NAMED]))}")

    def line(self, text: str) -> None:
        self._line(text)

    def _end(self, run: Run) -> None:
        path, now = run.path, self._clock()
        self._done.add(path)
        taken = now - self._begun.get(path, now)
        for row in run.events()[0]:
            if row.get("kind") == "warning":
                self._line(f"{run.id}: warning: {row.get('message')}")
        if run.state == "finished":
            self._left_to_do.ended(self._names[path], taken)
            self._line(f"{run.id:<{self._wide}}  {test_scores(run)}  ({duration(taken)})")
        else:
            self._line(f"{run.id}: {run.state}: {run.reason or 'see its log'}")

    def _so_far(self, running: list[Run]) -> str:
        now = self._clock()
        current = [(self._names[run.path], now - self._begun[run.path]) for run in running]
        waiting = [
            name
            for path, name in self._names.items()
            if path not in self._done and path not in self._begun
        ]
        left = self._left_to_do.together(current, waiting, self._at_once)
        of_all = f", {about(left)} left" if left is not None else ""
        return f"{len(self._done)} of {len(self._names)} done{of_all}"


def _place(run: Run) -> str:
    """Which run, and how far it has got."""
    progress = run.status.get("progress")
    phase = str(run.status.get("phase") or run.state)
    if phase == "train" and isinstance(progress, dict) and progress.get("step"):
        phase = f"step {progress['step']}/{progress.get('steps')}"
    return f"{run.path.name.rpartition('-')[0]} {phase}"
