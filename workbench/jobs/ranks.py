"""Several processes of one run on this machine: started, signalled and ended as one.

torch's own launcher (2.13) leaves its processes behind when it is killed, ends a run at a closed
terminal, and waits half a minute for a process that hangs because another one died. The
variables are those that torchrun sets, so that the processes find each other the same way.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from workbench.store import (
    count_oom_kills,
    kill_reason,
    launcher_of_this_process,
    read_run,
    record_death,
)

POLL_SECONDS = 0.1
FAILED_SECONDS = 3.0
"""How long the others may take to see for themselves that one has failed; then TERM, then KILL."""
STOPPED_SECONDS = 30.0
"""How long the others may take to save after one has stopped on request."""
ENDED_SECONDS = 2.0
"""Between TERM and KILL."""
WATCH_SECONDS = 0.5
PR_SET_PDEATHSIG = 1
LOOPBACK = "127.0.0.1"
"""Where processes of one machine meet: what connects to torch's store may read and set in it."""
ASKED_TO_STOP = frozenset({129, 130, 143})
"""Exit codes of a process that saved and stopped."""


def run_together(
    command: Sequence[str],
    processes: int,
    environment: Mapping[str, str],
    runs: Sequence[Path] = (),
) -> int:
    """Runs a command as so many processes that train together, until all have ended.

    A signal to this process is forwarded to each of them once. When one fails, the others follow
    within seconds.

    Args:
        environment: what each gets besides its place among them.
        runs: folders of the runs that they write, for the reason when one of them is killed.

    Returns the exit code of the first that failed, 128 + signal for a killed one; 0 otherwise.
    """
    oom_kills = count_oom_kills()
    ranks: list[subprocess.Popen[bytes]] = []
    with _reserved_port() as port, forward_signals(ranks) as received:
        for rank in range(processes):
            place = dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
            place |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
            place |= {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port)}
            place |= {**environment, "WORKBENCH_LAUNCHER": str(os.getpid())} | place
            # Sessions of their own: Ctrl-C in a terminal reaches this process, and them through it.
            ranks.append(subprocess.Popen(command, env=place, start_new_session=True))
            for number in received:  # it came before there was anybody to tell
                ranks[-1].send_signal(number)
        try:
            first = _wait(ranks)
        finally:
            _signal_groups(ranks, _KILL)  # whatever ended this wait
    if first is None:
        return 0
    rank, code = first
    for path in runs if code < 0 else ():  # the run's record says that one was killed
        status = read_run(path).status
        if (status.get("launcher") or {}).get("pid") == os.getpid():
            why = kill_reason(code, status, oom_kills)
            reason = f"process {rank} of {processes} was {why}"
            record_death(path, reason, caused="failed")
    return code if code > 0 else 128 - code


def end_with_launcher() -> None:
    """Ties this process to the one that started it as one of several; alone it is not tied.

    Linux kills it the moment its launcher dies. Elsewhere, and where the launcher died before
    that was arranged, a thread sees within half a second that it has another parent.
    """
    launcher = launcher_of_this_process()
    if launcher is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    when_parent_dies(launcher, lambda: os.kill(os.getpid(), _KILL))


def when_parent_dies(parent: int, then: Callable[[], object]) -> None:
    """Does something, in a thread, once a process is no longer the parent of this one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        then()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def _wait(ranks: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int] | None:
    """Waits for all; returns number and exit code of the first that failed."""
    first: tuple[int, int] | None = None
    steps: list[tuple[float, int]] = []
    while any(rank.poll() is None for rank in ranks):
        now = time.monotonic()
        if first is None and (first := _first_failed(ranks)) is not None:
            patience = STOPPED_SECONDS if first[1] in ASKED_TO_STOP else FAILED_SECONDS
            steps = [(now + patience, signal.SIGTERM), (now + patience + ENDED_SECONDS, _KILL)]
        if steps and now >= steps[0][0]:
            _signal_groups(ranks, steps.pop(0)[1])
        time.sleep(POLL_SECONDS)
    return first or _first_failed(ranks)


def _first_failed(ranks: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int] | None:
    """Of those that ended with a failure between two looks, a killed one: it is the cause."""
    failed = [(n, code) for n, rank in enumerate(ranks) if (code := rank.poll())]
    return min(failed, key=lambda each: (each[1] >= 0, each[0]), default=None)


def _signal_groups(ranks: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    """Signals those that have not ended, together with what they started."""
    for rank in ranks:
        # Not waited for yet, so that nobody else can have got its number.
        if rank.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(rank.pid, number)


@contextmanager
def forward_signals(ranks: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Forwards signals to the processes; yields those received so far, in order."""
    received: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for rank in ranks:
            with suppress(ProcessLookupError):
                rank.send_signal(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        numbers.append(hangup)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A free port that nobody is given while the processes start.

    A socket that is bound and does not listen keeps the port from being handed out, and with
    SO_REUSEADDR on both the first process may listen there all the same (socket(7)).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((LOOPBACK, 0))
        yield int(reservation.getsockname()[1])
