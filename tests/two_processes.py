"""Two processes that train together, forked from the test's own: nothing is imported again.

A command that starts two costs some 20 s of CPU time, nearly all of it imports. That the commands
start them rightly is for a few tests; what two processes compute is for many.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from accelerate.state import AcceleratorState, PartialState

from tests.training.killing import without_forecast

SHARDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
"""What ``--shard`` tells both processes."""
LONGEST_SECONDS, FOLLOWS_SECONDS = 100.0, 2.0
"""Of both processes, and of one once the other has failed."""


def zero(stage: int) -> dict[str, str]:
    """What ``--zero STAGE`` tells both processes."""
    return {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage),
        "DS_ACCELERATOR": "cpu",
    }


def together(work: Callable[[], object], said: Path, sharing: Mapping[str, str]) -> list[int]:
    """Does some work in two processes; their exit codes, negative for a signal.

    Args:
        said: file for what both print.
        sharing: variables that say what they share.
    """
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    place |= {"LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true", **sharing}
    running: dict[int, int] = {}
    for rank in range(2):
        child = os.fork()
        if child == 0:
            _work(work, said, {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        running[child] = rank
    codes, deadline = [0, 0], time.monotonic() + LONGEST_SECONDS
    while running:
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended:
                continue
            codes[running.pop(child)] = os.waitstatus_to_exitcode(status)
            if status:  # the other would wait for it
                deadline = min(deadline, time.monotonic() + FOLLOWS_SECONDS)
        if time.monotonic() > deadline:
            for child in running:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    return codes


def _work(work: Callable[[], object], said: Path, place: dict[str, str]) -> None:
    """One of the two; does not return."""
    code = 1
    try:
        output = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ |= place
        AcceleratorState._reset_state(reset_partial_state=True)  # this process was alone so far
        assert PartialState._shared_state == {}
        without_forecast()
        warnings.simplefilter("default")  # as in a process of its own; pytest's are errors
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
