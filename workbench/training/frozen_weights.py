"""Frozen weights in the precision that the training computes in.

Autocast keeps a half-precision copy only of weights that want a gradient: a frozen weight is cast
anew in every forward pass, and what lies between the matrix products stays in fp32. With the
frozen matrices themselves in bf16 the residual stream is bf16 too; trained tensors, norms and
biases stay fp32. One LoRA step of a 6-layer BERT (batch 16 x 128) on two x86 cores with AMX took
0.79 of the time with autocast alone, and a GPU holds the weights in half the memory.

A base that is loaded in bf16, or quantised beside it, keeps its matrices as they are; where the
training computes in fp32 they are fp32 meanwhile. Trained tensors are fp32 in any case, and are
rounded at the end to what a plain load makes of them.

LoRA layers (peft 0.21) cast what comes in to the fp32 of their own matrices, and autocast casts it
back; without that detour the same step takes 0.87 of the time, with equal gradients.
"""

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from workbench.models.quantized import allow_packing, quantized_layers


class FrozenWeights:
    """Holds the fp32 originals of a model's frozen matrices while bf16 copies stand in for them,
    and knows what was loaded in bf16.

    The originals stay where they are, on the CPU, when the model goes to a GPU.
    """

    def __init__(self, model: nn.Module, mixed_precision: str) -> None:
        self.originals: list[tuple[nn.Parameter, Tensor]] = []
        self._loaded: list[tuple[nn.Parameter, torch.dtype]] = []
        self._computing: list[tuple[Any, torch.dtype]] = []
        self._casting: list[LoraLayer] = []
        self._model = model
        bf16 = mixed_precision == "bf16"
        for parameter in model.parameters():
            if not parameter.dtype.is_floating_point:
                continue
            # Vectors stay: torch's layer norm on a CPU wants its two parameters in one precision.
            frozen = bf16 and not parameter.requires_grad and parameter.ndim >= 2
            wanted = torch.bfloat16 if frozen else torch.float32
            if parameter.dtype == wanted:
                continue
            if frozen:
                self.originals.append((parameter, parameter.data))
            else:
                self._loaded.append((parameter, parameter.dtype))
            parameter.data = parameter.data.to(wanted)
        if not bf16:
            self._compute_in_fp32()
            return
        self._casting = [m for m in model.modules() if isinstance(m, LoraLayer)]
        for layer in self._casting:
            layer.cast_input_dtype_enabled = False

    def _compute_in_fp32(self) -> None:
        """A processor that only emulates bf16 trains quantised layers in fp32 too."""
        for _, layer in quantized_layers(self._model):
            if getattr(layer, "compute_dtype", None) is not None:
                self._computing.append((layer, layer.compute_dtype))
                layer.compute_dtype = torch.float32

    @property
    def kept_bytes(self) -> int:
        """Bytes of the originals that lie on the device of the copies which stand in for them."""
        return sum(t.nbytes for p, t in self.originals if t.device == p.device)

    def restore(self) -> None:
        """Makes every tensor what a plain load has, on the device that the model is on now."""
        for parameter, original in self.originals:
            parameter.data = original.to(parameter.device)
        for parameter, dtype in self._loaded:
            parameter.data = parameter.data.to(dtype)
        for layer, dtype in self._computing:
            layer.compute_dtype = dtype
        for layer in self._casting:
            layer.cast_input_dtype_enabled = True
        self.originals.clear()
        self._loaded.clear()
        allow_packing(self._model, True)
