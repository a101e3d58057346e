"""The small process that a job is: it starts the run, waits for it, and says how it ended.

``python -m workbench.jobs.supervisor FOLDER COMMAND...``. A process that is killed cannot write
down why, so somebody has to be left who knows its exit code.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from workbench.jobs.job_records import read_job
from workbench.jobs.launch import ENDS_WITH_VARIABLE, command_of
from workbench.jobs.ranks import forward_signals, when_parent_dies
from workbench.jobs.stop_run import GRACE_SECONDS
from workbench.store import Queue, State, count_oom_kills, kill_reason, read_run, record_death

LEFT_SECONDS = 3.0
"""How long what a run started may take to notice that the run has ended."""
PR_SET_CHILD_SUBREAPER = 36
STARTER_DIED = (
    "the command that it belongs to was killed or crashed; the same command continues from its "
    "last checkpoint"
)


def supervise(folder: Path, command: Sequence[str]) -> int:
    """Runs a job's command to its end; returns its exit code, 128 + signal when it was killed."""
    oom_kills, starter = count_oom_kills(), os.environ.pop(ENDS_WITH_VARIABLE, "")
    if sys.platform == "linux":  # what a dying run leaves behind becomes a child of this process
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Kept by the command too: whoever starts a job may close the terminal.
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    orphaned, ended = threading.Event(), threading.Event()

    def end() -> None:
        orphaned.set()
        process.terminate()
        _withdraw(queue, command_of(int(starter)))
        if not ended.wait(2 * GRACE_SECONDS):  # as long as `workbench stop` gives it
            process.kill()

    queue = Queue(folder.parent.parent)
    if starter:
        when_parent_dies(int(starter), end)
    with forward_signals([process]):
        code = process.wait()
        ended.set()
        children = psutil.Process().children(recursive=True)  # what the run has left
        _, alive = psutil.wait_procs(children, timeout=LEFT_SECONDS)
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(alive, timeout=LEFT_SECONDS)
        job = read_job(folder)
        for path in job.runs if job is not None else ():
            if orphaned.is_set():
                _record_orphan(path, folder.name, command_of(int(starter)))
            elif (status := read_run(path).status).get("job") == folder.name:
                printed = str(folder / "log.txt")
                record_death(path, kill_reason(code, status, oom_kills, printed))
    return code if code >= 0 else 128 - code


def _record_orphan(path: Path, job: str, command: str) -> None:
    """Says of a run why it ended, or that it never began."""
    status = read_run(path).status
    opened = status.get("job") == job
    _withdraw(Queue(path.parent.parent), command, "" if opened else job)
    if opened:
        caused: State | None = "stopped" if status.get("signal") == signal.SIGTERM else None
        record_death(path, STARTER_DIED, caused=caused, ended_with_command=True)


def _withdraw(queue: Queue, command: str, job: str = "") -> None:
    """Takes out of the queue what a dead command had not begun, and with a job the run that this
    had not opened; if another command has taken that over, it waits again."""
    with queue.changing():
        for entry in queue.list():
            if entry.job not in ("", job):
                continue
            if entry.command == command and not entry.begun:
                queue.remove(entry)
            elif entry.job:
                queue.update(entry, job="")


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
