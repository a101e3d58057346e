"""Tiny models wide enough for bitsandbytes: 64 inputs share a scale of nf4."""

from __future__ import annotations

from pathlib import Path

from tests.tiny_models import WORDS, save_tokenizer

WIDTH = 64


def make_wide(family: str, folder: Path, width: int = WIDTH) -> Path:
    """Writes a model with random weights that are far from each other."""
    import torch
    import transformers

    torch.manual_seed(0)
    size = {"vocab_size": len(WORDS) + 5, "initializer_range": 0.1}
    shape = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    }
    model: transformers.PreTrainedModel
    if family == "bert":
        model = transformers.BertForMaskedLM(transformers.BertConfig(**size, **shape))
    elif family == "gpt2":
        config = transformers.GPT2Config(**size, n_embd=width, n_layer=2, n_head=4, n_positions=64)
        model = transformers.GPT2LMHeadModel(config)
    else:
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**size, **shape, num_key_value_heads=2)
        )
    model.save_pretrained(folder)
    save_tokenizer(folder, pairs_are_marked=family == "bert", decoder=family != "bert")
    return folder
