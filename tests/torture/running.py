"""Trials as processes of their own, some at a time."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.torture.cells import Cell
from tests.torture.rows import Row
from tests.torture.trials import Trial

SAY_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """What came of one trial."""

    row: str
    index: int
    cell: str
    kills: int
    """Processes that a SIGKILL ended."""
    survivors: int
    seconds: float
    faults: list[tuple[str, str]] = field(default_factory=list)


def run_trials(
    plan: Sequence[tuple[Row, int]],
    cells: Sequence[Cell],
    folder: Path,
    evidence: Path,
    seed: int,
    workers: int,
) -> list[Outcome]:
    """Runs each trial in a process of its own, some at a time; the cells take turns.

    Args:
        evidence: where the runs folders of failed trials go.
        seed: of every random choice.
    """
    outcomes: list[Outcome] = []
    waiting, running = list(reversed(plan)), dict[int, Path]()
    started = said = time.monotonic()
    while waiting or running:
        while waiting and len(running) < workers:
            row, index = waiting.pop()
            # Shifted after each turn, so that every cell meets every way of a row.
            cell = cells[(index + index // len(cells)) % len(cells)]
            name = f"{row.name}-{index}-{cell.name}"
            child = os.fork()
            if child == 0:
                _in_child(row, index, cell, folder / name, evidence / name, seed)
            running[child] = folder / f"{name}.json"
        ended, _ = os.wait()
        outcomes.append(_outcome_in(running.pop(ended)))
        if time.monotonic() - said > SAY_SECONDS or not (waiting or running):
            said = time.monotonic()
            _say(outcomes, len(plan), said - started)
    return outcomes


def _in_child(row: Row, index: int, cell: Cell, root: Path, evidence: Path, seed: int) -> None:
    """Does one trial and leaves its outcome beside its runs folder; does not return."""
    started = time.monotonic()
    try:
        draw = random.Random(f"{seed} {row.name} {index}")
        trial = Trial(cell, index, root, draw)
        try:
            row.torment(trial)
        except Exception:
            trial.faults.append(("own", traceback.format_exc()))
        if trial.faults:
            shutil.copytree(root, evidence, symlinks=True, dirs_exist_ok=True)
            shutil.copy(trial.said, evidence) if trial.said.exists() else None
        shutil.rmtree(root, ignore_errors=True)
        seconds = time.monotonic() - started
        outcome = Outcome(
            row.name, index, cell.name, trial.kills, trial.survivors, seconds, trial.faults
        )
        # Beside the runs folder, which may have been a file system of its own.
        (root.parent / f"{root.name}.json").write_text(json.dumps(asdict(outcome)))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _outcome_in(file: Path) -> Outcome:
    if not file.exists():
        row, index, cell = file.stem.split("-", 2)
        return Outcome(row, int(index), cell, 0, 0, 0.0, [("own", "the trial itself died")])
    return Outcome(**json.loads(file.read_text()))


def _say(outcomes: Sequence[Outcome], planned: int, seconds: float) -> None:
    done, kills = len(outcomes), sum(each.kills for each in outcomes)
    left = seconds / done * (planned - done)
    failed = sum(bool(each.faults) for each in outcomes)
    pace = f"{seconds / kills:.2f} s a kill, " if kills else ""
    print(
        f"{outcomes[-1].row}: {done} of {planned} trials, {kills} kills, {failed} failed, "
        f"{pace}{left / 60:.0f} min left",
        file=sys.stderr,
        flush=True,
    )
