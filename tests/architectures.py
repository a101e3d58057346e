"""Tiny random models of many architectures, as their users would have them in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny_models import WORDS, save_tokenizer

SIZE = {"vocab_size": len(WORDS) + 5}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PLACES = {"max_position_embeddings": 64}
ENCODER = SIZE | SHAPE | PLACES | {"intermediate_size": 64}
ENDS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
DECODER = ENCODER | ENDS
# Texts have positions from padding_idx + 1 on.
ROBERTA = ENCODER | {"max_position_embeddings": 66, "pad_token_id": 0}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT": ("Bert", ENCODER),
    "RoBERTa": ("Roberta", ROBERTA),
    "XLM-R": ("XLMRoberta", ROBERTA),
    "CamemBERT": ("Camembert", ROBERTA),
    "DistilBERT": (
        "DistilBert",
        SIZE | PLACES | {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    ),
    "ALBERT": ("Albert", ENCODER | {"embedding_size": 16}),
    "ELECTRA small": ("Electra", ENCODER | {"embedding_size": 16}),
    "DeBERTa": ("Deberta", ENCODER),
    "DeBERTa-v2": (
        "DebertaV2",
        ENCODER
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "MPNet": ("MPNet", ROBERTA | {"pad_token_id": 1}),
    "MobileBERT": (
        "MobileBert",
        ENCODER
        | {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2},
    ),
    "Longformer": ("Longformer", ROBERTA | {"attention_window": 8}),
    "ModernBERT": (
        "ModernBert",
        ENCODER
        | {"local_attention": 8, "global_attn_every_n_layers": 2}
        | {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2}
        | {"sep_token_id": 3},
    ),
    "XLNet": ("XLNet", SIZE | {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}),
    "BigBird": ("BigBird", ENCODER | {"attention_type": "original_full"}),
}
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT-2": ("GPT2", SIZE | ENDS | {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}),
    "GPT-Neo": (
        "GPTNeo",
        SIZE
        | ENDS
        | PLACES
        | {"hidden_size": 32, "num_layers": 2, "num_heads": 2}
        | {"attention_types": [[["global", "local"], 1]]},
    ),
    "GPT-J": (
        "GPTJ",
        SIZE | ENDS | {"n_embd": 32, "n_layer": 2, "n_head": 2, "rotary_dim": 8, "n_positions": 64},
    ),
    "GPT-NeoX": ("GPTNeoX", DECODER),
    "OPT": ("OPT", SIZE | SHAPE | PLACES | ENDS | {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "OPT, projected": (
        "OPT",
        SIZE | SHAPE | PLACES | ENDS | {"ffn_dim": 64, "word_embed_proj_dim": 16},
    ),
    "Llama": ("Llama", DECODER | {"num_key_value_heads": 1}),
    "Mistral": ("Mistral", DECODER | {"num_key_value_heads": 1, "sliding_window": 8}),
    "Qwen2": ("Qwen2", DECODER | {"num_key_value_heads": 1}),
    "Qwen3": ("Qwen3", DECODER | {"num_key_value_heads": 1, "head_dim": 16}),
    "Gemma": ("Gemma", DECODER | {"num_key_value_heads": 1, "head_dim": 16}),
    "Gemma 3": (
        "Gemma3Text",
        DECODER | {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8},
    ),
    "Phi": ("Phi", DECODER),
    "Phi-3": ("Phi3", DECODER),
    "OLMo 2": ("Olmo2", DECODER),
    "Falcon": (
        "Falcon",
        SIZE | SHAPE | ENDS | {"multi_query": True, "new_decoder_architecture": False},
    ),
}
FAMILIES = ENCODERS | DECODERS
HEADS = {"XLNet": "LMHeadModel", "GPT-2": "LMHeadModel"}
"""Where the class of a language model is not called ...ForMaskedLM or ...ForCausalLM."""
CLASSES = {"Gemma3Text": "Gemma3"}


def save_architecture(name: str, folder: Path) -> Path:
    """Writes a tiny model of an architecture, as its language modelling has left it."""
    import torch
    import transformers

    prefix, values = FAMILIES[name]
    config = getattr(transformers, f"{prefix}Config")(**values)
    head = HEADS.get(name) or ("ForCausalLM" if name in DECODERS else "ForMaskedLM")
    torch.manual_seed(0)
    model = getattr(transformers, f"{CLASSES.get(prefix, prefix)}{head}")(config)
    model.save_pretrained(folder)
    save_tokenizer(folder, pairs_are_marked=False, decoder=name in DECODERS)
    return folder
