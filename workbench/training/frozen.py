"""Frozen weights in the precision that the training computes in.

Autocast keeps a half-precision copy only of weights that want a gradient: a frozen weight is cast
anew in every forward pass, and what lies between the matrix products stays in fp32. With the
frozen matrices themselves in bf16 the residual stream is bf16 too; trained tensors, norms and
biases stay fp32. One LoRA step of a 6-layer BERT on two x86 cores took 0.79 of the time with
autocast alone (``python -m benchmarks.policy``), and on a GPU the weights take half the memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FrozenWeights:
    """Holds the fp32 originals of a model's frozen matrices while bf16 copies stand in for them.

    The originals stay where they are, on the CPU, when the model goes to a GPU.
    """

    def __init__(self, model: nn.Module, mixed_precision: str) -> None:
        self._originals: list[tuple[nn.Parameter, Tensor]] = []
        if mixed_precision != "bf16":
            return
        for parameter in model.parameters():
            # Vectors stay: torch's layer norm on a CPU wants its two parameters in one precision.
            if parameter.requires_grad or parameter.ndim < 2:
                continue
            if parameter.dtype == torch.float32:
                self._originals.append((parameter, parameter.data))
                parameter.data = parameter.data.to(torch.bfloat16)

    def restore(self) -> None:
        """Puts the fp32 originals back, on the device that the model is on now."""
        for parameter, original in self._originals:
            parameter.data = original.to(parameter.device)
        self._originals.clear()
