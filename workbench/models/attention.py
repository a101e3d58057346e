"""Which attention implementation a model computes with."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

PLAIN_ATTENTION = "sdpa"
"""What a plain ``from_pretrained`` uses, so what the test is scored with."""


def set_attention(model: nn.Module, implementation: str) -> None:
    """Switches the attention implementation of a model, PEFT wrapper or not."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation(implementation)
            return
