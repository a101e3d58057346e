"""Whether other programs keep the processors busy, which makes whatever is timed too slow."""

import os
import time

import psutil

_IDLE = ("idle", "iowait", "guest", "guest_nice")
"""Not work, or (of guests) counted as work of the user already."""


class BackgroundLoad:
    """What they take of the processors that this process may run on, from now on."""

    def __init__(self) -> None:
        self._began, self._all, self._own = time.monotonic(), *_worked()

    def share(self) -> float:
        """Between 0 and 1; what a virtual machine's host took away is counted with them."""
        everything, own = _worked()
        room = len(_processors()) * (time.monotonic() - self._began)
        taken = (everything - self._all) - (own - self._own)
        return min(1.0, max(0.0, taken / room)) if room > 0 else 0.0


def _worked() -> tuple[float, float]:
    """Seconds that the processors have worked, and those for this process; 0 where the system does
    not say."""
    try:
        ours, times = _processors(), psutil.cpu_times(percpu=True)
        mine = psutil.Process().cpu_times()
    except (OSError, psutil.Error):  # a container may hide its counters
        return 0.0, 0.0
    everything = sum(
        sum(value for name, value in each._asdict().items() if name not in _IDLE)
        for number, each in enumerate(times)
        if number in ours
    )
    return everything, mine.user + mine.system


def _processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
