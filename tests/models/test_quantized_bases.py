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

from tests.killed_runs import exported_difference, in_backward, killed
from tests.small_recipes import small_recipe
from workbench.adapters.export import OF_ROUNDED
from workbench.cli import main
from workbench.costs.plan import plan
from workbench.models import load_base
from workbench.models.policy import choose_policy
from workbench.models.quantized import quantized_layers
from workbench.pipeline.resume_check import conditions_known
from workbench.recipe.schema import Recipe
from workbench.retention.measure import measure_retention
from workbench.store import Run
from workbench.tasks import make_task

Train = Callable[..., Run]
CPU = torch.device("cpu")
NF4 = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
)


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
        base = load_base(spec, task, choose_policy(recipe.training, CPU))
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


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_layers_that_the_recipe_names_stay_whole_in_run_plan_and_plain_load(
    quantization: str, wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    skip = ["v_proj", "model.layers.1.mlp"]
    model = {"quantization": quantization, "quantization_skip": skip}
    recipe = small_recipe("causal-lm", "lora", wide("llama"), tmp_path, model=model)
    planned = plan(recipe, time=False)["memory"]
    run = finished(train, recipe, tmp_path / "runs")
    held = run.result["memory"]["breakdown"]
    assert held["weights_bytes"] == pytest.approx(planned["weights_bytes"], rel=0.05)
    kind = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    kind |= {"bnb_4bit_compute_dtype": torch.bfloat16}
    asked = kind if quantization == "nf4" else {"load_in_8bit": True}
    plain = AutoModelForCausalLM.from_pretrained(
        wide("llama"),
        quantization_config=BitsAndBytesConfig(**asked, llm_int8_skip_modules=["lm_head", *skip]),
        dtype=torch.bfloat16,
    )
    there = {name.removeprefix("model.layers.") for name, _ in quantized_layers(plain)}
    attention = {f"self_attn.{kind}_proj" for kind in "qko"}
    feedforward = {f"mlp.{kind}_proj" for kind in ("gate", "up", "down")}
    assert there == {f"0.{n}" for n in attention | feedforward} | {f"1.{n}" for n in attention}
    inputs, outputs = expected(run)
    loaded = PeftModel.from_pretrained(plain, run.adapter).eval()
    assert [log_probs(loaded, given) for given in inputs] == outputs
    assert run.result["export"]["max_logit_difference"] == 0.0
    assert all(f"'{name}'" in (run.adapter / "README.md").read_text() for name in skip)
    assert run.result["comparability"]["base"].count("model.layers.1.mlp, v_proj") == 1


def test_a_merge_dequantises_and_says_so(
    wide: Callable[[str], Path],
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = {"quantization": "nf4"}
    recipe = small_recipe("causal-lm", "lora", wide("gpt2"), tmp_path, model=model)
    run, merged = finished(train, recipe, tmp_path / "runs"), tmp_path / "merged"
    asked = ["export", run.id, "--runs", str(tmp_path / "runs"), "--output", str(merged)]
    capsys.readouterr()
    assert main([*asked, "--merge"]) == 0
    out, err = capsys.readouterr()
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
    difference = max(abs(a - b) for a, b in pairs)
    assert 0 < difference <= OF_ROUNDED * largest
    assert out == f"{merged}\n"
    (said,) = (line for line in err.splitlines() if line.startswith("merged weights are rounded"))
    assert f"by up to {difference:.1e}, where the largest output is {largest:.2g}" in said


def test_a_killed_run_goes_on_to_the_same_bits(
    wide: Callable[[str], Path],
    make_recipe: Callable[..., Recipe],
    train: Train,
    tmp_path: Path,
) -> None:
    """Its validations, the head in bf16 and the frozen bytes included."""
    model = {"source": str(wide("bert")), "quantization": "nf4"}
    often = {"micro_batch_size": 3, "validate_every": 3, "learning_rate": 2e-2}
    recipe = make_recipe("lora", model=model, training=often)
    whole = finished(train, recipe, tmp_path / "whole")
    killed(recipe, tmp_path / "parts", in_backward(5), resume=False)
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    assert [row["step"] for row in resumed.events()[0] if row["kind"] == "resumed"] == [3]
    assert not exported_difference(whole, resumed)


def test_runs_of_other_weights_are_in_other_groups_and_resume_under_the_same_bitsandbytes(
    wide: Callable[[str], Path], train: Train, tmp_path: Path
) -> None:
    runs = [
        finished(
            train,
            small_recipe("causal-lm", "lora", wide("llama"), tmp_path, model=model),
            tmp_path / "runs",
        )
        for model in ({}, {"dtype": "fp32"}, {"dtype": "bf16"}, {"quantization": "nf4"})
    ]
    plain, spelled, bf16, nf4 = (run.result["comparability"]["base"] for run in runs)
    assert plain == spelled and len({plain, bf16, nf4}) == 3
    packages = {"bitsandbytes": "0.1"}
    policy = choose_policy(small_recipe("causal-lm", "lora", tmp_path, tmp_path).training, CPU)
    for quantization, known in (("none", False), ("nf4", True)):
        model = {"quantization": quantization}
        recipe = small_recipe("causal-lm", "lora", tmp_path, tmp_path, model=model)
        conditions = conditions_known(recipe, 0, policy, packages)
        assert ("bitsandbytes" in conditions) is known


def test_retention_is_measured_against_the_base_in_the_same_numbers(
    wide: Callable[[str], Path], train: Train, plain_loader: Any, tmp_path: Path
) -> None:
    """An adapter that changes next to nothing has kept all of its base."""
    for task, measure in (("causal-lm", "perplexity"), ("text-classification", "perplexity")):
        recipe = small_recipe(
            task,
            "lora",
            wide("llama"),
            tmp_path,
            model={"quantization": "nf4"},
            training={"learning_rate": 1e-5, "max_steps": 1},
        )
        run = finished(train, recipe, tmp_path / "runs")
        about = json.loads((run.adapter / "workbench.json").read_text())
        found = measure_retention(
            plain_loader, run.adapter, about, run.result["comparability"], 1000
        )
        assert found["measure"] == measure, found
        assert found["value"] == pytest.approx(1.0, abs=1e-2)
