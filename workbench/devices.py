"""Precision, attention and dropout for the device at hand, decided in this one place.

The choices for a CPU were measured (``python -m benchmarks.policy`` repeats it). On two x86 cores
with AMX, one LoRA step of a 6-layer BERT (batch 16 x 128 tokens) took, relative to fp32 with SDPA
and dropout 0.1, transformers' defaults: 0.68 without dropout, 0.72 with bf16 autocast and SDPA,
and 0.34 with bf16 autocast, eager attention and no dropout: random masks are drawn slowly on a
CPU, and the backward pass of its fused attention does not gain from bf16. For a GPU nothing was
measured here yet: it gets what transformers does by default, with bf16 autocast.
"""

from __future__ import annotations

import math
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from workbench.errors import UsageError
from workbench.recipe.schema import TrainingSpec

Precision = Literal["fp32", "bf16"]
_SHARD = "ACCELERATE_USE_FSDP"
"""What accelerate's launcher sets where the processes are to share the weights."""
_OTHERS = {
    "DEEPSPEED": ("DeepSpeed", "it steps before a non-finite loss or gradient could stop it"),
    "MEGATRON_LM": ("Megatron-LM", "it has models and a loop of its own"),
}
"""What accelerate's launcher says in the environment: its name, and why it cannot be used."""
_NOT_TAKEN = {
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params", "leave it out, or take more processes"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "fsdp_activation_checkpointing",
        "set training.gradient_checkpointing in the recipe",
    ),
}
"""Settings of accelerate's FSDP that would change the training and have no place here."""


@dataclass(frozen=True)
class Policy:
    """How a run computes; stored with its result."""

    device: str
    device_name: str
    precision: Precision
    attention: str
    dropout: float | None
    """Dropout probability of the base model in training; None keeps the model's own."""
    why: str
    processes: int = 1
    sharded: bool = False
    """Whether the processes share the weights, instead of each having them all."""

    def record(self) -> dict[str, Any]:
        """The policy as plain values for result.json."""
        return asdict(self)

    @property
    def accelerate_precision(self) -> str:
        """The same precision in accelerate's words."""
        return "no" if self.precision == "fp32" else self.precision


def this_process() -> PartialState:
    """This process among those that train together, and its device.

    accelerate has to be told that there is no accelerator: without ``cpu=True`` (1.15) each of
    several CPU processes takes itself for the only one.
    """
    return PartialState(cpu=not torch.accelerator.is_available())


def shards_weights() -> bool:
    """True where the launcher asked the processes to share the weights (FSDP)."""
    return _is_set(_SHARD)


def check_launch(training: TrainingSpec, processes: int) -> None:
    """Refuses, before anything is loaded, what this number or kind of processes cannot train.

    Raises:
        UsageError: when the batch has fewer examples than there are processes, and when the model
            is to be sharded in a way that is not supported.
    """
    if training.batch_size < processes:
        raise UsageError(
            f"a batch of {training.batch_size} cannot be shared by {processes} processes",
            where="training.batch_size",
            why="it counts the examples of an optimizer step over all processes, and each has to "
            "get one",
            fix=f"take at most {training.batch_size} processes, or a larger batch_size",
        )
    for name, (words, why) in _OTHERS.items():
        if _is_set(f"ACCELERATE_USE_{name}"):
            raise UsageError(
                f"{words} is not supported",
                where="accelerate launch",
                why=why,
                fix="take the shipped ddp.yaml, or fsdp2.yaml for a base too large for one GPU",
            )
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
    if processes == 1:
        raise UsageError(
            "one process has nobody to share the weights with",
            where="--shard",
            fix="add --processes 2 or more; or leave --shard out",
        )
    if training.auto_micro_batch:
        raise UsageError(
            "auto_micro_batch cannot be used with sharded weights",
            where="training.auto_micro_batch",
            why="each layer is put together by all processes, so one that runs out of memory in "
            "the middle of it leaves the others waiting",
            fix="set training.micro_batch_size, which leaves the effective batch as it is",
        )


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1")


