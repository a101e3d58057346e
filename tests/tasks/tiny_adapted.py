"""Tiny models with a method on them, and tokenizers as the big models have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from workbench.data.batches import Batch, pad
from workbench.data.encode import Encoded
from workbench.distributed.policy import choose_policy
from workbench.inference.predict import EVALUATION_SEED, predict
from workbench.methods import METHODS, AdaptedModel, MethodContext
from workbench.models import load_base
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import ModelSpec, TrainingSpec
from workbench.tasks import AnyTask

METHOD_CASES: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "lora": {"name": "lora", "r": 4},
    "prompt": {"name": "prompt", "num_virtual_tokens": 4},
    "prefix": {"name": "prefix", "num_virtual_tokens": 4},
}


def adapt(task: AnyTask, folder: Path, case: str) -> AdaptedModel:
    """A fresh base with a method on it, in evaluation mode, moved away from its start."""
    torch.manual_seed(0)
    policy = choose_policy(TrainingSpec(precision="fp32"), torch.device("cpu"))
    base = load_base(ModelSpec(source=str(folder), max_length=32), task, policy)
    values = METHOD_CASES[case]
    spec = METHOD_SPECS[values["name"]].model_validate(values)
    setting = MethodContext(task.peft_task_type, 20, task.prompt_text)
    method = METHODS[values["name"]]
    adapted = method.apply(base, spec, setting)
    if method.initialise:
        method.initialise(adapted, spec, setting)
    for parameter in adapted.trainable().values():
        parameter.data += 0.05 * torch.randn_like(parameter)
    adapted.model.eval()
    return adapted


def whole_batch(adapted: AdaptedModel, task: AnyTask, encoded: Encoded) -> Batch:
    """All features of a split in one batch."""
    rows = task.rows(encoded, range(len(encoded)), EVALUATION_SEED)
    return pad(rows, adapted.base.tokenizer, int(encoded.lengths.max()))


def losses_of(adapted: AdaptedModel, task: AnyTask, batch: Batch) -> Tensor:
    return task.losses(task.outputs(adapted.model, batch, adapted.virtual_tokens), batch)


def assert_padding_changes_nothing(adapted: AdaptedModel, task: AnyTask, encoded: Encoded) -> None:
    """Features one by one, without padding, give what they give in one batch."""
    assert len(set(encoded.lengths.tolist())) > 2
    one, many = (
        predict(adapted.model, task, encoded, adapted.base.tokenizer, None, batch_size=size,
                virtual_tokens=adapted.virtual_tokens)
        for size in (1, len(encoded))
    )  # fmt: skip
    assert np.allclose(one.losses, many.losses, atol=1e-5)
    assert one.weights.tolist() == many.weights.tolist()
    for alone, together in zip(one.values, many.values, strict=True):
        assert alone.dtype == together.dtype == np.float32
        assert np.allclose(alone, together, atol=1e-5)


def byte_level(*merged: str, add_prefix_space: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE without special tokens, as GPT-2's, that knows a few words whole."""
    vocabulary = {byte: i for i, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for word in merged:
        symbols = word.replace(" ", "Ġ")
        for end in range(2, len(symbols) + 1):
            merges.append((symbols[: end - 1], symbols[end - 1]))
            vocabulary.setdefault(symbols[:end], len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"]
    )
