"""A number that is not finite is found one step later, and changes no weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.training.behind import rows_of
from workbench.data.encode import Row
from workbench.pipeline import setup
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.training import checkpoint_files
from workbench.training.accumulation import Accumulation
from workbench.training.gradients import GradientSync
from workbench.training.launched import skip_unless_finite
from workbench.training.trainer import Trainer

Make = Callable[..., Recipe]
Both = Callable[..., tuple[Run, Run]]
STEPS_PER_EPOCH = 7
ON_A_CARD = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)


@pytest.mark.parametrize("at", [3, 4, STEPS_PER_EPOCH, 10])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_number_that_is_not_finite_changes_no_weight(
    what: str,
    at: int,
    make_recipe: Make,
    both: Both,
    trainers: list[Trainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The step after it is finite again and launched all the same."""
    monkeypatch.setattr(setup, "forecast", lambda *_, **__: {})
    monkeypatch.setattr(setup, "warm_up", lambda *_: None)
    if what == "loss":
        accumulate = Accumulation.accumulate

        def spoilt(self: Accumulation, rows: Sequence[Row], step: int) -> Any:
            done = accumulate(self, rows, step)
            return replace(done, loss=done.loss * float("nan")) if step == at else done  # type: ignore[type-var]

        monkeypatch.setattr(Accumulation, "accumulate", spoilt)
    else:
        clip = GradientSync.clip

        def infinite(self: GradientSync, limit: float | None) -> torch.Tensor:
            return clip(self, limit) * (float("inf") if trainers[-1].step + 1 == at else 1.0)

        monkeypatch.setattr(GradientSync, "clip", infinite)
    runs = both(make_recipe("lora", training={"epochs": 2}))
    assert [run.state for run in runs] == ["failed", "failed"]
    assert runs[0].reason == runs[1].reason and f"step {at}" in runs[0].reason
    assert rows_of(runs[0]) == rows_of(runs[1])
    assert [row["step"] for row in rows_of(runs[1]) if row["kind"] == "step"][-1:] == [at - 1]
    held = [{**dict(t.parameters), **t.gradients.optimizer_tensors()} for t in trainers]
    assert held[0].keys() == held[1].keys()
    assert all(torch.equal(held[0][name], held[1][name]) for name in held[0])
    saved = [
        {path.name: checkpoint_files.load(path)[0] for path in run.path.glob("checkpoints/*-*")}
        for run in runs
    ]
    assert saved[0].keys() == saved[1].keys()
    for name, tensors in saved[0].items():
        theirs = saved[1][name]["trainable"]
        assert all(torch.equal(theirs[n], each) for n, each in tensors["trainable"].items())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_CARD)])
@pytest.mark.parametrize("where", ["loss", "norm"])
def test_a_fused_adamw_skips_from_the_first_number_that_is_not_finite_on(
    where: str, device: str
) -> None:
    """Against an AdamW of torch that is given the finite steps before it alone."""
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.ones(3, 2, device=device)) for _ in range(2)]
    ours, theirs = (torch.optim.AdamW([w], lr=0.1, fused=True) for w in weights)
    gradients = torch.randn(4, 3, 2, device=device)
    for step, gradient in enumerate(gradients):
        spoilt = step == 2
        weights[0].grad = gradient * (float("nan") if spoilt else 1.0)
        values = {
            "loss": torch.tensor(1.0, device=device),
            "norm": torch.tensor(2.0, device=device),
        }
        if spoilt:
            values[where] = torch.tensor(float("inf"), device=device)
        skip_unless_finite(ours, values["loss"], values["norm"])
        ours.step()
        if step < 2:
            weights[1].grad = gradient.clone()
            theirs.step()
    assert torch.equal(weights[0], weights[1])
    states = [each.state_dict()["state"][0] for each in (ours, theirs)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
