"""Precision, attention and dropout for the device at hand, decided in this one place.

The choices for a CPU were measured (``python -m benchmarks.policy`` repeats it). On two x86 cores
with AMX, one LoRA step of a 6-layer BERT (batch 16 x 128 tokens) took, relative to fp32 with SDPA
and dropout 0.1, transformers' defaults: 0.68 without dropout, 0.72 with bf16 autocast and SDPA,
and 0.34 with bf16 autocast, eager attention and no dropout: random masks are drawn slowly on a
CPU, and the backward pass of its fused attention does not gain from bf16. For a GPU nothing was
measured here yet: it gets what transformers does by default, with bf16 autocast.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState

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


def choose_policy(training: TrainingSpec, device: torch.device, processes: int = 1) -> Policy:
    """The policy for a device; what the recipe asks for wins over the default."""
    precision, attention, dropout, why = _defaults(device)
    if training.precision != "auto":
        precision = training.precision
    if training.attention != "auto":
        attention = training.attention
    if training.dropout != "auto":
        dropout = training.dropout
    return Policy(device.type, _device_name(device), precision, attention, dropout, why, processes)


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
