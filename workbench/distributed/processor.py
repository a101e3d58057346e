"""What the processor at hand computes with, decided in this one place.

torch (2.13) tells what the silicon has, whatever torch and oneDNN were told to leave alone. Here a
cap counts: with ``ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2`` in the environment everything
behaves as on a machine that has no more, which is how `make test-avx2` meets that kind.
"""

import platform
from functools import cache
from pathlib import Path

import torch


def computes_bf16() -> bool:
    """Whether bf16 is multiplied by instructions of its own (AMX or AVX-512), not emulated."""
    own = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return bool(own and _is_wide() and _onednn_has_bf16())


@cache
def onednn_is_quicker() -> bool:
    """Whether torch's way of multiplying fp32 matrices (MKL) leaves half of this processor idle.

    Measured on AMD's with AVX-512 alone, see `workbench.models.onednn`; on Intel's MKL uses all.
    """
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return has_both and _is_wide() and name().startswith("AMD")


def name() -> str:
    """The processor's own name where Linux knows it; platform says x86_64 there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _is_wide() -> bool:
    """Whether torch computes with AVX-512; ATEN_CPU_CAPABILITY may forbid it."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def _onednn_has_bf16() -> bool:
    """Whether oneDNN has kernels for bf16; ONEDNN_MAX_CPU_ISA may forbid them."""
    there = torch.backends.mkldnn.is_available()
    return there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
