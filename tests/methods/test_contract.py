"""What holds for every method: one contract over the METHODS table."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator

from workbench.adapters.export import export_run
from workbench.adapters.loaded import load_adapter
from workbench.costs.parameters import count_parameters
from workbench.data import load_data
from workbench.data.encode import encode
from workbench.distributed.policy import choose_policy
from workbench.errors import ExportError
from workbench.inference.predict import predict
from workbench.methods import METHODS, AdaptedModel
from workbench.methods.build import build_model
from workbench.models import load_base
from workbench.pipeline import pipeline
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.tasks import make_task

Make = Callable[..., Recipe]

ADALORA = {"target_modules": ["query"], "tfinal": 2}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in METHOD_SPECS if name != "peft"},
    "lora": {"name": "lora", "r": 4, "target_modules": ["query", "value"]},
    "lora-all-linear": {
        "name": "lora", "r": 2, "target_modules": "all-linear", "bias": "lora_only"
    },  # fmt: skip
    "dora": {"name": "lora", "r": 4, "use_dora": True},
    "rslora": {"name": "lora", "r": 4, "use_rslora": True},
    "pissa": {"name": "lora", "r": 4, "init": "pissa"},
    "olora": {"name": "lora", "r": 4, "init": "olora"},
    "ia3": {
        "name": "ia3", "target_modules": ["key", "output.dense"], "feedforward": ["output.dense"]
    },  # fmt: skip
    "prefix": {"name": "prefix", "num_virtual_tokens": 4},
    "prefix-projected": {"name": "prefix", "num_virtual_tokens": 4, "projection": True},
    "p-tuning": {"name": "p-tuning", "num_virtual_tokens": 4, "encoder_size": 16},
    "p-tuning-lstm": {"name": "p-tuning", "num_virtual_tokens": 4, "encoder": "LSTM"},
    "prompt": {"name": "prompt", "num_virtual_tokens": 4},
    "peft-loha": {"name": "peft", "type": "LOHA", "config": {"r": 2, "target_modules": ["query"]}},
    "peft-adalora": {"name": "peft", "type": "ADALORA", "config": ADALORA},
    "peft-ln": {"name": "peft", "type": "LN_TUNING", "config": {"target_modules": ["LayerNorm"]}},
}  # fmt: skip
RATES = {"full": 1e-3, "peft-loha": 1e-2}
REFUSALS = {"peft-ln": "give other outputs"}  # PEFT's merge of LN tuning (0.21) is not exact


def adapt(recipe: Recipe, *, seed: int = 0) -> AdaptedModel:
    """A base with the recipe's method on it, as the runner makes it."""
    data = load_data(recipe.data, recipe.task)
    task = make_task(recipe.task, data.label_names)
    policy = choose_policy(recipe.training, torch.device("cpu"))
    return build_model(recipe, task, partial(load_base, policy=policy), steps=20, seed=seed)


def test_the_tables_name_the_same_methods() -> None:
    assert METHODS.keys() == METHOD_SPECS.keys()
    assert all(len(method.paper) > 10 for method in METHODS.values())


