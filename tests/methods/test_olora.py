"""OLoRA starts as the base and is exported as a LoRA of it, on transposed weights too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import peft
import torch
import transformers
from peft.tuners.lora import LoraLayer

from workbench.adapters.loaded import load_adapter
from workbench.distributed.policy import choose_policy
from workbench.methods import METHODS, MethodContext
from workbench.methods.lora import _start_olora
from workbench.models import load_base
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.tasks import make_task

TARGETS = ["c_attn", "attn.c_proj", "c_fc"]
"""Of GPT-2's transposed weights a wide one, a square one and a tall one."""


def test_on_gpt2_it_starts_as_the_base(make_recipe: Callable[..., Recipe], tiny_gpt2: Path) -> None:
    method = {"name": "lora", "r": 4, "init": "olora", "target_modules": TARGETS}
    recipe = make_recipe(method, model={"source": str(tiny_gpt2)})
    policy = choose_policy(recipe.training, torch.device("cpu"))
    base = load_base(recipe.model, make_task(recipe.task, ("a", "b")), policy)
    plain, ids = copy.deepcopy(base.model).eval(), torch.arange(5, 15)[None]
    adapted = METHODS["lora"].apply(base, recipe.method, MethodContext("SEQ_CLS", 20, ""))
    assert METHODS["lora"].initialise is not None
    METHODS["lora"].initialise(adapted, recipe.method, MethodContext("SEQ_CLS", 20, ""))
    layers = [m for m in adapted.model.modules() if isinstance(m, LoraLayer)]
    assert len(layers) == 2 * len(TARGETS)
    for layer in layers:
        columns = layer.lora_B["default"].weight  # (out, r), of Q
        assert torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-5)
        assert layer.lora_A["default"].weight.abs().max() > 0.01
    with torch.no_grad():
        moved = adapted.model.eval()(input_ids=ids).logits - plain(input_ids=ids).logits
    assert moved.abs().max() < 1e-5


def test_the_start_is_pefts_where_weights_are_not_transposed(tiny_bert: Path) -> None:
    def layers(start: str | bool) -> list[LoraLayer]:
        torch.manual_seed(0)
        model = transformers.AutoModel.from_pretrained(tiny_bert)
        config = peft.LoraConfig(r=4, lora_alpha=6, init_lora_weights=start)
        modules = peft.get_peft_model(model, config).modules()
        return [m for m in modules if isinstance(m, LoraLayer)]

    theirs, ours = layers("olora"), layers(True)
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        _start_olora(one)
        for name in ("lora_A", "lora_B"):
            left, right = (getattr(layer, name)["default"].weight for layer in (one, other))
            assert torch.allclose(left, right, atol=1e-6)
        assert torch.allclose(one.get_base_layer().weight, other.get_base_layer().weight, atol=1e-6)


def test_on_gpt2_the_export_is_a_lora_of_the_untouched_base(
    make_recipe: Callable[..., Recipe], train: Callable[..., Run], tiny_gpt2: Path, tmp_path: Path
) -> None:
    method = {"name": "lora", "r": 4, "init": "olora", "target_modules": TARGETS}
    training = {"learning_rate": 2e-2, "keep": "last", "precision": "bf16"}
    recipe = make_recipe(method, model={"source": str(tiny_gpt2)}, training=training)
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert run.result["export"]["checked"] is True, "by plain transformers and PEFT"
    assert run.result["export"]["max_logit_difference"] < 1e-4
    config = peft.LoraConfig.from_pretrained(run.adapter)
    assert (config.r, config.init_lora_weights, config.fan_in_fan_out) == (8, True, True)
    assert len(load_adapter(run.path).predict(["goal match player"])) == 1
