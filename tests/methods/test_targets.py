"""Which layers a method adapts where the recipe names none, on models that PEFT does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import IA3Config, LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from tests.architectures import FAMILIES
from workbench.errors import MethodError
from workbench.methods import MethodContext
from workbench.methods.any_peft import PEFT
from workbench.methods.ia3 import IA3
from workbench.methods.lora import LORA
from workbench.methods.prompts import P_TUNING
from workbench.methods.targets import _layers_for, set_targets
from workbench.models import Base
from workbench.recipe.methods import IA3 as IA3Spec
from workbench.recipe.methods import LoRA, Peft, PTuning
from workbench.recipe.schema import Recipe
from workbench.store import Run

CONTEXT = MethodContext("SEQ_CLS", 10, "")
OUTPUTS = {"0.output.dense", "1.output.dense"}
BY_HAND = {
    "DistilBERT": ({"q_lin", "v_lin"}, {"k_lin", "v_lin"}, {"lin2"}),
    "ALBERT": ({"query", "value"}, {"key", "value"}, {"ffn_output"}),
    "ModernBERT": ({"Wqkv"}, {"Wqkv"}, {"mlp.Wo"}),
    "MPNet": ({"q", "v"}, {"k", "v"}, {"output.dense"}),
    "Longformer": ({"query", "value"}, {"key", "value"}, OUTPUTS),
    "CamemBERT": ({"query", "value"}, {"key", "value"}, OUTPUTS),
    "BigBird": ({"query", "value"}, {"key", "value"}, OUTPUTS),
    "MobileBERT": ({"query", "value"}, {"key", "value"}, OUTPUTS),
    "Phi-3": ({"qkv_proj"}, {"qkv_proj"}, {"down_proj"}),
    "OLMo 2": ({"q_proj", "v_proj"}, {"k_proj", "v_proj"}, {"down_proj"}),
}
"""Targets of LoRA, and of (IA)3 in attention and in the feed-forward networks, from the modelling
code of each architecture."""


def shapes(name: str, task: str = "SequenceClassification") -> Base:
    """An architecture's shapes with a new head, without numbers."""
    prefix, values = FAMILIES[name]
    config = getattr(transformers, f"{prefix}Config")(**values)
    with torch.device("meta"):
        model = getattr(transformers, f"AutoModelFor{task}").from_config(config)
    return Base(
        model=model, tokenizer=None, config=config, location="", public_name="", revision=None
    )  # type: ignore[arg-type]


def adapted(model: nn.Module) -> set[str]:
    names = (n for n, module in model.named_modules() if isinstance(module, BaseTunerLayer))
    return {name.removeprefix("base_model.model.") for name in names}


# Of Phi, PEFT takes the feed-forward network too.
@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"Phi"} - BY_HAND.keys() - {"XLNet"}))
def test_queries_and_values_are_found_as_peft_names_them(name: str) -> None:
    """For every architecture in PEFT's table, the layers found by structure are those in it."""
    base = shapes(name)
    found = set(_layers_for(base, "LORA"))
    config = LoraConfig(task_type="SEQ_CLS", fan_in_fan_out=name == "GPT-2")
    by_peft = get_peft_model(shapes(name).model, config)
    assert found == adapted(by_peft)


@pytest.mark.parametrize("name", BY_HAND)
def test_targets_where_peft_has_none(name: str) -> None:
    lora, ia3 = LoraConfig(), IA3Config()
    assert set_targets(shapes(name), lora, "") and set_targets(shapes(name), ia3, "")
    targets, attention, feedforward = BY_HAND[name]
    assert lora.target_modules == targets
    assert ia3.target_modules == attention | feedforward
    assert ia3.feedforward_modules == feedforward


def test_named_layers_and_the_defaults_of_peft_stay_as_they_are() -> None:
    named, known = LoraConfig(target_modules=["ffn"]), LoraConfig()
    assert not set_targets(shapes("ALBERT"), named, "") and named.target_modules == {"ffn"}
    assert not set_targets(shapes("BERT"), known, "") and known.target_modules is None


def test_ia3_finds_the_feedforward_layers_among_named_targets() -> None:
    spec = IA3Spec(name="ia3", target_modules=["v_lin", "lin2"])
    config = IA3.apply(shapes("DistilBERT"), spec, CONTEXT).model.peft_config["default"]  # type: ignore[union-attr, operator, index]
    assert config.feedforward_modules == {"lin2"}


@pytest.mark.parametrize("method", ["lora", "ia3", "peft"])
def test_a_model_without_such_layers_is_refused_with_its_layers(method: str) -> None:
    """XLNet keeps queries and values in bare parameters."""
    apply: dict[str, Callable[[], Any]] = {
        "lora": lambda: LORA.apply(shapes("XLNet"), LoRA(name="lora"), CONTEXT),
        "ia3": lambda: IA3.apply(shapes("XLNet"), IA3Spec(name="ia3"), CONTEXT),
        "peft": lambda: PEFT.apply(shapes("XLNet"), Peft(name="peft", type="LOHA"), CONTEXT),
    }
    with pytest.raises(MethodError) as caught:
        apply[method]()
    key = "method.config.target_modules" if method == "peft" else "method.target_modules"
    assert caught.value.where == key
    assert "layer_1, layer_2" in caught.value.fix


@pytest.mark.parametrize("name", FAMILIES)
def test_all_linear_adapts_every_linear_layer_but_those_of_the_head(name: str) -> None:
    base = shapes(name)
    head = re.compile("|".join(rf"(.*\.)?{part}(\..*)?" for part in base.head_names))
    linear = nn.Linear, transformers.pytorch_utils.Conv1D
    body = {
        n
        for n, module in base.model.named_modules()
        if isinstance(module, linear) and not head.fullmatch(n)
    }
    result = LORA.apply(base, LoRA(name="lora", target_modules="all-linear"), CONTEXT)
    assert adapted(result.model) == body
    assert any(n.endswith("weight") and result.is_head(n) for n in result.trainable())


def test_modules_to_save_of_a_recipe_are_joined_by_the_head() -> None:
    """PEFT knows only one part of DistilBERT's head."""
    config = {"target_modules": ["q_lin"], "modules_to_save": ["lin1"]}
    spec = Peft(name="peft", type="LORA", config=config)
    model = PEFT.apply(shapes("DistilBERT"), spec, CONTEXT).model
    trained = {n.split(".modules_to_save")[0] for n, p in model.named_parameters()
               if p.requires_grad and "modules_to_save" in n}  # fmt: skip
    layers = "base_model.model.distilbert.transformer.layer"
    assert trained == {
        f"{layers}.0.ffn.lin1",
        f"{layers}.1.ffn.lin1",
        "base_model.model.pre_classifier",
        "base_model.model.classifier",
    }


def test_the_layers_found_are_in_the_exported_config(
    tiny_distilbert: Path,
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tmp_path: Path,
) -> None:
    recipe = make_recipe("lora", model={"source": str(tiny_distilbert)}, training={"max_steps": 2})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_lin", "v_lin"]


def test_only_the_head_is_saved_beside_a_prompt() -> None:
    """ModernBERT's head is called "head", and P-tuning's network has an "mlp_head"."""
    spec = PTuning(name="p-tuning", num_virtual_tokens=4, encoder_size=8)
    model = P_TUNING.apply(shapes("ModernBERT"), spec, CONTEXT).model
    saved = {n for n, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)}
    assert saved == {"base_model.head", "base_model.classifier"}
