"""Stopping a run: ask, then TERM, then KILL, and never somebody else's process."""

import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import RunRefused
from workbench.jobs.job_records import JOBS_DIR, Job, read_job
from workbench.store import ACTIVE, Queue, Run, find_process, read_run, record_death

GRACE_SECONDS = 4.0
"""After the request, and again after TERM: with the end of the killed, all is over in ten."""
KILLED_SECONDS = 1.5
"""How long the system may take to clear away what was killed."""
POLL_SECONDS = 0.1


def request_stop(run: Run) -> None:
    """Asks a run to save and stop, which it looks for after each step; takes it out of the queue.

    Raises:
        RunRefused: when the run is not active.
    """
    if run.state not in ACTIVE:
        raise RunRefused(
            f"this run is {run.state}, there is nothing to stop",
            where=run.id,
            fix="`workbench runs` lists the runs and their states",
        )
    path = run.path.absolute()
    queue = Queue(path.parent.parent)
    entry = queue.find(path.parent.name, path.name)
    if entry is not None:
        # A stop that a person asked for is not to be undone by the queue.
        queue.remove(entry)
    if run.status.get("pid"):
        ask(run)
    elif entry is not None and entry.job and entry.host == socket.gethostname():
        job = read_job(queue.root / JOBS_DIR / entry.job)
        if job is not None:
            _signal(_family(job.record), signal.SIGTERM)


def ask(run: Run) -> None:
    (run.path / "stop").touch()


def stop(run: Run, *, grace_seconds: float = GRACE_SECONDS) -> Run:
    """Stops a run: asks it to save, then TERM, then KILL; returns the run as it is then.

    A signal is sent only while pid and start are those that the run wrote down, so that a reused
    pid is never hit. A run on another machine is asked and not signalled. One that waits in the
    queue is removed from it.

    Args:
        grace_seconds: how long to wait after the request, and again after TERM. A step that
            takes longer is lost with what came after the last checkpoint.

    Raises:
        RunRefused: when the run is not active.
    """
    request_stop(run)
    if not run.status.get("pid"):
        return replace(run, state="stopped", reason="removed from the queue")
    return wait_or_kill(run, grace_seconds)


def wait_or_kill(run: Run, grace_seconds: float = GRACE_SECONDS) -> Run:
    """Waits for a run that was asked to stop, and ends its processes if it does not."""
    deadline = time.monotonic() + 2 * grace_seconds
    ended = _wait_until_ended(run.path, grace_seconds)
    here = run.status.get("host") == socket.gethostname()
    if not ended and here:
        _signal(_family(run.status)[:1], signal.SIGTERM)
        ended = _wait_until_ended(run.path, grace_seconds)
        if not ended:
            _kill(_processes_of(run.status))
        record_death(run.path, "")  # the request in its folder is the reason
    stopped = read_run(run.path)
    # A process that is there for this run alone has nothing left to do. Others have: the next
    # run, or a notebook.
    if ended and here and stopped.state == "stopped" and run.status.get("job"):
        _wait_until_gone(_processes_of(run.status), deadline - time.monotonic())
        _kill(_processes_of(run.status))
    return stopped


def end_job(job: Job) -> None:
    """Kills a job with all that it has started; its runs keep their last checkpoints."""
    _kill(_family(job.record))
    for path in job.runs:
        record_death(path, "ended at once; `workbench resume` continues from its last checkpoint")


def _wait_until_ended(path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while read_run(path).state in ACTIVE:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _processes_of(status: Mapping[str, Any]) -> list[psutil.Process]:
    """All processes of a run: where a launcher started several, it and all of them."""
    return _family(status.get("launcher")) or _family(status)


def _family(record: object) -> list[psutil.Process]:
    """The process of a record and everything it started, the oldest first."""
    process = find_process(record) if isinstance(record, Mapping) else None
    try:
        return [process, *process.children(recursive=True)] if process is not None else []
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    _signal(processes, getattr(signal, "SIGKILL", signal.SIGTERM))
    _wait_until_gone(processes, KILLED_SECONDS)


def _wait_until_gone(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    # Not waited for as a parent does: whoever started one of them is owed its exit code.
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            # psutil compares the start time once more before it signals.
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
