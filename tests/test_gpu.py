"""On a CUDA device: the policy, the memory figures and the plain-load check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workbench.recipe.schema import Recipe
from workbench.store import Run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("method", ["full", "lora", "prefix", "prompt"])
def test_a_run_on_the_gpu(
    method: str, make_recipe: Callable[..., Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = make_recipe(method, training={"precision": "auto"})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    policy, memory = run.result["policy"], run.result["memory"]
    assert policy["device"] == "cuda" and policy["attention"] == "sdpa"
    assert policy["precision"] == ("bf16" if torch.cuda.is_bf16_supported() else "fp32")
    assert memory["how"].startswith("torch.cuda")
    assert memory["reserved"]["train"] >= memory["phases"]["train"] > 0
    # Trained and tested on the GPU, reloaded on the CPU: fp32 on both sides.
    assert run.result["export"]["max_logit_difference"] < 1e-3
