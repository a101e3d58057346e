"""Tiny random decoders of several families, and every kind of PEFT adapter for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
import torch
import transformers
from torch import nn

VOCABULARY = 24
VIRTUAL = 3
SIZE = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": None, "initializer_range": 0.4}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**SIZE, n_positions=48, n_embd=32, n_layer=2, n_head=4)
    ),
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **SIZE, **SHAPE, num_key_value_heads=2, intermediate_size=48, max_position_embeddings=48
        )
    ),
    "mistral": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(
            **SIZE, **SHAPE, num_key_value_heads=2, intermediate_size=48, sliding_window=6
        )
    ),
    "gpt-neo": lambda: transformers.GPTNeoForCausalLM(
        transformers.GPTNeoConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_layers=2, num_heads=4, window_size=6,
            attention_types=[[["global", "local"], 1]], max_position_embeddings=48,
            initializer_range=0.4, bos_token_id=1, eos_token_id=None,
        )
    ),
    "bloom": lambda: transformers.BloomForCausalLM(
        transformers.BloomConfig(**SIZE, hidden_size=32, n_layer=2, n_head=4)
    ),
    "opt": lambda: transformers.OPTForCausalLM(
        transformers.OPTConfig(
            vocab_size=VOCABULARY, **SHAPE, ffn_dim=48, max_position_embeddings=48, init_std=0.4,
            word_embed_proj_dim=32, bos_token_id=1, eos_token_id=None,
        )
    ),
}  # fmt: skip
METHODS: dict[str, Callable[[str], peft.PeftConfig | None]] = {
    "none": lambda _: None,
    "lora": lambda family: peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, fan_in_fan_out=family == "gpt2"
    ),
    "ia3": lambda family: peft.IA3Config(
        task_type="CAUSAL_LM", fan_in_fan_out=family == "gpt2"
    ),
    "prefix": lambda _: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "prefix-projected": lambda _: peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, prefix_projection=True,
        encoder_hidden_size=16,
    ),
    "prompt": lambda _: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "p-tuning": lambda _: peft.PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, encoder_hidden_size=16
    ),
}  # fmt: skip
SOFT = ["prefix", "prefix-projected", "prompt", "p-tuning"]
"""Methods that put something before the first token."""


def build(family: str, method: str) -> nn.Module:
    """A random decoder with an adapter that is far from its start."""
    torch.manual_seed(3)
    model = FAMILIES[family]()
    config = METHODS[method](family)
    if config is not None:
        model = peft.get_peft_model(model, config)
        for parameter in (p for p in model.parameters() if p.requires_grad):
            parameter.data += 0.5 * torch.randn_like(parameter)
    return model.eval()
