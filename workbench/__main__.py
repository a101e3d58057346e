"""The ``workbench`` command, ``python -m workbench`` and ``accelerate launch -m workbench``.

Two settings come before any import, for the commands that answer at once: the garbage collector
runs less often while modules load, and pydantic does not search every
installed package for plugins. ``workbench recipes`` takes a quarter less time for it. And a command
that has ended ends its process at once, where Python would first look through a million objects of
torch and transformers for garbage and take them apart one by one: more than a second.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

gc.set_threshold(20_000, 10, 10)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_ended: list[int] = []
"""The exit code, once the command has one."""


@atexit.register
def _end_process() -> None:
    """Comes after all exit handlers but those of what started before this module: they are called
    newest first, when all threads have ended."""
    gc.freeze()
    if not _ended:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # a reader that has gone: Python has its own words for that
        return
    os._exit(_ended[0])


def main() -> int:
    """Runs the command line as a process of its own, which ends with the exit code returned."""
    from workbench.cli import main as command_line

    _ended.append(command_line())
    return _ended[0]


if __name__ == "__main__":
    sys.exit(main())
