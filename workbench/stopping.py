"""Ctrl-C and TERM: the first asks a run to save and stop, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether, and by which signal, this process was asked to stop."""

    signal_number: int | None = None

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells expect: 130 for Ctrl-C, 143 for TERM; 0 when not asked."""
        return 128 + self.signal_number if self.signal_number else 0


@contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request; the second gets the old behaviour.

    Outside the main thread nothing is caught: Python allows handlers there only.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        for each in numbers:
            signal.signal(each, before[each])

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number in numbers:
            signal.signal(number, before[number])
