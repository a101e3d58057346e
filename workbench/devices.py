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
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from workbench import processor
from workbench.deepspeed_settings import zero_stage
from workbench.launched import shards_weights, sharing_unmentioned
from workbench.recipe.schema import TrainingSpec

Precision = Literal["fp32", "bf16"]


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
    zero: int = 0
    """Stage of DeepSpeed's ZeRO: 1 shares the optimizer state, 2 the gradients too, 0 neither."""
    notes: tuple[str, ...] = ()
    """What the recipe asks for and the device cannot do, and what is done instead."""

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
    with sharing_unmentioned():
        return PartialState(cpu=not torch.accelerator.is_available())


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
    with sharing_unmentioned():
        return Accelerator(mixed_precision=policy.accelerate_precision, kwargs_handlers=[ddp])


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


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside, which computes in its own precision again.

    accelerate's ``unwrap_model`` (1.15) does the same, but imports DeepSpeed wherever that is
    installed: half a second, and lines on the screen, in a run that has nothing to do with it.
    """
    while isinstance(model, DistributedDataParallel):
        model = model.module
    original = model.__dict__.pop("_original_forward", None)
    if original is not None:
        model.forward = original
    return model


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch and Python raise when an allocation fails, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # CPU and Metal allocators raise a plain RuntimeError.
    words = ("out of memory", "can't allocate memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)


def choose_policy(training: TrainingSpec, device: torch.device, processes: int = 1) -> Policy:
    """The policy for a device; what the recipe asks for wins over the default where it is possible.

    bf16 is not where it would be emulated: one LoRA step of a 6-layer BERT (batch 16 x 128) took 14
    times as long as in fp32 on a core capped at AVX2 (18.6 and 1.3 s), and oneDNN has no LSTM
    for it, so that p-tuning would end with an error in the middle of its first step.
    """
    precision, attention, dropout, why = _defaults(device)
    notes: tuple[str, ...] = ()
    if training.precision == "bf16" and not computes_bf16(device):
        kind = "processor" if device.type == "cpu" else "GPU"
        notes = (
            f"training.precision: bf16 is computed in fp32, as this {kind} only emulates bf16",
        )
        why = f"{why} (bf16 was asked for)"
    elif training.precision != "auto":
        precision = training.precision
    if training.attention != "auto":
        attention = training.attention
    if training.dropout != "auto":
        dropout = training.dropout
    return Policy(
        device.type,
        _device_name(device),
        precision,
        attention,
        dropout,
        why,
        processes,
        sharded=processes > 1 and shards_weights(),
        zero=zero_stage() if processes > 1 else 0,
        notes=notes,
    )


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 by itself; of a kind that was not measured it is assumed."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return processor.computes_bf16() if device.type == "cpu" else True


def _defaults(device: torch.device) -> tuple[Precision, str, float | None, str]:
    if device.type == "cuda":
        if computes_bf16(device):
            return "bf16", "sdpa", None, "CUDA with bf16: autocast and fused attention"
        return "fp32", "sdpa", None, "CUDA without bf16: fp32 with fused attention"
    if device.type == "cpu":
        if computes_bf16(device):
            why = "CPU with bf16 instructions: autocast, eager attention, no dropout"
            return "bf16", "eager", 0.0, why
        return "fp32", "eager", 0.0, "CPU without bf16 instructions: fp32, no dropout"
    return "fp32", "sdpa", None, f"{device.type}: not measured, so transformers' defaults"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor.name()}, {torch.get_num_threads()} threads"
