"""Tiny models with random weights, their 36 words, and texts of these words; nothing is fetched."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WORDS = (
    "the a of in on and to was is goal match team player league bank profit shares market firm "
    "film music star award song minister vote party law election phone software net game chip"
).split()
TOPICS = {"business": range(14, 19), "sport": range(9, 14), "tech": range(29, 34)}


def save_tokenizer(folder: Path, *, pairs_are_marked: bool, decoder: bool = False) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS, "[MASK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names |= {"eos_token": "[SEP]"} if decoder else {"mask_token": "[MASK]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if pairs_are_marked else None
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names, **({"model_input_names": inputs} if inputs else {})
    ).save_pretrained(folder)


def make_tiny(family: str, folder: Path, *, spread: float = 0.02) -> Path:
    """Writes a tiny model with random weights of standard deviation ``spread``."""
    import torch
    import transformers

    size: dict[str, Any] = {"vocab_size": len(WORDS) + 5, "max_position_embeddings": 64}
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape["initializer_range"] = spread
    torch.manual_seed(0)
    if family == "bert":
        config = transformers.BertConfig(**size, **shape, intermediate_size=64)
        model = transformers.BertForPreTraining(config)
    elif family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=size["vocab_size"],
            n_positions=64,
            n_embd=32,
            n_layer=2,
            n_head=2,
            initializer_range=spread,
        )
        model = transformers.GPT2LMHeadModel(config)
    elif family == "llama":
        config = transformers.LlamaConfig(
            **size, **shape, intermediate_size=64, num_key_value_heads=1
        )
        model = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.DistilBertConfig(
            vocab_size=size["vocab_size"],
            max_position_embeddings=64,
            dim=32,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
        )
        model = transformers.DistilBertModel(config)
    model.save_pretrained(folder)
    decoder = family in ("gpt2", "llama")
    save_tokenizer(folder, pairs_are_marked=family == "bert", decoder=decoder)
    return folder


def topic_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Distinct texts whose words give their topic away."""
    rng = random.Random(seed)
    rows, seen = [], set()
    while len(rows) < count:
        label = rng.choice(list(TOPICS))
        own = [WORDS[i] for i in TOPICS[label]]
        words = [
            rng.choice(own if rng.random() < 0.6 else WORDS[:9]) for _ in range(rng.randint(4, 14))
        ]
        text = " ".join(words)
        if text not in seen:
            seen.add(text)
            rows.append({"text": text, "label": label})
    return rows
