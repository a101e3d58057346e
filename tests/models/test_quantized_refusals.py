"""Quantised bases: methods, shapes, machines and exports that are refused, each in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bitsandbytes")

from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.small_recipes import small_recipe
from tests.wide_models import make_wide
from workbench.errors import MethodError, UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base
from workbench.models.quantized import are_safe, packs, quantized_layers
from workbench.recipe.model_spec import ModelSpec
from workbench.store import Run
from workbench.tasks import make_task

Train = Callable[..., Run]


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
