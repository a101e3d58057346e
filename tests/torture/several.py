"""K15: two processes that train together; each trial starts real ones, so there are fewer."""

from __future__ import annotations

import os
import signal
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
ENDS_SECONDS = 10.0
ASLEEP_SECONDS = 3.0

FAILS = "the card has fallen off the bus"
FAILING = f"""
import os
if os.environ.get("RANK") == "1":
    from tests.training.killing import nth, wrap
    from workbench.training.accumulation import Accumulation
    def fail(*_, **__):
        raise RuntimeError({FAILS!r})
    wrap(Accumulation, "_pass", nth(5, fail))
"""
"""What Python runs before anything else where a folder with it comes first (``sitecustomize``).

The fifth pass is of step 3, which rank 1 begins only when rank 0 has written the row of step 1.
"""


def command(trial: Trial, *arguments: str, first: Path | None = None) -> subprocess.Popen[bytes]:
    """A real ``workbench`` with two processes below it; ``first``: a folder of Python's path."""
    path = f"{first}{os.pathsep}{ROOT}" if first else str(ROOT)
    with open(trial.said, "ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdout=said,
            stderr=said,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
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
    """K15: one of two processes is killed, fails or falls asleep; both end, and both go on."""
    whole = read_run(whole_of_two(trial.cell))
    happen = EVENTS[trial.index % len(EVENTS)]
    runs = ["--runs", str(trial.root)]
    failing = trial.root / "failing"
    if happen is rank_fails:
        failing.mkdir()
        (failing / "sitecustomize.py").write_text(FAILING)
    start = ["run", str(trial.cell.file), *runs, "--processes", "2"]
    launcher = command(trial, *start, first=failing if failing.exists() else None)
    if not _has_begun(trial, launcher):
        return
    _is_met_on_loopback(trial, launcher)
    happen(trial, launcher)
    if trial.run.state != "finished":
        trial.check()
        code = command(trial, "resume", str(trial.path), *runs).wait(LONGEST_SECONDS)
        trial.expect(code == 0, f"to go on ended with exit code {code}", "I5")
    unlike = exported_difference(whole, trial.run) if trial.run.state == "finished" else "the state"
    trial.expect(not unlike, f"{unlike} differs", "I5")
    trial.check(checkpoints=False)


def rank_killed(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """Rank 1, or rank 0, is killed."""
    rank = str(trial.one_of(0, 1))
    _kill(trial, launcher, _rank(launcher.pid, rank))
    if trial.run.state != "finished":  # rank 1 has no more to do while rank 0 exports
        words = f"process {rank} of 2 was killed by SIGKILL"
        trial.expect(words in trial.run.reason, trial.run.reason, "I3")


def launcher_killed(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """The launcher is killed, and its processes with it."""
    _kill(trial, launcher, launcher.pid)


def rank_fails(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """An exception in rank 1 alone: its own words are the reason, not the loss of it."""
    _ends_soon(trial, launcher)
    told = trial.run.reason
    trial.expect(told.startswith("process 1: ") and FAILS in told, told, "I3")


def rank_asleep(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """Rank 1 is suspended for a while: the other waits for it, and both come to their end."""
    rank = _rank(launcher.pid, "1")
    os.kill(rank, signal.SIGSTOP)
    time.sleep(ASLEEP_SECONDS)
    trial.expect(launcher.poll() is None, "it did not wait for the suspended process")
    trial.expect(trial.run.state == "running", f"it is {trial.run.state}", "I3")
    os.kill(rank, signal.SIGCONT)
    code = launcher.wait(LONGEST_SECONDS)
    trial.expect(code == 0, f"it ended with exit code {code}")


def stopped_while_asleep(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """A stop while rank 1 is suspended, which cannot hear it."""
    os.kill(_rank(launcher.pid, "1"), signal.SIGSTOP)
    asked = time.monotonic()
    command(trial, "stop", str(trial.path), "--runs", str(trial.root)).wait(LONGEST_SECONDS)
    launcher.wait(LONGEST_SECONDS)
    seconds = time.monotonic() - asked
    trial.expect(seconds < ENDS_SECONDS, f"the stop took {seconds:.1f} s", "I4")


EVENTS = (rank_killed, launcher_killed, rank_fails, rank_asleep, stopped_while_asleep)


def _kill(trial: Trial, launcher: subprocess.Popen[bytes], pid: int) -> None:
    time.sleep(trial.draw.uniform(0, 0.3))
    os.kill(pid, signal.SIGKILL)
    trial.kills += 1
    _ends_soon(trial, launcher)


def _ends_soon(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()
    trial.expect(launcher.wait(LONGEST_SECONDS) != 0, "the launcher ended with exit code 0")
    trial.expect(time.monotonic() - began < ENDS_SECONDS, "it took more than ten seconds", "I4")


def _has_begun(trial: Trial, launcher: subprocess.Popen[bytes]) -> bool:
    """Waits for the first step."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not any(row["kind"] == "step" for row in trial.run.events()[0]):
        if time.monotonic() > deadline or launcher.poll() is not None:
            trial.expect(False, f"two processes did not begin: exit code {launcher.poll()}")
            return False
        time.sleep(0.005)
    return True


def _is_met_on_loopback(trial: Trial, launcher: subprocess.Popen[bytes]) -> None:
    """Nobody from outside can join the processes."""
    met = {
        connection.laddr.ip
        for process in psutil.Process(launcher.pid).children(recursive=True)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    trial.expect(met == {"127.0.0.1"}, f"they listen on {sorted(met)}")


def _rank(launcher: int, number: str) -> int:
    for process in psutil.Process(launcher).children():
        if process.environ().get("RANK") == number:
            return process.pid
    raise LookupError(f"there is no rank {number}")
