"""Turns among runs at once on one device: each takes a few steps while the others wait.

The locks are the system's (flock), which end with whoever holds them. A run holds ``work`` shared
while it computes; one that wants the device alone first holds ``gate``, so that none of the others
takes ``work`` again, and then ``work`` for itself.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: there runs never have a device alone
    fcntl = None  # type: ignore[assignment]

TURNS_VARIABLE = "WORKBENCH_TURNS"
"""Environment variable with the file that the runs of a device take turns by."""
LONGEST_SECONDS = 60.0
"""How long a run waits for another one's turn at most."""
POLL_SECONDS = 0.005


class Turns:
    """This run's part; it computes from now on."""

    def __init__(self, file: Path) -> None:
        names = (file, file.with_name(f"{file.name}.gate"))
        self._work, self._gate = (os.open(name, os.O_RDWR | os.O_CREAT, 0o600) for name in names)
        self._left = False
        self.let_others()

    def let_others(self) -> None:
        """Waits here if another run is to have the device alone; once one hangs in its turn, this
        one waits for nobody any more."""
        if self._left:
            return
        fcntl.flock(self._work, fcntl.LOCK_UN)
        self._left = not _taken(self._gate, fcntl.LOCK_SH, LONGEST_SECONDS)
        if not self._left:
            _taken(self._work, fcntl.LOCK_SH, LONGEST_SECONDS)
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def take(self, seconds: float) -> bool:
        """Takes the device for this run alone; False where another one does not get to its next
        step within these seconds."""
        if self._left:
            return False
        fcntl.flock(self._work, fcntl.LOCK_UN)
        deadline = time.monotonic() + seconds
        if _taken(self._gate, fcntl.LOCK_EX, seconds):
            if _taken(self._work, fcntl.LOCK_EX, deadline - time.monotonic()):
                return True
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        self.let_others()
        return False

    def give(self) -> None:
        """Ends this run's turn."""
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        self.let_others()


def _taken(lock: int, how: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)


_ours: list[Turns] = []


def turns_of_this_run() -> Turns | None:
    """Those of the process, from its first call on; None for a run that has its device alone."""
    named = os.environ.pop(TURNS_VARIABLE, "")
    if named and fcntl is not None and not _ours:
        with suppress(OSError):  # a file system without locks
            _ours.append(Turns(Path(named)))
    return _ours[0] if _ours else None
