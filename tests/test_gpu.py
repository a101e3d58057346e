"""On a CUDA device: the policy, the memory figures and the plain-load check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workbench.cli import main
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs

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
    own = torch.cuda.is_bf16_supported(including_emulation=False)
    assert policy["precision"] == ("bf16" if own else "fp32")
    assert memory["how"].startswith("torch.cuda")
    assert memory["reserved"]["train"] >= memory["phases"]["train"] > 0
    # Trained and tested on the GPU, reloaded on the CPU: fp32 on both sides.
    assert run.result["export"]["max_logit_difference"] < 1e-3


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("method", ["full", "lora", "prefix", "prompt"])
def test_two_gpus_that_share_the_weights(
    method: str, make_recipe: Callable[..., Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    """As on two CPU processes: the numbers of one, and half of the memory. Never run so far."""
    recipe = make_recipe(method)
    alone = train(recipe, 0, tmp_path / "one")
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    command = ["run", str(file), "--runs", str(tmp_path / "two"), "--processes", "2", "--shard"]
    assert main(command) == 0
    (shared,) = list_runs(tmp_path / "two")
    losses = [
        [row["loss"] for row in run.events()[0] if row["kind"] == "step"] for run in (alone, shared)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    (everything,) = alone.result["memory"]["pieces_per_process"]
    assert max(shared.result["memory"]["pieces_per_process"]) < 0.6 * everything
    assert shared.result["export"]["max_logit_difference"] < 1e-3
