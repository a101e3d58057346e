"""Stopping a run: ask, then TERM, then KILL, and never somebody else's process."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from workbench.errors import RunRefused
from workbench.jobs.records import find_process
from workbench.store import ACTIVE, Run, read_run

GRACE_SECONDS = 30.0
POLL_SECONDS = 0.1


def request_stop(run: Run) -> None:
    """Asks a run to save and stop; it looks after each step.

    Raises:
        RunRefused: when the run is not active.
    """
    if run.state not in ACTIVE:
        raise RunRefused(
            f"this run is {run.state}, there is nothing to stop",
            where=run.id,
            fix="`workbench runs` lists the runs and their states",
        )
    (run.path / "stop").touch()


def stop(run: Run, *, grace_seconds: float = GRACE_SECONDS) -> Run:
    """Stops a run: asks it to save, then TERM, then KILL; returns the run as it is then.

    A signal is sent only while pid and start time are those that the run wrote down, so that a
    reused pid is never hit. A run on another machine is asked and not signalled.

    Args:
        run: an active run.
        grace_seconds: how long to wait after the request, and again after TERM.

    Raises:
        RunRefused: when the run is not active.
    """
    request_stop(run)
    steps: tuple[Callable[[psutil.Process], None], ...] = (_terminate, _kill)
    for step in steps:
        ended = _wait_until_ended(run.path, grace_seconds)
        process = _process_of(run)
        if ended or process is None:
            break
        step(process)
    else:
        _wait_until_ended(run.path, grace_seconds)
    return read_run(run.path)


def _wait_until_ended(path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while read_run(path).state in ACTIVE:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _process_of(run: Run) -> psutil.Process | None:
    status = run.status
    pid, started = status.get("pid"), status.get("process_started_at")
    if status.get("host") != socket.gethostname():
        return None
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return None
    return find_process(pid, float(started))


def _terminate(process: psutil.Process) -> None:
    _signal([process], signal.SIGTERM)


def _kill(process: psutil.Process) -> None:
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    _signal(family, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            # psutil compares the start time once more before it signals.
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
