"""Quantised bases: methods, shapes, machines and exports that are refused, each in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bitsandbytes")

from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlavaConfig

from tests.small_recipes import small_recipe
from tests.wide_models import make_wide
from workbench.errors import MethodError, UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base, load_config
from workbench.models.quantized import are_safe, packs, quantized_layers
from workbench.models.refusals import refuse_quantized
from workbench.recipe.model_spec import ModelSpec
from workbench.store import Run
from workbench.tasks import make_task

Train = Callable[..., Run]


@pytest.mark.parametrize("asked", ["none", "nf4", "int8"])
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"load_in_8bit": True}, "bitsandbytes"),  # as transformers 4.30 wrote it
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq"),
        ({"quant_method": "awq", "bits": 4, "version": "gemm"}, "awq"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors"),
        ({"quant_method": "of tomorrow"}, "of tomorrow"),
    ],
)
def test_a_base_that_is_quantised_already_is_refused_by_its_config(
    written: dict[str, Any], said: str, asked: Any, wide: Callable[[str], Path], tmp_path: Path
) -> None:
    config = json.loads((wide("llama") / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": written}))
    spec = ModelSpec(source=str(tmp_path), quantization=asked)  # no weights: none are read
    task = make_task(small_recipe("causal-lm", "lora", tmp_path, tmp_path).task, ())
    with pytest.raises(UsageError, match=rf"quantised already \({said}\)") as raised:
        load_config(spec, task)
    assert raised.value.where == "model.source"
    assert "take the base that it was made from" in str(raised.value)


def test_a_base_whose_text_part_is_quantised_is_refused(tmp_path: Path) -> None:
    part = LlamaConfig(quantization_config={"quant_method": "fp8"})
    spec = ModelSpec(source=str(tmp_path))
    with pytest.raises(UsageError, match=r"quantised already \(fp8\)"):
        refuse_quantized(LlavaConfig(text_config=part), spec)
    refuse_quantized(LlavaConfig(text_config=LlamaConfig()), spec)


@pytest.mark.parametrize("kind", ["LOHA", "HRA", "VERA"])
def test_a_type_that_peft_has_no_quantised_layers_for_is_refused_from_shapes(
    kind: str, wide: Callable[[str], Path], tmp_path: Path
) -> None:
    method = {"name": "peft", "type": kind, "config": {"target_modules": ["q_proj"]}}
    recipe = small_recipe(
        "causal-lm", method, wide("llama"), tmp_path, model={"quantization": "int8"}
    )
    with pytest.raises(MethodError, match=f"no {kind} for quantised weights"):
        build_model(recipe, make_task(recipe.task, ()), empty_base)


@pytest.mark.parametrize("kind", ["ADALORA", "RANDLORA", "ROAD", "LN_TUNING"])
def test_a_type_that_peft_has_quantised_layers_for_is_taken(
    kind: str, wide: Callable[[str], Path], tmp_path: Path
) -> None:
    names = ["norm"] if kind == "LN_TUNING" else ["q_proj"]
    method = {"name": "peft", "type": kind, "config": {"target_modules": names}}
    recipe = small_recipe(
        "causal-lm", method, wide("llama"), tmp_path, model={"quantization": "nf4"}
    )
    assert build_model(recipe, make_task(recipe.task, ()), empty_base).trainable()


def test_a_method_that_peft_does_not_compute_in_these_numbers_is_refused_before_training(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    recipe = small_recipe(
        "causal-lm", {"name": "ia3"}, wide("llama"), tmp_path, model={"quantization": "nf4"}
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "failed" and "ia3 does not work on llama in nf4" in run.reason
    assert "set model.dtype: fp32" in run.reason
    in_fp32 = recipe.model.model_copy(update={"dtype": "fp32"})
    run = train(recipe.model_copy(update={"model": in_fp32}), 0, tmp_path / "runs")
    assert run.state == "finished", run.reason


def test_dora_is_refused_where_packed_weights_would_mislead_it(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    method = {"name": "lora", "use_dora": True}
    recipe = small_recipe(
        "causal-lm", method, wide("llama"), tmp_path, model={"quantization": "nf4"}
    )
    run = train(recipe, 0, tmp_path / "runs")
    base = AutoModelForCausalLM.from_pretrained(
        wide("llama"), quantization_config=BitsAndBytesConfig(load_in_4bit=True)
    )
    if any(packs(layer) for _, layer in quantized_layers(base)):
        assert run.state == "failed" and "other outputs in nf4 on this processor" in run.reason
    else:
        assert run.state == "finished", run.reason


def test_layers_that_the_processor_cannot_pack_are_refused_from_shapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitsandbytes import functional

    narrow = make_wide("llama", tmp_path / "narrow", width=48)
    recipe = small_recipe("causal-lm", "lora", narrow, tmp_path, model={"quantization": "nf4"})
    task = make_task(recipe.task, ())
    monkeypatch.setattr(functional, "has_avx512bf16", lambda: False)
    assert build_model(recipe, task, empty_base).trainable()
    monkeypatch.setattr(functional, "has_avx512bf16", lambda: True)
    with pytest.raises(MethodError, match="48 inputs"):
        build_model(recipe, task, empty_base)

    skipping = recipe.model.model_copy(update={"quantization_skip": ["layers.0.mlp.up_proj"]})
    with pytest.raises(MethodError, match="add it to model.quantization_skip"):
        build_model(recipe.model_copy(update={"model": skipping}), task, empty_base)


@pytest.mark.parametrize(
    ("skip", "said"),
    [
        (["v_proj", "query"], "query is no linear layer of"),
        (["lm_head"], "lm_head is no linear layer of"),  # never quantised
        (["model.layers"], "nothing of .* is left to quantise"),
        (["self_attn", "self_attn.k_proj"], "self_attn is no linear layer of"),
    ],
)
def test_names_of_layers_that_stay_whole_are_refused_where_they_name_none_or_all(
    skip: list[str], said: str, wide: Callable[[str], Path], tmp_path: Path
) -> None:
    model = {"quantization": "nf4", "quantization_skip": skip}
    recipe = small_recipe("causal-lm", "lora", wide("llama"), tmp_path, model=model)
    with pytest.raises(UsageError, match=said) as raised:
        build_model(recipe, make_task(recipe.task, ()), empty_base)
    assert raised.value.where == "model.quantization_skip"
    if "linear" in said:
        assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in str(raised.value)


def test_without_bitsandbytes_one_message_says_how_to_get_it(
    wide: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from workbench.models import quantized

    monkeypatch.setattr(quantized, "find_spec", lambda _name: None)
    recipe = small_recipe(
        "causal-lm", "lora", wide("llama"), tmp_path, model={"quantization": "nf4"}
    )
    with pytest.raises(UsageError) as error:
        build_model(recipe, make_task(recipe.task, ()), empty_base)
    assert "bitsandbytes, which is not installed" in str(error.value)
    assert "pip install 'peft-workbench[quant]'" in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "float16"},
        {"device_map": "auto"},
        {"quantization_config": {"load_in_4bit": "yes"}},
        {"quantization_config": {"quant_method": "custom"}},
        {"quantization_config": {"llm_int8_skip_modules": ["(a+)+$"]}},
        {"quantization_config": {"bnb_4bit_compute_dtype": "Tensor"}},
        ["dtype"],
    ],
)
def test_what_an_export_says_of_its_weights_is_a_format_and_nothing_else(options: Any) -> None:
    assert are_safe({})
    assert are_safe({"dtype": "bfloat16", "quantization_config": {"load_in_8bit": True}})
    assert not are_safe(options)


def test_weight_formats_by_their_words() -> None:
    def spec(**values: Any) -> ModelSpec:
        return ModelSpec(source="a", **values)

    assert [spec().weight_format, spec().reduced] == ["fp32", False]
    assert [spec(dtype="fp32").weight_format, spec(dtype="bf16").weight_format] == ["fp32", "bf16"]
    assert spec(quantization="int8").weight_format == "int8 beside bf16"
    nf4 = spec(quantization="nf4", double_quantization=True, dtype="fp32", compute_dtype="bf16")
    assert nf4.weight_format == "nf4, double quantisation beside fp32, computed in bf16"
    skipping = spec(quantization="int8", quantization_skip=["v_proj", "k_proj"])
    assert skipping.weight_format == "int8 beside bf16 (k_proj, v_proj)"
    assert skipping.weight_words == skipping.weight_format
    longer = spec(quantization="int8", quantization_skip=["v", "k", "q", "o", "up"])
    assert longer.weight_format == "int8 beside bf16 (k, o, q, up, v)"
    assert longer.weight_words == "int8 beside bf16 (k, o, q, 2 more)"