@pytest.fixture
def last(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Filled with all parameters of the next run, as they are when it writes its adapter."""
    seen: dict[str, torch.Tensor] = {}
    original = pipeline.write_weights

    def look_and_write(adapted: AdaptedModel, method: str, folder: Path) -> Any:
        seen.update({n: p.detach().clone() for n, p in adapted.model.named_parameters()})
        return original(adapted, method, folder)

    monkeypatch.setattr(pipeline, "write_weights", look_and_write)
    return seen


@pytest.mark.parametrize("case", ["full", "lora", "prefix"])
def test_a_training_is_repeated_to_the_bit(
    case: str, make_recipe: Make, train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = make_recipe(CASES[case], training={"keep": "last", "precision": "bf16"})
    one, again = (train(recipe, 0, tmp_path / place).adapter for place in ("one", "again"))
    files = sorted(file.name for file in one.glob("*.safetensors"))
    assert files and all((one / n).read_bytes() == (again / n).read_bytes() for n in files)


@pytest.mark.parametrize("case", CASES)
def test_train_export_and_reload(
    case: str,
    make_recipe: Make,
    last: dict[str, torch.Tensor],
    train: Callable[..., Run],
    tmp_path: Path,
) -> None:
    """Trains, and checks what moved, what did not, what was written and what it answers."""
    training = {"learning_rate": RATES.get(case, 2e-2), "keep": "last", "epochs": 3}
    training["precision"] = "bf16"  # in which frozen weights are swapped for the training
    recipe = make_recipe(CASES[case], training=training)
    untrained = adapt(recipe)
    start = {n: p.detach().clone() for n, p in untrained.model.named_parameters()}
    names = set(untrained.trainable())

    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert run.result["export"]["checked"] is True
    assert run.result["export"]["max_logit_difference"] < 1e-4

    assert last, "nothing was written"
    frozen = [n for n in start if n not in names and n in last]
    assert all(torch.equal(start[n], last[n]) for n in frozen)
    assert all(not torch.equal(start[n], last[n]) for n in names), [
        n for n in names if torch.equal(start[n], last[n])
    ]

    texts = ["goal match player", "bank profit and shares in the market firm"]
    loaded = load_adapter(run.path)
    together = loaded.predict(texts)
    alone = [loaded.predict([text])[0] for text in texts]
    for a, t in zip(alone, together, strict=True):
        assert a["logits"] == pytest.approx(t["logits"], abs=1e-5)

    if recipe.method.prompt_length == 0 and case not in REFUSALS:
        merged = load_adapter(export_run(run, tmp_path / "merged", merge=True))
        for a, b in zip(together, merged.predict(texts), strict=True):
            assert a["logits"] == pytest.approx(b["logits"], abs=1e-4)
    else:
        with pytest.raises(ExportError, match=REFUSALS.get(case, "nothing to add them to")):
            export_run(run, tmp_path / "merged", merge=True)
        assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("case", CASES)
def test_counts_are_pefts(case: str, make_recipe: Make) -> None:
    recipe = make_recipe(CASES[case])
    adapted = adapt(recipe)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        recipe.model.source, num_labels=3
    )
    base_count = sum(p.numel() for p in plain.parameters())
    counts = count_parameters(adapted)
    head = sum(p.numel() for n, p in plain.named_parameters() if n.startswith("classifier"))
    assert counts["head"] == head == 3 * 32 + 3
    assert counts["trainable"] == counts["adapter"] + head
    if hasattr(adapted.model, "get_nb_trainable_parameters"):
        trainable, total = adapted.model.get_nb_trainable_parameters()
        assert counts["trainable"] == trainable
        assert counts["total"] == total - head  # PEFT counts the untrained copy of the head too
    else:
        assert counts["total"] == base_count


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2"])
@pytest.mark.parametrize("case", ["full", "lora", "prefix", "p-tuning", "prompt"])
def test_padding_changes_nothing(
    case: str, model: str, make_recipe: Make, request: pytest.FixtureRequest
) -> None:
    method = copy.deepcopy(CASES[case])
    if model == "tiny_gpt2":
        method.pop("target_modules", None)
    recipe = make_recipe(method, model={"source": str(request.getfixturevalue(model))})
    data = load_data(recipe.data, recipe.task)
    task = make_task(recipe.task, data.label_names)
    adapted = adapt(recipe)
    for parameter in adapted.trainable().values():  # away from the start, where much is zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    tokenizer = adapted.base.tokenizer
    encoded = encode(data.test, task.encoder(tokenizer, 16), tokenizer)
    assert len(set(encoded.lengths.tolist())) > 3
    one, many = [
        predict(adapted.model, task, encoded, tokenizer, Accelerator(cpu=True), batch_size=size,
                virtual_tokens=adapted.virtual_tokens).values
        for size in (1, 8)
    ]  # fmt: skip
    assert np.allclose(one, many, atol=1e-5)

    # Alone and unpadded, a plain forward of transformers + PEFT gives the same.
    with torch.inference_mode():
        ids = torch.tensor([encoded.rows([0])[0]["input_ids"]])
        mask = torch.ones_like(ids)
        plain = adapted.model.eval()(input_ids=ids, attention_mask=mask).logits
    assert np.allclose(plain[0], many[0], atol=1e-5)


def test_exports_hold_nothing_of_this_machine_and_process(
    make_recipe: Make, tmp_path: Path, train: Callable[..., Run]
) -> None:
    """Neither a path nor the order in which this process keeps the names of a set."""
    targets = ["value", "query", "key", "output.dense", "intermediate.dense", "dense"]
    run = train(make_recipe({"name": "lora", "target_modules": targets}), 0, tmp_path)
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    # The tiny model has no public name, so its folder is all there is to say; nothing else may.
    assert config["base_model_name_or_path"] == make_recipe("lora").model.source
    assert config["target_modules"] == sorted(targets)
    assert str(tmp_path) not in (run.adapter / "adapter_config.json").read_text()
    assert str(tmp_path) not in (run.adapter / "README.md").read_text()
