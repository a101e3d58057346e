"""What the launcher asked these processes to share, and what of it cannot be had.

accelerate's launcher says it in environment variables. accelerate itself must not see them: it
would then share by itself, in its own way.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.distributed.deepspeed import USE, check_deepspeed, check_together
from workbench.errors import UsageError
from workbench.recipe.schema import TrainingSpec

_SHARD = "ACCELERATE_USE_FSDP"
"""What accelerate's launcher sets where the processes are to share the weights."""
_MEGATRON = "ACCELERATE_USE_MEGATRON_LM"
_NOT_TAKEN = {
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params", "leave it out, or take more processes"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "fsdp_activation_checkpointing",
        "set training.gradient_checkpointing in the recipe",
    ),
}
"""Settings of accelerate's FSDP that would change the training and have no place here."""


def shards_weights() -> bool:
    """True where the launcher asked the processes to share the weights (FSDP)."""
    return _is_set(_SHARD)


def check_launch(training: TrainingSpec, processes: int) -> None:
    """Refuses, before anything is loaded, what this number or kind of processes cannot train.

    Raises:
        UsageError: when the batch has fewer examples than there are processes, and when weights or
            optimizer state are to be shared in a way that is not supported.
    """
    if training.batch_size < processes:
        raise UsageError(
            f"a batch of {training.batch_size} cannot be shared by {processes} processes",
            where="training.batch_size",
            why="it counts the examples of an optimizer step over all processes, and each has to "
            "get one",
            fix=f"take at most {training.batch_size} processes, or a larger batch_size",
        )
    if processes == 1 and _is_one_of_none():
        raise UsageError(
            "one process was started where several were asked for",
            where="accelerate launch",
            why="for a config file with distributed_type: MULTI_CPU it sets the address where the "
            "processes would meet (MASTER_PORT), and then starts a single one",
            fix="`workbench run RECIPE --processes N`, or a config file with distributed_type: "
            "MULTI_GPU like the shipped ddp.yaml, which starts N processes on CPUs too",
        )
    if _is_set(_MEGATRON):
        raise UsageError(
            "Megatron-LM is not supported",
            where="accelerate launch",
            why="it has models and a loop of its own",
            fix="take the shipped ddp.yaml, or fsdp2.yaml for a base too large for one GPU",
        )
    if _is_set(USE):
        check_deepspeed(training, processes)
    if shards_weights():
        _check_sharding(training, processes)


def _check_sharding(training: TrainingSpec, processes: int) -> None:
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise UsageError(
            f"FSDP {version} is not supported",
            where="accelerate launch",
            why="it flattens tensors into one, so that frozen and trained ones cannot be told "
            "apart",
            fix="set fsdp_version: 2, as in the shipped fsdp2.yaml",
        )
    for variable, (words, fix) in _NOT_TAKEN.items():
        if _is_set(variable):
            raise UsageError(
                f"{words} is not supported",
                where="accelerate launch",
                why="what is sharded here stays on the devices, and the recipe decides the rest",
                fix=fix,
            )
    why = (
        "each layer is put together by all processes, so one that runs out of memory in the middle "
    )
    why += "of it leaves the others waiting"
    check_together(training, processes, "the weights", "--shard", "--shard", why)


def _is_one_of_none() -> bool:
    """True where accelerate's launcher named a meeting place and started nobody to meet there."""
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    return launched and "RANK" not in os.environ


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1")


@contextmanager
def hide_launcher_env() -> Iterator[None]:
    """Keeps accelerate (1.15) from sharing weights or optimizer state by itself.

    FSDP it knows on GPUs only, and moves frozen weights and optimizer in its own way. With
    DeepSpeed it steps inside of its backward pass, before a non-finite loss or gradient could stop
    it.
    """
    said = {name: os.environ.pop(name) for name in (_SHARD, USE) if name in os.environ}
    try:
        yield
    finally:
        os.environ |= said
