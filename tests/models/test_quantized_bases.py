"""Bases in 8 and 4 bits and in bf16: trained, recorded, and loaded as their user loads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bitsandbytes")

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
)

from tests.small_recipes import small_recipe
from tests.wide_models import make_wide
from workbench.adapters.export import OF_ROUNDED, export_run
from workbench.costs.plan import plan
from workbench.errors import MethodError, UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base, load_base
from workbench.models.policy import choose_policy
from workbench.models.quantized import are_safe, packs, quantized_layers
from workbench.recipe.schema import ModelSpec, Recipe
from workbench.store import Run
from workbench.tasks import make_task

Train = Callable[..., Run]
NF4 = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
)


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("wide")
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = make_wide(family, root / family)
        return made[family]

    return make


def finished(train: Train, recipe: Recipe, folder: Path) -> Run:
    run = train(recipe, 0, folder)
    assert run.state == "finished", run.reason
    return run


def expected(run: Run) -> tuple[list[Any], list[Any]]:
    kept = json.loads((run.path / "expected.json").read_text())
    return kept["inputs"], kept["outputs"]


def log_probs(model: Any, given: dict[str, Any]) -> list[float]:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([given["input_ids"]])).logits[0]
    pairs = zip(given["positions"], given["tokens"], strict=True)
    found = logits.float().log_softmax(-1)
    return [float(found[position, token]) for position, token in pairs]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_nf4_run_is_what_plain_transformers_and_peft_answer(
    family: str, wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    model = {"quantization": "nf4"}
    recipe = small_recipe("causal-lm", "lora", wide(family), tmp_path, model=model)
    run = finished(train, recipe, tmp_path / "runs")
    plain = AutoModelForCausalLM.from_pretrained(
        wide(family), quantization_config=NF4, dtype=torch.bfloat16
    )
    loaded = PeftModel.from_pretrained(plain, run.adapter).eval()
    inputs, outputs = expected(run)
    assert [log_probs(loaded, given) for given in inputs] == outputs
    assert run.result["export"]["max_logit_difference"] == 0.0


def test_a_classifier_in_int8_keeps_its_head_whole_and_trains_it(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    model = {"quantization": "int8"}
    recipe = small_recipe("text-classification", "lora", wide("bert"), tmp_path, model=model)
    run = finished(train, recipe, tmp_path / "runs")
    trained = load_file(run.adapter / "adapter_model.safetensors")
    # The checkpoint has no pooler either, which only the head reads.
    heads = {name: t for name, t in trained.items() if "lora" not in name}
    assert {n.split(".")[-2] for n in heads} == {"classifier", "dense"}
    assert {tensor.dtype for tensor in heads.values()} == {torch.bfloat16}
    whole = json.loads((run.adapter / "workbench.json").read_text())["loading"]
    config = BitsAndBytesConfig(**whole["quantization_config"])
    plain = AutoModelForSequenceClassification.from_pretrained(
        wide("bert"), quantization_config=config, dtype=torch.bfloat16, num_labels=3
    )
    loaded = PeftModel.from_pretrained(plain, run.adapter).eval()
    inputs, outputs = expected(run)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.adapter)
    with torch.inference_mode():
        for given, said in zip(inputs, outputs, strict=True):
            asked = tokenizer(given["text"], truncation=True, max_length=24, return_tensors="pt")
            assert loaded(**asked).logits[0].float().tolist() == said


@pytest.mark.parametrize("method", ["head", "full"])
def test_in_bf16_trained_weights_are_fp32_until_they_are_exported(
    method: str, wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    recipe = small_recipe(
        "text-classification", method, wide("llama"), tmp_path, model={"dtype": "bf16"}
    )
    run = finished(train, recipe, tmp_path / "runs")
    assert run.result["export"]["max_logit_difference"] == 0.0
    (file,) = run.adapter.glob("*.safetensors")
    assert {t.dtype for t in load_file(file).values()} == {torch.bfloat16}
    kept = next((run.path / "checkpoints").rglob("*.safetensors"), None)
    assert kept is None or torch.float32 in {t.dtype for t in load_file(kept).values()}


def test_gradients_still_flow_after_a_validation(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    """bitsandbytes packs nf4 weights when it is asked without gradients, and then has none."""
    often = {"validate_every": 1, "keep": "best"}
    at_end = {"validate_every": 4, "keep": "best"}
    data = {"validation_size": 8}
    runs = [
        finished(
            train,
            small_recipe(
                "causal-lm",
                "lora",
                wide("llama"),
                tmp_path,
                model={"quantization": "nf4"},
                training=training,
                data=data,
            ),
            tmp_path / str(number),
        )
        for number, training in enumerate((often, at_end))
    ]
    norms = [
        [event["grad_norm"] for event in run.events()[0] if event["kind"] == "step"] for run in runs
    ]
    assert norms[0] == norms[1]
    assert len(norms[0]) == 4 and min(norms[0]) > 0


def test_parameters_and_bytes_are_known_without_weights(
    wide: Callable[[str], Path], tmp_path: Path
) -> None:
    numbers = {}
    for quantization, double in (("none", False), ("int8", False), ("nf4", False), ("nf4", True)):
        model = {"quantization": quantization, "double_quantization": double}
        recipe = small_recipe("causal-lm", "lora", wide("llama"), tmp_path, model=model)
        planned = plan(recipe, time=False)
        numbers[quantization] = planned["total_parameters"]
        real = AutoModelForCausalLM.from_pretrained(
            wide("llama"),
            quantization_config={
                "int8": BitsAndBytesConfig(load_in_8bit=True),
                "nf4": BitsAndBytesConfig(
                    load_in_4bit=True,
                    bnb_4bit_quant_type="nf4",
                    bnb_4bit_use_double_quant=double,
                ),
            }.get(quantization),
            dtype=torch.float32 if quantization == "none" else torch.bfloat16,
        )
        spec, task = recipe.model, make_task(recipe.task, ())
        base = load_base(spec, task, choose_policy(recipe.training, torch.device("cpu")))
        names = {n for n, _ in quantized_layers(base.model)}
        assert names == {n for n, _ in quantized_layers(real)}
        assert planned["memory"] is not None, planned["notes"]
        frozen = sum(p.nbytes for n, p in real.named_parameters() if n.startswith("model.layers"))
        ours = sum(
            p.nbytes for n, p in base.model.named_parameters() if n.startswith("model.layers")
        )
        assert frozen == ours
    assert len(set(numbers.values())) == 1


def test_the_forecast_of_weights_is_what_a_run_holds(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    for double in (False, True):
        model = {"quantization": "nf4", "double_quantization": double}
        recipe = small_recipe("causal-lm", "lora", wide("llama"), tmp_path, model=model)
        planned = plan(recipe, time=False)["memory"]
        held = finished(train, recipe, tmp_path / str(double)).result["memory"]["breakdown"]
        real = AutoModelForCausalLM.from_pretrained(
            wide("llama"),
            quantization_config=BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double
            ),
            dtype=torch.bfloat16,
        )
        states = [layer.weight.quant_state for _, layer in quantized_layers(real)]
        scales = sum(s.absmax.nbytes + (s.state2.absmax.nbytes if s.nested else 0) for s in states)
        packed = sum(layer.weight.nbytes for _, layer in quantized_layers(real))
        assert held["weights_bytes"] > packed + scales
        for name in ("weights_bytes", "gradients_bytes", "optimizer_bytes"):
            assert held[name] == pytest.approx(planned[name], rel=0.05), name


def test_a_merge_dequantises_and_says_so(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    model = {"quantization": "nf4"}
    recipe = small_recipe("causal-lm", "lora", wide("gpt2"), tmp_path, model=model)
    run = finished(train, recipe, tmp_path / "runs")
    merged = export_run(run, tmp_path / "merged", merge=True)
    plain = AutoModelForCausalLM.from_pretrained(merged).eval()
    assert plain.dtype == torch.bfloat16 and not list(quantized_layers(plain))
    card = (merged / "README.md").read_text()
    assert "which were in nf4 in training and are bfloat16 here" in " ".join(card.split())
    inputs, outputs = expected(run)
    pairs = [
        (a, b)
        for given, said in zip(inputs, outputs, strict=True)
        for a, b in zip(log_probs(plain, given), said, strict=True)
    ]
    largest = max(abs(b) for _, b in pairs)
    assert 0 < max(abs(a - b) for a, b in pairs) <= OF_ROUNDED * largest


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
    run = finished(train, recipe.model_copy(update={"model": in_fp32}), tmp_path / "runs")
    assert run.result["export"]["checked"]


def test_dora_is_refused_where_packed_weights_would_mislead_it(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    method = {"name": "lora", "use_dora": True}
    recipe = small_recipe(
        "causal-lm", method, wide("llama"), tmp_path, model={"quantization": "nf4"}
    )
    run = train(recipe, 0, tmp_path / "runs")
    base = AutoModelForCausalLM.from_pretrained(wide("llama"), quantization_config=NF4)
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
