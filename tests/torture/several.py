"""K15: two processes that train together; each trial starts real ones, so there are fewer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.killed_runs import exported_difference
from tests.torture.cells import Cell
from tests.torture.trials import LONGEST_SECONDS, Trial
from workbench.store import read_run, run_path

ROOT = Path(__file__).parents[2]
VICTIMS = ("rank 1", "rank 0", "launcher")
ENDS_SECONDS = 10.0


def command(trial: Trial, *arguments: str) -> subprocess.Popen[bytes]:
    """A real ``workbench`` with two processes below it."""
    with open(trial.root / "said.txt", "ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdout=said,
            stderr=said,
            cwd=ROOT,
            start_new_session=True,
        )


def whole_of_two(cell: Cell) -> Path:
    """The run of two processes that nothing happens to; made by the first who needs it."""
    root = cell.file.parent / "whole-of-two"
    path = run_path(root, cell.recipe, 0)
    if read_run(path).state != "finished":
        arguments = ["run", str(cell.file), "--runs", str(root), "--processes", "2"]
        subprocess.run(
            [sys.executable, "-m", "workbench", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=LONGEST_SECONDS,
        )
    return path


def one_of_two(trial: Trial) -> None:
    """K15: rank 1, rank 0 or the launcher is killed; nobody survives it, and both go on."""
    whole = read_run(whole_of_two(trial.cell))
    victim = VICTIMS[trial.index % len(VICTIMS)]
    runs = ["--runs", str(trial.root)]
    launcher = command(trial, "run", str(trial.cell.file), *runs, "--processes", "2")
    deadline = time.monotonic() + LONGEST_SECONDS
    while not any(row["kind"] == "step" for row in trial.run.events()[0]):
        if time.monotonic() > deadline or launcher.poll() is not None:
            trial.expect(False, f"two processes did not begin: exit code {launcher.poll()}")
            return
        time.sleep(0.005)
    time.sleep(trial.draw.uniform(0, 0.3))
    pid = launcher.pid if victim == "launcher" else _rank(launcher.pid, victim[-1])
    os.kill(pid, 9)
    trial.kills += 1
    killed = time.monotonic()
    trial.expect(launcher.wait(LONGEST_SECONDS) != 0, "the launcher ended with exit code 0")
    trial.expect(time.monotonic() - killed < ENDS_SECONDS, "it took more than ten seconds", "I4")
    trial.check()
    if victim.startswith("rank"):
        words = f"process {victim[-1]} of 2 was killed by SIGKILL"
        trial.expect(words in trial.run.reason, trial.run.reason, "I3")
    code = command(trial, "resume", str(trial.path), *runs).wait(LONGEST_SECONDS)
    trial.expect(code == 0, f"to go on ended with exit code {code}", "I5")
    unlike = exported_difference(whole, trial.run) if trial.run.state == "finished" else "the state"
    trial.expect(not unlike, f"{unlike} differs", "I5")
    trial.check(checkpoints=False)


def _rank(launcher: int, number: str) -> int:
    for process in psutil.Process(launcher).children():
        if process.environ().get("RANK") == number:
            return process.pid
    raise LookupError(f"there is no rank {number}")
