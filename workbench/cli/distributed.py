"""``--processes N``: the same command in several processes that train together."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Sequence

from workbench.cli.output import note
from workbench.errors import UsageError


def is_worker() -> bool:
    """True in a process that a launcher (torchrun, accelerate, this module) started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_main() -> bool:
    """True in the one process that prints."""
    return int(os.environ.get("RANK", "0") or 0) == 0


def launch(arguments: Sequence[str], processes: int) -> int:
    """Runs ``workbench ARGUMENTS`` in several processes on this machine; returns the exit code.

    torch's own launcher and not ``accelerate launch``, which with ``--cpu --num_processes 2``
    silently starts one process (accelerate 1.15); the processes find each other the same way.

    Raises:
        UsageError: when this is such a process already, or there are fewer GPUs than processes.
    """
    if is_worker():
        raise UsageError("--processes inside a launcher", fix="leave --processes out")
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from workbench.jobs import child_environment

    on_cpu = not torch.cuda.is_available()
    if not on_cpu and processes > torch.cuda.device_count():
        raise UsageError(
            f"{processes} processes for {torch.cuda.device_count()} GPUs",
            fix="one process per GPU; CUDA_VISIBLE_DEVICES= trains on the CPU instead",
        )
    os.environ.update(child_environment())
    if on_cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    # its messages name its own internals; the exit code below says what a reader needs
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        elastic_launch(config, sys.executable)("-m", "workbench", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        note(f"process {rank} of {processes} ended first, with exit code {code}")
        return code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
