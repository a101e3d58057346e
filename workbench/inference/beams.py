"""Beam search, which goes one prompt at a time through transformers."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import GenerationConfig

from workbench.recipe.tasks import Decoding


def base_of(model: nn.Module) -> Any:
    """The model of transformers inside, its layers as the method has left them."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def beam_search(
    model: nn.Module, prompt: Sequence[int], decoding: Decoding, eos_token_ids: Sequence[int]
) -> list[int]:
    """The answer of transformers' beam search to one prompt, where nothing is padded."""
    settings = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        num_beams=decoding.num_beams,
        length_penalty=decoding.length_penalty,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
        eos_token_id=list(eos_token_ids) or None,
        pad_token_id=next(iter(eos_token_ids), None),
    )
    ids = torch.tensor([prompt], device=next(model.parameters()).device)
    decoder: Any = model
    with _without_own_settings(model, base_of(model)), warnings.catch_warnings():
        # PEFT drops the positions before a soft prompt; without padding they are the default ones.
        warnings.filterwarnings("ignore", message="Position ids are not supported")
        output = decoder.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings
        )
    answer: list[int] = output[0, len(prompt) :].tolist()
    ends = [at for at, token in enumerate(answer) if token in eos_token_ids]
    return answer[: ends[0]] if ends else answer


@contextmanager
def _without_own_settings(*models: Any) -> Iterator[None]:
    """Sets aside a model's generation_config, whose penalties and end tokens would be mixed in."""
    saved = [model.generation_config for model in models]
    for model in models:
        model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for model, own in zip(models, saved, strict=True):
            model.generation_config = own
