"""The small process that a job is: it starts the run, waits for it, and says how it ended.

``python -m workbench.jobs.supervisor FOLDER COMMAND...``. A process that is killed cannot write
down why, so somebody has to be left who knows its exit code.
"""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from workbench.jobs.job_records import read_job
from workbench.jobs.ranks import forward_signals
from workbench.store import count_oom_kills, kill_reason, read_run, record_death

LEFT_SECONDS = 3.0
"""How long what a run started may take to notice that the run has ended."""
PR_SET_CHILD_SUBREAPER = 36


def supervise(folder: Path, command: Sequence[str]) -> int:
    """Runs a job's command to its end; returns its exit code, 128 + signal when it was killed."""
    oom_kills = count_oom_kills()
    if sys.platform == "linux":  # what a dying run leaves behind becomes a child of this process
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Kept by the command too: whoever starts a job may close the terminal.
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    with forward_signals([process]):
        code = process.wait()
        children = psutil.Process().children(recursive=True)  # what the run has left
        _, alive = psutil.wait_procs(children, timeout=LEFT_SECONDS)
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(alive, timeout=LEFT_SECONDS)
        job = read_job(folder)
        for path in job.runs if job is not None else ():
            status = read_run(path).status
            if status.get("job") == folder.name:
                printed = str(folder / "log.txt")
                record_death(path, kill_reason(code, status, oom_kills, printed))
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
