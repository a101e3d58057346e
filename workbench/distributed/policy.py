"""Precision, attention and dropout for the device at hand, decided in this one place.

The choices for a CPU were measured (``python -m benchmarks.policy`` repeats it). On two x86 cores
with AMX, one LoRA step of a 6-layer BERT (batch 16 x 128 tokens) took, relative to fp32 with SDPA
and dropout 0.1, transformers' defaults: 0.68 without dropout, 0.72 with bf16 autocast and SDPA,
and 0.34 with bf16 autocast, eager attention and no dropout: random masks are drawn slowly on a
CPU, and the backward pass of its fused attention does not gain from bf16. For a GPU nothing was
measured here yet: it gets what transformers does by default, with bf16 autocast, steps that are
read one behind (`workbench.training.launched`), which changes no number, and evaluation batches
from the memory that is free (`workbench.inference.batch_size`), unless the run shares the GPU with
others, which need some of it; `make gpu` times each.
"""

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from workbench.distributed import processor
from workbench.distributed.deepspeed import zero_stage
from workbench.distributed.launcher import shards_weights
from workbench.recipe.schema import TrainingSpec
from workbench.store import BESIDE_VARIABLE

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
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
    reads_behind: bool = False
    """Whether a step is read when the next one has been launched, and its batch is made before."""
    asks_free_memory: bool = False
    """Whether free memory decides how many examples an evaluation takes at once."""
    notes: tuple[str, ...] = ()
    """What the recipe asks for and the device cannot do, and what is done instead."""

    def record(self) -> dict[str, Any]:
        """The policy as plain values for result.json; on a CPU as earlier versions wrote it."""
        later = {name for name in ("reads_behind", "asks_free_memory") if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in later}

    @property
    def accelerate_precision(self) -> str:
        """The same precision in accelerate's words."""
        return "no" if self.precision == "fp32" else self.precision


def choose_policy(
    training: TrainingSpec, device: torch.device, processes: int = 1, *, sdpa: bool = True
) -> Policy:
    """The policy for a device; what the recipe asks for wins over the default where it is possible.

    bf16 is not where it would be emulated: one LoRA step of a 6-layer BERT (batch 16 x 128) took 14
    times as long as in fp32 on a core capped at AVX2 (18.6 and 1.3 s), and oneDNN has no LSTM
    for it, so that p-tuning would end with an error in the middle of its first step.

    Args:
        sdpa: whether the model's architecture has it; one that has not computes in eager attention.
    """
    precision, attention, dropout, why = _defaults(device)
    notes: tuple[str, ...] = ()
    if training.precision == "bf16" and not computes_bf16(device):
        kind = "processor" if device.type == "cpu" else "GPU"
        notes += (
            f"training.precision: bf16 is computed in fp32, as this {kind} only emulates bf16",
        )
        why = f"{why} (bf16 was asked for)"
    elif training.precision != "auto":
        precision = training.precision
    if training.attention != "auto":
        attention = training.attention
    if attention == "sdpa" and not sdpa:
        attention = "eager"
        if training.attention == "sdpa":
            notes += ("training.attention: eager, as this model's architecture has no sdpa",)
    if training.dropout != "auto":
        dropout = training.dropout
    name = f"{processor.name()}, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    sharded = processes > 1 and shards_weights()
    zero = zero_stage() if processes > 1 else 0
    whole = device.type == "cuda" and not (sharded or zero)
    return Policy(
        device=device.type,
        device_name=name,
        precision=precision,
        attention=attention,
        dropout=dropout,
        why=why,
        processes=processes,
        sharded=sharded,
        zero=zero,
        reads_behind=whole,
        asks_free_memory=whole and training.eval_batch_size == "auto" and not runs_beside(),
        notes=notes,
    )


def runs_beside() -> int:
    """Other runs that this one shares its device with."""
    return int(os.environ.get(BESIDE_VARIABLE, "0"))


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 by itself; of a kind that was not measured it is assumed."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return processor.computes_bf16() if device.type == "cpu" else True


def _defaults(device: torch.device) -> tuple[Precision, str, float | None, str]:
    if device.type == "cuda":
        if computes_bf16(device):
            return "bf16", "sdpa", None, "CUDA with bf16: autocast, fused attention and AdamW"
        return "fp32", "sdpa", None, "CUDA without bf16: fp32 with fused attention and AdamW"
    if device.type == "cpu":
        if computes_bf16(device):
            why = "CPU with bf16 instructions: autocast, eager attention, no dropout"
            return "bf16", "eager", 0.0, why
        return "fp32", "eager", 0.0, "CPU without bf16 instructions: fp32, no dropout"
    return "fp32", "sdpa", None, f"{device.type}: not measured, so transformers' defaults"
