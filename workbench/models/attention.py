"""Which attention implementation a model computes with."""

from typing import Any

import transformers
from torch import nn
from transformers import PreTrainedModel


def plain_attention(model_class: Any) -> str:
    """What a plain ``from_pretrained`` (transformers 5.23) uses, so what a test is scored with.

    That is SDPA where the architecture has it. DeBERTa, MPNet, XLNet, Longformer, GPT-Neo, GPT-J
    and Mamba, among others, do not.
    """
    return "sdpa" if model_class._supports_sdpa else "eager"


def supported_attention(model_class: Any, wanted: str) -> str:
    """The implementation that is wanted, or eager where the architecture has no SDPA."""
    return wanted if wanted == "eager" else plain_attention(model_class)


def class_of(auto_class: str, config: Any) -> Any:
    """The model class that one of transformers' auto classes makes of a config.

    Raises:
        ValueError: when there is none for this kind of model.
    """
    auto = getattr(transformers, auto_class)
    if type(config) not in auto._model_mapping:
        raise ValueError(f"{auto_class} knows no {config.model_type}")
    found = auto._model_mapping[type(config)]
    return found[0] if isinstance(found, tuple | list) else found


def set_attention(model: nn.Module, implementation: str | None = None) -> None:
    """Switches the attention implementation of a model, PEFT wrapper or not.

    Args:
        implementation: None for that of a plain load.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            wanted = implementation or plain_attention(type(module))
            if module.config._attn_implementation != wanted:
                module.set_attn_implementation(wanted)
            return
