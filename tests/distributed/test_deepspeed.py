"""DeepSpeed is told what the recipe says; what contradicts it is refused before anything loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.methods.test_contract import CASES
from workbench.distributed import deepspeed
from workbench.distributed.accelerator import this_process
from workbench.distributed.deepspeed import BUCKET, settings, zero_stage
from workbench.distributed.launcher import check_launch
from workbench.distributed.policy import choose_policy
from workbench.errors import MethodError, UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run
from workbench.tasks import make_task
from workbench.training import zero

Make = Callable[..., Recipe]
Train = Callable[..., Run]
Launched = Callable[..., None]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launched:
    """Says what accelerate's launcher says of DeepSpeed, with a file of DeepSpeed's own or none."""
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: name)

    def say(file: dict[str, Any] | None = None, **variables: str) -> None:
        monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
        for name, value in variables.items():
            monkeypatch.setenv(f"ACCELERATE_{name}", value)
        if file is not None:
            (tmp_path / "deepspeed.json").write_text(json.dumps(file))
            path = str(tmp_path / "deepspeed.json")
            monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", path)

    return say


def test_the_launcher_s_word_decides(launched: Launched) -> None:
    device = this_process().device
    assert zero_stage() == 0 and choose_policy(TrainingSpec(), device, 2).zero == 0
    launched(DEEPSPEED_ZERO_STAGE="1")
    assert zero_stage() == 1 and choose_policy(TrainingSpec(), device, 2).zero == 1
    assert choose_policy(TrainingSpec(), device, 1).zero == 0
    check_launch(TrainingSpec(), 2)


def test_the_recipe_fills_the_settings(launched: Launched) -> None:
    launched(DEEPSPEED_ZERO_STAGE="2")
    training = TrainingSpec(batch_size=24, micro_batch_size=5, max_grad_norm=0.3)
    assert settings(training, 2, trained=1000) == {
        "train_micro_batch_size_per_gpu": 5,
        "gradient_accumulation_steps": 3,
        "gradient_clipping": 0.3,
        "zero_optimization": {"stage": 2, "reduce_bucket_size": 1000},
        "steps_per_print": None,
        "zero_allow_untested_optimizer": True,
    }
    unclipped = settings(TrainingSpec(batch_size=7, max_grad_norm=None), 2, trained=10**9)
    assert unclipped["gradient_clipping"] == 0.0
    assert unclipped["train_micro_batch_size_per_gpu"] == 4
    assert unclipped["zero_optimization"]["reduce_bucket_size"] == BUCKET


def test_a_configuration_that_agrees_is_taken(launched: Launched) -> None:
    launched(
        {
            "train_batch_size": "auto",
            "train_micro_batch_size_per_gpu": 8,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": 1.0,
            "fp16": {"enabled": False},
            "bf16": {"enabled": "auto"},
            "wall_clock_breakdown": False,
            "zero_optimization": {
                "stage": 1,
                "overlap_comm": False,
                "reduce_bucket_size": 4096,
                "offload_optimizer": {"device": "none"},
            },
        }
    )
    training = TrainingSpec(batch_size=16, micro_batch_size=None)
    check_launch(training, 2)
    kept = settings(training, 2, trained=1000)["zero_optimization"]
    assert kept == {"stage": 1, "overlap_comm": False, "reduce_bucket_size": 4096}


def test_all_that_contradicts_the_recipe_is_said_at_once(launched: Launched) -> None:
    launched(
        {
            "train_batch_size": 64,
            "train_micro_batch_size_per_gpu": 2,
            "gradient_accumulation_steps": 4,
            "gradient_clipping": 0.5,
            "bf16": {"enabled": True},
            "optimizer": {"type": "Lamb", "params": {"lr": 1e-3}},
            "scheduler": {"type": "WarmupLR"},
            "compression_training": {"weight_quantization": {}},
            "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}},
        }
    )
    with pytest.raises(UsageError, match="contradicts the recipe") as caught:
        check_launch(TrainingSpec(batch_size=16), 2)
    for words in (
        "train_batch_size is 64, by the recipe it is 16",
        "train_micro_batch_size_per_gpu is 2, by the recipe it is 8",
        "gradient_accumulation_steps is 4, by the recipe it is 1",
        "gradient_clipping is 0.5, by the recipe it is 1.0",
        "bf16: training.precision",
        "optimizer: the workbench trains with AdamW",
        "scheduler: training.lr_scheduler",
        "compression_training: it has no place here",
        "zero_optimization.offload_optimizer: what is shared here stays on the devices",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "variables, processes, training, words, fix",
    [
        ({"DEEPSPEED_ZERO_STAGE": "3"}, 2, {}, "stage 3 of DeepSpeed's ZeRO", "fsdp2.yaml"),
        ({"DEEPSPEED_ZERO_STAGE": "0"}, 2, {}, "stage 0 of DeepSpeed's ZeRO", "ddp.yaml"),
        ({"DEEPSPEED_CONFIG_FILE": "no-such.json"}, 2, {}, "cannot be used", "deepspeed-zero2"),
        ({}, 1, {}, "nobody to share the optimizer state with", "--processes 2"),
        ({}, 2, {"auto_micro_batch": True}, "auto_micro_batch", "micro_batch_size"),
        ({"GRADIENT_CLIPPING": "2.0"}, 2, {}, "gradient_clipping is 2.0", "auto"),
        (
            {"DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu"},
            2,
            {},
            "zero_optimization.offload_optimizer",
            "leave these settings out",
        ),
    ],
)
def test_what_has_no_place_is_refused(
    variables: dict[str, str],
    processes: int,
    training: dict[str, Any],
    words: str,
    fix: str,
    launched: Launched,
) -> None:
    launched(**variables)
    with pytest.raises(UsageError, match=words) as caught:
        check_launch(TrainingSpec(**training), processes)
    assert fix in str(caught.value)


def test_a_run_without_deepspeed_fails_before_anything_is_loaded(
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    launched: Launched,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched()
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: None)
    run = train(make_recipe("head", model={"source": "no/such-model"}), 0, tmp_path)
    assert run.state == "failed" and "DeepSpeed is not installed" in run.reason


@pytest.mark.parametrize("case", CASES)
def test_methods_are_refused_before_weights_are_read_or_not_at_all(
    case: str, make_recipe: Make
) -> None:
    recipe = make_recipe(CASES[case], task={"labels": ["business", "sport", "tech"]})
    task = make_task(recipe.task, ("business", "sport", "tech"))
    adapted = build_model(recipe, task, empty_base)
    if case != "peft-adalora":
        zero.check(adapted, recipe.method)
        return
    with pytest.raises(MethodError, match="ADALORA cannot be trained with DeepSpeed"):
        zero.check(adapted, recipe.method)
