"""K25 and K26: a disk that fails and goes on failing, at any moment of a run."""

from __future__ import annotations

import errno
import os
import sys
import time
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

from tests.torture.failures import DISK, fill
from tests.torture.trials import Trial
from tests.training.killing import wrap

CODES = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EINTR")
EVERY = (1, 1, 2, 3, 7)
"""Of the changes on the disk, those that fail: each, or each second, third, seventh."""
CHANGES = 400
"""Changes on the disk in a whole run of a cell, about."""
ON_A_FULL_DISK = ("os.remove", "os.rmdir")
"""Changes that a disk without space still takes."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def failing_calls(trial: Trial) -> None:
    """K25: from the n-th change on, each k-th fails, in the runs folder or in that of the cache."""
    name = CODES[trial.index % len(CODES)]
    every, first = trial.draw.choice(EVERY), trial.one_of(1, CHANGES)
    in_cache = trial.index % 4 == 3
    place = Path(os.environ["WORKBENCH_CACHE"]) if in_cache else trial.root
    first = 1 + first % 20 if in_cache else first
    counts = RawArray("q", 2)
    code = trial.live(lambda: _fail(place, getattr(errno, name), first, every, counts))
    said = trial.said.read_text()
    what = f"{name} in {counts[1]} of {counts[0]} changes, from {first} on, each {every}."
    trial.expect(code == 0 or counts[1], f"exit code {code} though nothing failed")
    trial.expect("unexpected error" not in said, f"{what}: {said[-600:]}")
    if code:
        words = os.strerror(getattr(errno, name))
        told = [said, trial.run.reason]
        full = name in ("ENOSPC", "EDQUOT") and any("the disk is full" in each for each in told)
        trial.expect(full or any(words in each for each in told), f"{what}: {told}", "I3")
    trial.check(checkpoints=trial.run.state != "finished")
    trial.go_on()


def _fail(place: Path, code: int, first: int, every: int, counts: Any) -> None:
    """Lets each ``every``-th change below a folder fail, from the ``first`` on; counts both."""

    def change(path: object) -> None:
        if not str(path).startswith(f"{place}/"):
            return
        counts[0] += 1
        if counts[0] >= first and (counts[0] - first) % every == 0:
            counts[1] += 1
            raise OSError(code, os.strerror(code), str(path))

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(arguments[0], str | os.PathLike) and arguments[2] & WRITES:
                change(arguments[0])
        elif event in ("os.rename", "os.mkdir", "os.truncate"):
            change(arguments[0])
        elif event in ON_A_FULL_DISK and code not in (errno.ENOSPC, errno.EDQUOT):
            change(arguments[0])

    def synced(fsync: Any) -> Any:
        def failing(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            change(os.readlink(f"/proc/self/fd/{number}"))
            fsync(descriptor)

        return failing

    wrap(os, "fsync", synced)
    sys.addaudithook(see)


def disk_that_stays_full(trial: Trial) -> None:
    """K26: a real disk fills at some moment of a run, and has space again once it has ended."""
    trial.mount(DISK)
    if not trial.mounted:
        return
    ballast = trial.root / "ballast"
    child = trial.begin()
    time.sleep(trial.draw.uniform(0, trial.cell.seconds))
    fill(ballast, trial.draw.choice([0, 0, 4096, 60_000]))
    code = trial.end(child)
    said = trial.said.read_text()
    ballast.unlink()
    trial.expect("unexpected error" not in said, said[-600:])
    if code:
        told = trial.run.reason
        full = any(words in told + said for words in ("the disk is full", "bytes are free"))
        trial.expect(full, f"{told}; {said[-600:]}", "I3")
    trial.check(checkpoints=trial.run.state != "finished")
    trial.go_on()
