"""Bytes of the weight files that the export of a recipe will write, from shapes alone."""

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor

from workbench.methods import METHODS, AdaptedModel
from workbench.recipe import Recipe

_ALIGNED = 8
"""safetensors pads its header with spaces to a multiple of this, and says its length in as many
bytes (https://github.com/huggingface/safetensors#format)."""

_NAMES = {torch.float32: "F32", torch.int64: "I64", torch.bfloat16: "BF16", torch.float16: "F16"}

Shapes = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def adapter_size(adapted: AdaptedModel, recipe: Recipe) -> dict[str, int]:
    """``stored`` numbers and ``bytes`` of the weight file that will be exported."""
    shapes = _exported(adapted, recipe)
    numbers = sum(math.prod(shape) for _, shape in shapes.values())
    return {"stored": numbers, "bytes": file_size(shapes)}


def file_size(shapes: Shapes) -> int:
    """Bytes of a safetensors file with these tensors and the metadata that torch writes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    # The file's own order: wide numbers first, then by name; offsets count in its header.
    for name, (dtype, shape) in sorted(shapes.items(), key=lambda e: (-e[1][0].itemsize, e[0])):
        end = place + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return _ALIGNED + math.ceil(len(text) / _ALIGNED) * _ALIGNED + place


def _exported(adapted: AdaptedModel, recipe: Recipe) -> Shapes:
    kind = METHODS[recipe.method.name].export_kind
    if kind == "full":
        # Each tensor under the first of its names, as ``save_pretrained`` does.
        tied = set(getattr(adapted.base.model, "all_tied_weights_keys", None) or ())
        state = adapted.base.model.state_dict()
        return _shapes({name: tensor for name, tensor in state.items() if name not in tied})
    if kind == "delta":
        return _shapes(adapted.trainable())
    assert isinstance(adapted.model, PeftModel)
    config = adapted.model.active_peft_config
    if config.is_prompt_learning:
        # PEFT (0.21) computes virtual tokens and brings them to the CPU, which needs numbers.
        per_token = 2 * config.num_layers if config.peft_type == "PREFIX_TUNING" else 1
        tokens = config.num_virtual_tokens, per_token * config.token_dim
        adapted.model.get_prompt_embedding_to_save = lambda *_: torch.empty(tokens, device="meta")
    shapes = _shapes(get_peft_model_state_dict(adapted.model, save_embedding_layers=False))
    if adapted.changes_base:
        shapes = {name: _twice_the_rank(name, *each) for name, each in shapes.items()}
    return shapes


def _twice_the_rank(
    name: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> tuple[torch.dtype, tuple[int, ...]]:
    if ".lora_A." in name or "lora_embedding_A" in name:
        return dtype, (2 * shape[0], *shape[1:])
    if ".lora_B." in name or "lora_embedding_B" in name:
        return dtype, (shape[0], 2 * shape[1], *shape[2:])
    return dtype, shape


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
