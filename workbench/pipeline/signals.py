"""Ctrl-C, TERM and a closed terminal: the first asks a run to save and stop, the second ends it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

ECHO_SECONDS = 0.5
"""A second signal this soon is the first once more: a machine that goes down sends TERM to every
process, and a launcher hands on its own."""


@dataclass
class StopRequest:
    """Whether, and by which signal, this process was asked to stop."""

    signal_number: int | None = None


@contextmanager
def handle_signals() -> Iterator[StopRequest]:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a request; the second ends the process.

    A SIGHUP that is ignored (``nohup``, a run in the background) stays ignored. Outside the main
    thread nothing is caught: Python allows handlers there only.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        numbers.append(hangup)
    before = {number: signal.getsignal(number) for number in numbers}
    # Looked for now, as a terminal that is gone can no longer be told for one.
    streams = [each for each in (sys.__stdout__, sys.__stderr__) if each is not None]
    terminals = [each.fileno() for each in streams if not each.closed and each.isatty()]
    asked_at = 0.0

    def ask(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_at
        if request.signal_number is None:
            request.signal_number, asked_at = number, time.monotonic()
            if number == hangup:
                _leave(terminals)
        elif time.monotonic() - asked_at >= ECHO_SECONDS:
            for each in numbers:
                signal.signal(each, before[each])
            signal.raise_signal(number)

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _leave(terminals: Sequence[int]) -> None:
    """What is printed from now on goes nowhere: writing to a terminal that is gone is an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
