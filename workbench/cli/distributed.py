"""``--processes N``: the same command in several processes that train together."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from workbench.cli.output import echo, note
from workbench.errors import UsageError

SHARD_OPTION = typer.Option(
    False, "--shard", help="Shard weights and optimizer state over the processes (FSDP2)."
)
ZERO_OPTION = typer.Option(
    0,
    "--zero",
    min=0,
    max=2,
    help="DeepSpeed ZeRO stage: shard the optimizer state (1), the gradients too (2).",
)


def is_worker() -> bool:
    """True in a process that a launcher (torchrun, accelerate, this module) started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_rank() -> bool:
    """True in a process that `launch` started: ``--processes`` is no longer its business."""
    return is_worker() and "WORKBENCH_LAUNCHER" in os.environ


def is_main() -> bool:
    """True in the one process that prints."""
    return int(os.environ.get("RANK", "0") or 0) == 0


def launch_configs() -> None:
    """Print the config files for `accelerate launch`.

    Pass one of them with --config_file.
    """
    for path in sorted(configs_dir().glob("accelerate/*.yaml")):
        echo(str(path))


def configs_dir() -> Path:
    """The folder of the launch configurations that come with the workbench."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_configs"
    return installed if installed.is_dir() else package.parent / "configs"


def check_sharing(shard: bool, zero: int, processes: int, queue: bool) -> None:
    """Refuses sharding options that need several processes where there is one.

    Raises:
        UsageError: naming the option.
    """
    if shard and zero:
        raise UsageError(
            "--shard with --zero",
            why="--shard already shards optimizer state and gradients, and the weights too",
            fix="give one of them",
        )
    if not shard and not zero:
        return
    option = "--shard" if shard else f"--zero {zero}"
    if queue:
        raise UsageError(
            f"{option} with --queue",
            why="the queue stores the number of processes of a run, not how they shard it",
            fix="--detach starts it in the background now",
        )
    if processes == 1:
        raise UsageError(f"{option} with one process", fix="add --processes 2 or more")


def launch(
    arguments: Sequence[str],
    processes: int,
    runs: Sequence[Path] = (),
    *,
    shard: bool = False,
    zero: int = 0,
) -> int:
    """Runs ``workbench ARGUMENTS`` in several processes on this machine; returns the exit code.

    Not with ``accelerate launch``, which with ``--cpu --num_processes 2`` silently starts one
    process (accelerate 1.15); the processes find each other the same way.

    Args:
        runs: folders of the runs that they will write.
        shard: let them share the weights (FSDP2).
        zero: stage of DeepSpeed's ZeRO in which they share optimizer state; 0 for none.

    Raises:
        UsageError: when this is such a process already, or there are fewer GPUs than processes.
    """
    if is_worker():
        raise UsageError("--processes inside a launcher", fix="leave --processes out")
    import torch

    from workbench.jobs import child_environment, run_together

    on_cpu = not torch.cuda.is_available()
    if not on_cpu and processes > torch.cuda.device_count():
        raise UsageError(
            f"{processes} processes for {torch.cuda.device_count()} GPUs",
            fix="one process per GPU; CUDA_VISIBLE_DEVICES= trains on the CPU instead",
        )
    environment = child_environment()
    if on_cpu:
        environment["ACCELERATE_USE_CPU"] = "true"
    if shard:
        environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    if zero:
        stage = {"ACCELERATE_DEEPSPEED_ZERO_STAGE": str(zero)}
        environment |= {"ACCELERATE_USE_DEEPSPEED": "true", **stage}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    command = [sys.executable, "-P", "-m", "workbench", *arguments]
    code = run_together(command, processes, environment, runs)
    if code:
        note(f"one of {processes} processes ended first, with exit code {code}")
    return code


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
