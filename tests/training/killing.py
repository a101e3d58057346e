"""Real SIGKILLs at chosen points, in a forked child."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

SYSCALLS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
"""Audit events of CPython that come before a change on the disk (or a read)."""


def die() -> None:
    """Ends this process as the system would when it is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def without_forecast() -> None:
    """Leaves the rehearsal out of this process: it would use up the calls that are counted."""
    from workbench.pipeline import setup

    setup.forecast = lambda *_arguments, **_options: {}
    setup.warm_up = lambda *_arguments, **_options: False


def nth(
    call: int, instead: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts something in the place of one call (from 1); it is given the function first."""

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        count = 0

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:
                return instead(function, *arguments, **options)
            return function(*arguments, **options)

        return counted

    return around


def dying_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which one call (from 1) never comes to an end."""
    return nth(call, lambda _function, *_arguments, **_options: die())(function)


def wrap(owner: Any, name: str, around: Callable[[Any], Any]) -> None:
    """Puts something around a function of the product, in this process alone."""
    setattr(owner, name, around(getattr(owner, name)))


def in_child(work: Callable[[], object]) -> int | None:
    """Runs something in a forked child; the signal that ended it, None when it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return None


def die_at_syscall(number: int) -> None:
    """From now on the process lives until its ``number``-th change on the disk (from 1)."""
    count = 0

    def see(event: str = "fsync", _arguments: Any = None) -> None:
        nonlocal count
        if event in SYSCALLS or event == "fsync":
            count += 1
            if count == number:
                die()

    def seen(fsync: Callable[[Any], None]) -> Callable[[Any], None]:
        def synced(descriptor: Any) -> None:
            see()
            fsync(descriptor)

        return synced

    wrap(os, "fsync", seen)
    sys.addaudithook(see)
