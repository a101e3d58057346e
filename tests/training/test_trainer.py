"""The loop: what it refuses, what it repeats exactly, what it selects."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.killed_runs import begin
from workbench.errors import TrainingError
from workbench.methods.build import checkpoint_activations
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run, read_run
from workbench.training import checkpoint_files
from workbench.training.frozen_weights import FrozenWeights
from workbench.training.guards import MovementGuard, check_finite
from workbench.training.optimizer import learning_rate

Make = Callable[..., Recipe]
Train = Callable[..., Run]


def test_schedule_is_transformers() -> None:
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    steps, peak = 50, 2e-3
    for name, make in (
        ("linear", get_linear_schedule_with_warmup),
        ("cosine", get_cosine_schedule_with_warmup),
    ):
        spec = TrainingSpec(warmup_ratio=0.1, lr_scheduler=name)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
        theirs = make(optimizer, 5, steps)
        for step in range(steps):
            ours = learning_rate(step, steps, spec, peak)
            if step >= 5:  # theirs starts the warm-up at 0 and wastes the first step
                assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
            assert 0 < ours <= peak
            optimizer.step()
            theirs.step()


@pytest.mark.parametrize("micro", [None, 3, 1])
def test_accumulation_equals_the_whole_batch(
    micro: int | None, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    """The effective batch is the recipe's, whatever fits into memory at once."""
    losses = []
    for size, folder in ((None, "whole"), (micro, "parts")):
        training = {"max_steps": 4, "micro_batch_size": size, "learning_rate": 1e-2}
        run = train(make_recipe("lora", training=training), 0, tmp_path / folder)
        assert run.state == "finished", run.reason
        losses.append([e["loss"] for e in run.events()[0] if e["kind"] == "step"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize("loss, norm", [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_non_finite_numbers_stop_before_the_update(loss: float, norm: float) -> None:
    check_finite(1.0, 1.0, 3, 1e-3)
    with pytest.raises(TrainingError) as caught:
        check_finite(loss, norm, 3, 1e-3)
    text = str(caught.value)
    assert "step 3" in text and "0.001" in text and "training.learning_rate" in text


def test_a_run_that_blows_up_fails_with_its_step_and_keeps_no_nan(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    # No clipping, no norm layer saves it: the weights overflow within a few steps.
    training = {"learning_rate": 100.0, "max_grad_norm": None, "epochs": 40, "warmup_ratio": 0.0,
                "lr_scheduler": "constant", "weight_decay": 10.0}  # fmt: skip
    run = train(make_recipe("full", training=training), 0, tmp_path)
    assert run.state == "failed"
    assert "the loss is" in run.reason and "step" in run.reason
    assert not run.adapter.exists()
    assert not (run.path / "result.json").exists()
    for saved in (run.path / "checkpoints").glob("*"):
        weights = checkpoint_files.load(saved)[0]["trainable"].values()
        assert all(bool(torch.isfinite(w).all()) for w in weights)


def _guarded(make_recipe: Make, method: Any, *, checkpointing: bool) -> None:
    """One step of a BERT by hand, with gradient checkpointing switched on after wrapping."""
    from tests.methods.test_contract import adapt

    adapted = adapt(make_recipe(method))
    if checkpointing:
        checkpoint_activations(adapted.base.model)
    guard = MovementGuard(adapted)
    adapted.model.train()
    optimizer = torch.optim.AdamW(adapted.trainable().values(), lr=1e-2)
    ids = torch.randint(4, 30, (4, 8))
    adapted.model(
        input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.arange(4) % 3
    ).loss.backward()
    guard.see_gradients()
    optimizer.step()
    guard.check()


def test_the_guard_fires_when_a_prefix_is_cut_off(make_recipe: Make) -> None:
    prefix = {"name": "prefix", "num_virtual_tokens": 4}
    _guarded(make_recipe, prefix, checkpointing=False)
    with pytest.raises(TrainingError, match="the method got no gradient"):
        _guarded(make_recipe, prefix, checkpointing=True)


def test_the_guard_fires_when_nothing_moves(make_recipe: Make) -> None:
    from tests.methods.test_contract import adapt

    adapted = adapt(make_recipe("lora"))
    guard = MovementGuard(adapted)
    for parameter in adapted.trainable().values():
        parameter.grad = torch.ones_like(parameter)
    guard.see_gradients()
    with pytest.raises(TrainingError, match="did not move"):
        guard.check()


def test_the_guard_names_an_adapted_layer_that_is_cut_off(make_recipe: Make) -> None:
    from tests.methods.test_contract import adapt

    adapted = adapt(make_recipe("lora"))
    guard = MovementGuard(adapted)
    optimizer = torch.optim.AdamW(adapted.trainable().values(), lr=1e-2)
    ids = torch.randint(4, 30, (4, 8))
    for step in range(MovementGuard.STEPS):
        optimizer.zero_grad()
        adapted.model(input_ids=ids, labels=torch.arange(4) % 3).loss.backward()
        for name, parameter in adapted.trainable().items():
            if "layer.1.attention.self.value" in name:
                parameter.grad = None
        guard.see_gradients()
        optimizer.step()
        if step < MovementGuard.STEPS - 1:
            guard.check()
    with pytest.raises(TrainingError, match="1 of 4 adapted layers got no gradient") as caught:
        guard.check()
    assert "layer.1.attention.self.value" in str(caught.value)


def test_frozen_matrices_are_bf16_for_the_training_only(make_recipe: Make) -> None:
    from tests.methods.test_contract import adapt

    model = adapt(make_recipe("lora")).model
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    frozen = FrozenWeights(model, "bf16")
    halved = {n for n, p in model.named_parameters() if p.dtype == torch.bfloat16}
    matrices = {n for n, p in model.named_parameters() if p.ndim > 1 and not p.requires_grad}
    assert halved == matrices != set()
    frozen.restore()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    FrozenWeights(model, "no")
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_early_stopping_and_best_selection(make_recipe: Make, train: Train, tmp_path: Path) -> None:
    training = {"epochs": 30, "learning_rate": 3e-2, "early_stopping_patience": 2}
    run = train(make_recipe("lora", training=training), 0, tmp_path)
    assert run.state == "finished", run.reason
    rows = [e for e in run.events()[0] if e["kind"] == "validation"]
    assert len(rows) < 30, "it never stopped early"
    assert [r["best"] for r in rows[-2:]] == [False, False]
    best = [r for r in rows if r["best"]][-1]
    assert run.result["selected"]["step"] == best["step"]
    assert run.result["metrics"]["validation"] == best["metrics"]
    assert max(r["metrics"]["accuracy"] for r in rows) == best["metrics"]["accuracy"]


@pytest.mark.parametrize("method", ["full", "lora", "prefix"])
def test_stop_and_resume_is_bit_identical(
    method: str, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe(method, training={"epochs": 3, "micro_batch_size": 3})
    whole = train(recipe, 0, tmp_path / "whole")
    parts = tmp_path / "parts"

    steps = itertools.count()

    def stop_in_the_second_epoch(kind: str, _fields: dict[str, Any]) -> None:
        if kind == "step" and next(steps) == 9:
            folder = next((parts / "tiny").glob("[a-z]*-s0-*"))
            (folder / "stop").touch()

    stopped = train(recipe, 0, parts, observer=stop_in_the_second_epoch)
    assert stopped.state == "stopped"
    assert not checkpoint_files.find_damage(stopped.path / "checkpoints" / "step-000010")
    resumed = train(recipe, 0, parts, resume=True)
    assert resumed.state == "finished", resumed.reason
    assert resumed.result["metrics"] == whole.result["metrics"]
    for file in whole.adapter.glob("*.safetensors"):
        ours, theirs = load_file(file), load_file(resumed.adapter / file.name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(theirs[k], v) for k, v in ours.items())
    numbers = [e["step"] for e in resumed.events()[0] if e["kind"] == "step"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert resumed.result["time"]["examples_seen"] == whole.result["time"]["examples_seen"]
    assert resumed.result["memory"]["breakdown"]["optimizer_bytes"] > 0


def test_a_killed_run_goes_on_from_its_last_validation(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    """What was logged after the checkpoint is forgotten and repeated, bit for bit."""
    recipe = make_recipe("lora", training={"epochs": 3})
    whole = train(recipe, 0, tmp_path / "whole")

    class Killed(BaseException):
        """Ends the training between two steps, with nothing saved."""

    def kill_in_the_second_epoch(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] == 10:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, 0, tmp_path / "parts", observer=kill_in_the_second_epoch)
    (folder,) = (tmp_path / "parts" / "tiny").glob("[a-z]*")
    assert read_run(folder).state == "interrupted"
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    for file in whole.adapter.glob("*.safetensors"):
        ours, theirs = load_file(file), load_file(resumed.adapter / file.name)
        assert all(torch.equal(theirs[k], v) for k, v in ours.items())
    rows = [[e for e in r.events()[0] if e["kind"] == "step"] for r in (whole, resumed)]
    assert [(e["step"], e["loss"]) for e in rows[0]] == [(e["step"], e["loss"]) for e in rows[1]]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops(
    number: int, code: int, make_recipe: Make, tmp_path: Path
) -> None:
    recipe = make_recipe("lora", training={"epochs": 2000, "keep": "last"})
    file = tmp_path / "lora.yaml"
    file.write_text(dump_recipe(recipe))
    runs = tmp_path / "runs"
    process = begin("run", str(file), "--runs", str(runs))
    folder = _wait_for_steps(runs, process)
    os.kill(process, number)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == code
    run = read_run(folder)
    assert run.state == "stopped", run.reason
    saved = sorted((folder / "checkpoints").glob("step-*"))
    assert saved and not any(checkpoint_files.find_damage(each) for each in saved)
    last = [e["step"] for e in run.events()[0] if e["kind"] == "step"][-1]
    assert saved[-1].name == f"step-{last:06}"
    assert json.loads((folder / "status.json").read_text())["ended_at"]


def _wait_for_steps(runs: Path, process: int) -> Path:
    deadline = time.time() + 60
    while time.time() < deadline and os.waitpid(process, os.WNOHANG) == (0, 0):
        for folder in runs.glob("*/[a-z]*"):
            if any(e["kind"] == "step" for e in read_run(folder).events()[0]):
                return folder
        time.sleep(0.05)
    raise AssertionError("it ended, or took no step within a minute")