def make_accelerator(policy: Policy, training: TrainingSpec) -> Accelerator:
    """A fresh accelerator whose DistributedDataParallel exchanges trained gradients and no more.

    Frozen weights have no gradient and so no place in the exchange; they travel once, when the
    processes start. Buffers are the same everywhere (none of these models has running statistics).
    A static graph makes trained tensors without a gradient cheap and legal, but counts the first
    backward pass double when that one is not exchanged (torch 2.13), so it is left out where a
    step is made of micro-batches.
    """
    AcceleratorState._reset_state()
    # transformers would load the base in the first process only, and leave the others random.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    share = math.ceil(training.batch_size / policy.processes)
    whole = training.micro_batch_size is None or training.micro_batch_size >= share
    ddp = DistributedDataParallelKwargs(
        broadcast_buffers=False,
        find_unused_parameters=False,
        gradient_as_bucket_view=True,
        static_graph=whole and not training.auto_micro_batch,
    )
    with _sharding_unmentioned():
        return Accelerator(mixed_precision=policy.accelerate_precision, kwargs_handlers=[ddp])


@contextmanager
def _sharding_unmentioned() -> Iterator[None]:
    """Keeps accelerate (1.15) from sharding by itself: it does so on GPUs only, and moves frozen
    weights and optimizer in its own way."""
    said = os.environ.pop(_SHARD, None)
    try:
        yield
    finally:
        if said is not None:
            os.environ[_SHARD] = said


@contextmanager
def as_if_alone() -> Iterator[None]:
    """Inside the block an accelerator takes this process for the only one.

    For what one process works out for itself while the others wait; nothing may be exchanged.
    """
    state = this_process()._shared_state
    kept, sharing = dict(state), AcceleratorState._shared_state.copy()
    state.update(
        distributed_type=DistributedType.NO,
        num_processes=1,
        process_index=0,
        local_process_index=0,
    )
    try:
        yield
    finally:
        AcceleratorState._reset_state()
        AcceleratorState._shared_state.update(sharing)
        state.clear()
        state.update(kept)


def wrap(accelerator: Accelerator, model: nn.Module, optimizer: Optimizer) -> tuple[Any, Any]:
    """Model and optimizer as several processes share them; a single process gets its own back.

    A model that is sharded already gets the policy's precision and nothing else.
    """
    if isinstance(model, FSDPModule):
        wrapped = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        return wrapped, accelerator.prepare_optimizer(optimizer, device_placement=False)
    with warnings.catch_warnings():
        # torch 2.13 has another name for the setting, which accelerate 1.15 does not know.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        wrapped, driven = accelerator.prepare(model, optimizer)
    return wrapped, driven


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch and Python raise when an allocation fails, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # CPU and Metal allocators raise a plain RuntimeError.
    words = ("out of memory", "can't allocate memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)


def choose_policy(training: TrainingSpec, device: torch.device, processes: int = 1) -> Policy:
    """The policy for a device; what the recipe asks for wins over the default."""
    precision, attention, dropout, why = _defaults(device)
    if training.precision != "auto":
        precision = training.precision
    if training.attention != "auto":
        attention = training.attention
    if training.dropout != "auto":
        dropout = training.dropout
    name, sharded = _device_name(device), processes > 1 and shards_weights()
    return Policy(device.type, name, precision, attention, dropout, why, processes, sharded)


def _defaults(device: torch.device) -> tuple[Precision, str, float | None, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "sdpa", None, "CUDA with bf16: autocast and fused attention"
        return "fp32", "sdpa", None, "CUDA without bf16: fp32 with fused attention"
    if device.type == "cpu":
        if _cpu_has_bf16():
            why = "CPU with bf16 instructions: autocast, eager attention, no dropout"
            return "bf16", "eager", 0.0, why
        return "fp32", "eager", 0.0, "CPU without bf16 instructions: fp32, no dropout"
    return "fp32", "sdpa", None, f"{device.type}: not measured, so transformers' defaults"


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.get_num_threads()} threads"


def _cpu_name() -> str:
    """The processor's own name where Linux knows it; platform says x86_64 there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
