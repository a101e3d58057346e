"""What a method must not do on a base whose weights are quantised."""

from copy import deepcopy
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from workbench.errors import MethodError
from workbench.methods.base import AdaptedModel
from workbench.models.quantized import allow_packing, packs, quantized_layers

PACKED_INPUTS, PACKED_OUTPUTS = 64, 32
"""What bitsandbytes (0.50) packs has a multiple of so many inputs, and of so many outputs."""
MOST_BY_PACKING = 0.05
"""Largest difference, relative to the outputs, that rearranged weights may make: scales in bf16
make 0.004."""


def check_on_quantized(adapted: AdaptedModel, method: str) -> None:
    """Refuses a method that PEFT has no quantised layers for, or that trains a part of one.

    PEFT (0.21) chooses layers of its modules ``bnb`` for those of bitsandbytes where a method has
    them. Others take such a layer for an ordinary one, whose weights they cannot read.

    Raises:
        MethodError: with the layer.
    """
    quantized = dict(quantized_layers(adapted.base.model))
    if not quantized:
        return
    _check_shapes(quantized)
    layers = {id(layer) for layer in quantized.values()}
    for name, module in adapted.model.named_modules():
        if not isinstance(module, BaseTunerLayer) or id(module.get_base_layer()) not in layers:
            continue
        if not type(module).__module__.endswith(".bnb"):
            raise MethodError(
                f"PEFT has no {method} for quantised weights",
                where="model.quantization",
                why=f"its {type(module).__name__} of {name} takes them for numbers",
                fix="take lora, ia3, prefix or prompt, or set model.quantization: none",
            )
    for name, layer in quantized.items():
        trained = [n for n, p in layer.named_parameters() if p.requires_grad]
        own = [n for n in trained if n in ("weight", "bias")]
        if own:
            raise MethodError(
                f"{method} trains the {own[0]} of {name}, which is quantised",
                where="model.quantization",
                why="bitsandbytes rounds it to bf16 in each step",
                fix="take a method that leaves the base as it is, or set model.quantization: none",
            )


def _check_shapes(quantized: dict[str, Any]) -> None:
    """Refuses layers that bitsandbytes fails on, on this processor."""
    for name, layer in quantized.items():
        fits = layer.in_features % PACKED_INPUTS == 0 and layer.out_features % PACKED_OUTPUTS == 0
        if not fits and packs(layer):
            raise MethodError(
                f"bitsandbytes cannot compute with {name} in nf4 on this processor: it has "
                f"{layer.in_features} inputs and {layer.out_features} outputs",
                where="model.quantization",
                why=f"with AVX-512 and bf16 it wants multiples of {PACKED_INPUTS} and "
                f"{PACKED_OUTPUTS}",
                fix="add it to model.quantization_skip, or set model.quantization: int8 or none",
            )


@torch.inference_mode()
def check_as_loaded(adapted: AdaptedModel, method: str) -> None:
    """Refuses a method that gives other outputs once bitsandbytes has rearranged the weights.

    PEFT's DoRA (0.21) reads them in each forward pass, as if they lay as before.

    Raises:
        MethodError: with the difference of one layer.
    """
    quantized = {id(layer) for _, layer in quantized_layers(adapted.base.model)}
    for module in adapted.model.modules():
        if not isinstance(module, BaseTunerLayer) or id(module.get_base_layer()) not in quantized:
            continue
        if not packs(module.get_base_layer()):
            return
        layer: Any = deepcopy(module).eval()
        of_layer = layer.get_base_layer()
        numbers = torch.Generator().manual_seed(0)
        inputs = torch.randn(4, of_layer.in_features, generator=numbers)
        inputs = inputs.to(of_layer.weight.device, adapted.base.model.dtype)
        before = layer(inputs).float()
        allow_packing(layer, True)
        layer(inputs)
        difference = float((layer(inputs).float() - before).norm() / before.norm())
        if difference > MOST_BY_PACKING:
            raise MethodError(
                f"{method} gives other outputs in nf4 on this processor than it was trained for "
                f"({difference:.0%} in one layer)",
                where="model.quantization",
                why="bitsandbytes rearranges the weights for AVX-512 with bf16, and PEFT reads "
                "them as if it had not",
                fix="take lora without use_dora, or set model.quantization: none and "
                "model.dtype: bf16",
            )
        return
