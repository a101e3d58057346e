"""Configs and weights that are not taken in, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.adapters.foreign.importing import Pack, refusal, taken
from workbench.adapters.loaded import load_adapter

# --- config ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "LoRa"}, ["adapter_config.json: peft_type", "Did you mean LORA?"]),
        ({"peft_type": "XLORA"}, ["mixes other adapters"]),
        ({"task_type": None}, ["task_type", "SEQ_CLS"]),
        ({"task_type": ["SEQ_CLS"]}, ["task_type", "SEQ_CLS"]),
        ({"auto_mapping": {"base_model_class": "system", "parent_library": "os"}},
         ["auto_mapping", "no code of a stranger is"]),
        ({"megatron_core": "os"}, ["megatron_core", "names a module"]),
        ({"megatron_config": {"a": 1}}, ["megatron_config"]),
        ({"tokenizer_kwargs": {"a": 1}}, ["tokenizer_kwargs"]),
        ({"loftq_config": {"trust_remote_code": True}}, ["loftq_config.trust_remote_code"]),
        ({"init_lora_weights": "eva"}, ["init_lora_weights", "converted to a plain LoRA"]),
        ({"r": 10**9}, ["adapter_config.json: r", "from 1 to 8,192"]),
        ({"r": 0}, ["adapter_config.json: r", "from 1 to 8,192"]),
        ({"r": 6}, ["r is 6", "rank 4"]),
        ({"rank_pattern": {"query": 10**9}}, ["rank_pattern.query"]),
        ({"lora_alpha": 1e300}, ["lora_alpha", "more than 1,000,000"]),
        ({"exclude_modules": "a" * 3000}, ["exclude_modules", "2,000 characters"]),
        ({"newer_field": {"on": True}}, ["has no field 'newer_field'", "a newer PEFT"]),
        ({"lora_alhpa": 8}, ["Did you mean lora_alpha?"]),
        ({"target_modules": ["query", "valeu"]}, ["4 tensors have no place", "value"]),
        ({"target_modules": ["query", "value", "key"]}, ["tensors are missing", "key"]),
        ({"target_modules": ["nothing"]}, ["PEFT cannot put it on bert"]),
    ],
)  # fmt: skip
def test_a_config_that_is_not_taken(
    values: dict[str, Any], words: list[str], configured: Pack, tiny_bert: Path
) -> None:
    message = refusal(configured(**values), tiny_bert)
    assert all(word in message for word in words), message


def test_a_newer_field_that_is_unused_changes_nothing(
    configured: Pack, tiny_bert: Path, tmp_path: Path
) -> None:
    source = configured(newer_field=None, another={}, a_third=False)
    assert load_adapter(taken(source, tmp_path / "mine", tiny_bert)).predict(["the team"])


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"r": NaN}', '{"r": 1, "r": 2}', "[" * 100_000, "\udcff"]
)
def test_a_config_that_is_not_readable(text: str, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(text, errors="surrogateescape")
    assert "adapter_config.json: not readable" in refusal(adapter, None)


# --- weights --------------------------------------------------------------------------------


def _changed(adapter: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return adapter


HEAD = "base_model.model.classifier.weight"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_numbers_that_are_none_are_refused(
    value: float, dtype: torch.dtype, adapter: Path, tiny_bert: Path
) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors[HEAD] = tensors[HEAD].to(dtype)
        tensors[HEAD][1, 2] = value

    message = refusal(_changed(adapter, spoil), tiny_bert)
    assert f"{HEAD} holds NaN or infinite numbers" in message


def test_a_missing_head_is_named(adapter: Path, tiny_bert: Path) -> None:
    message = refusal(_changed(adapter, lambda tensors: tensors.pop(HEAD)), tiny_bert)
    assert f"the task head is missing: there is no tensor {HEAD}" in message
    assert "modules_to_save" in message


def test_half_a_head_is_named(adapter: Path, tiny_bert: Path) -> None:
    bias = "base_model.model.classifier.bias"
    message = refusal(_changed(adapter, lambda tensors: tensors.pop(bias)), tiny_bert)
    assert f"there is no tensor {bias}" in message


def test_labels_are_as_many_as_outputs(adapter: Path, tiny_bert: Path) -> None:
    message = refusal(adapter, tiny_bert, labels=["a", "b"])
    assert '2 labels (["a", "b"]) for a head with 3 outputs' in message and "--label" in message
    (adapter / "config.json").write_text(json.dumps({"id2label": {"0": "a", "1": "b"}}))
    assert "id2label" in refusal(adapter, tiny_bert)


def test_weights_that_are_cut_off(adapter: Path, tiny_bert: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "file not fully covered" in refusal(adapter, tiny_bert)


# --- tokenizer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", '{"added_tokens": 5}'),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer_config.json", '{"unk_token": {"of": []}}'),
        ("tokenizer_config.json", '{"pad_token": 1.5}'),
    ],
)
def test_a_tokenizer_that_does_not_load_is_refused(
    name: str, content: str, adapter: Path, tiny_bert: Path
) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / file).write_bytes((tiny_bert / file).read_bytes())
    (adapter / name).write_text(content)
    message = refusal(adapter, tiny_bert)
    assert "tokenizer_config.json: cannot load the tokenizer" in message, message
    assert "leave the tokenizer's files out" in message
    assert ".importing" not in message
