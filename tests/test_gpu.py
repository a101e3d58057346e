"""On a CUDA device: the policy, the memory figures and the plain-load check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workbench.cli import main
from workbench.pipeline import setup
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
    assert policy["reads_behind"] is True
    assert memory["how"].startswith("torch.cuda")
    assert memory["reserved"]["train"] >= memory["phases"]["train"] > 0
    # Trained and tested on the GPU, reloaded on the CPU: fp32 on both sides.
    assert run.result["export"]["max_logit_difference"] < 1e-3


def test_steps_that_are_read_behind_are_those_that_are_read_at_once(
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to what atomic additions of a card leave open. Never run so far."""
    recipe = make_recipe("lora", training={"epochs": 2, "dropout": 0.0})
    behind = train(recipe, 0, tmp_path / "behind")
    chosen = setup.policy_for
    monkeypatch.setattr(
        setup, "policy_for", lambda *asked: replace(chosen(*asked), reads_behind=False)
    )
    at_once = train(recipe, 0, tmp_path / "at-once")
    assert behind.result["policy"]["reads_behind"] is True
    assert "reads_behind" not in at_once.result["policy"]
    rows = [[r for r in x.events()[0] if r["kind"] == "step"] for x in (behind, at_once)]
    for name in ("loss", "grad_norm"):
        values = [[row[name] for row in each] for each in rows]
        assert values[0] == pytest.approx(values[1], rel=1e-4)


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
