"""What a training hands over, the best state in fp32, and the steps that lead to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from tests.small_recipes import small_recipe
from tests.tiny_models import topic_rows
from workbench.distributed import processor
from workbench.pipeline import setup
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run
from workbench.training.gradients import GradientSync
from workbench.training.optimizer import learning_rate

Make = Callable[..., Recipe]
Train = Callable[..., Run]
STEPS_PER_EPOCH = 7


def tensors_of(run: Run) -> dict[str, torch.Tensor]:
    assert run.state == "finished", run.reason
    return load_file(run.adapter / "adapter_model.safetensors")


@pytest.mark.parametrize("best", [1, 2])
def test_what_is_tested_and_exported_is_the_state_of_the_best_validation(
    best: int,
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same weights as those of a training that ends there; the rate does not change."""
    training: dict[str, Any] = {"learning_rate": 2e-2, "warmup_ratio": 0.0}
    training["lr_scheduler"] = "constant"
    until = training | {"max_steps": best * STEPS_PER_EPOCH, "keep": "last"}
    expected = train(make_recipe("lora", training=until), 0, tmp_path / "until")

    scores = iter([0.9 if epoch == best else 0.5 for epoch in (1, 2, 3)])
    monkeypatch.setattr(setup, "score_split", lambda *_: {"accuracy": next(scores)})
    run = train(make_recipe("lora", training=training | {"epochs": 3}), 0, tmp_path / "on")

    ours, theirs = tensors_of(run), tensors_of(expected)
    assert run.result["time"]["steps"] == 3 * STEPS_PER_EPOCH
    assert run.result["selected"]["step"] == best * STEPS_PER_EPOCH
    assert run.result["metrics"]["test"] == expected.result["metrics"]["test"]
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([None, 0.2, 0.9, None, 0.4], 3),
        ([None, 0.2, None, None, 0.1], 2),  # five validations; patience counts two of them
        ([None] * 5, 5),
    ],
)
def test_a_score_that_is_not_defined_neither_wins_nor_costs_patience(
    scores: list[float | None],
    kept: int,
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = iter(scores)
    scored = setup.score_split
    monkeypatch.setattr(setup, "score_split", lambda *_: {"accuracy": next(given)})
    training = {"epochs": 5, "early_stopping_patience": 2}
    run = train(make_recipe("lora", training=training), 0, tmp_path)
    monkeypatch.setattr(setup, "score_split", scored)
    assert run.result["time"]["steps"] == 5 * STEPS_PER_EPOCH
    assert run.result["selected"]["step"] == kept * STEPS_PER_EPOCH
    assert run.result["selected"]["value"] == scores[kept - 1]
    lost = "no validation gave a number for accuracy, so the last state was kept"
    assert (lost in run.result["warnings"]) == (not any(scores))


def test_tags_that_mark_no_entities_are_selected_by_their_accuracy(
    tiny_bert: Path, train: Train, tmp_path: Path
) -> None:
    """Parts of speech have no entities, and the state of the first epoch is not kept for it."""
    rows = [{"text": r["text"].split(), "label": _parts(r["text"])} for r in topic_rows(40)]
    data = tmp_path / "parts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = small_recipe(
        "token-classification",
        "full",
        tiny_bert,
        tmp_path,
        data={"source": str(data), "validation_size": 8},
        training={"epochs": 4, "max_steps": None, "keep": "best"},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    validations = [row for row in run.events()[0] if row["kind"] == "validation"]
    accuracies = [row["metrics"]["accuracy"] for row in validations]
    assert [list(row["metrics"]) for row in validations] == [["accuracy"]] * 4
    assert run.result["selected"]["metric"] == "accuracy"
    assert run.result["selected"]["value"] == max(accuracies) > accuracies[0]
    assert list(run.result["metrics"]["test"]) == ["accuracy"]
    assert any("scored by accuracy" in note for note in run.result["warnings"])


def _parts(text: str) -> list[str]:
    return ["DET" if word in ("the", "a") else "NOUN" for word in text.split()]


def test_a_training_in_bf16_is_tested_and_exported_in_fp32(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the processor only emulates bf16 and the recipe would get fp32."""
    monkeypatch.setattr(processor, "computes_bf16", lambda: True)
    run = train(make_recipe("lora", training={"precision": "bf16"}), 0, tmp_path)
    assert all(tensor.dtype == torch.float32 for tensor in tensors_of(run).values())
    assert run.result["policy"]["precision"] == "bf16"
    assert run.result["export"]["max_logit_difference"] < 1e-4


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_warm_up_rises_evenly_from_the_first_step_to_the_peak(schedule: str) -> None:
    spec = TrainingSpec.model_validate({"warmup_ratio": 0.1, "lr_scheduler": schedule})
    rates = [learning_rate(step, 50, spec, 2.0) for step in range(6)]
    assert rates == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0])


@pytest.mark.parametrize(("limit", "left"), [(1.0, 1.0), (8.0, 5.0), (None, 5.0)])
def test_gradients_are_clipped_all_together_and_the_norm_is_that_before(
    limit: float | None, left: float
) -> None:
    model = torch.nn.Linear(1, 1)
    parameters = dict(model.named_parameters())
    sync = GradientSync(
        Accelerator(cpu=True), model, torch.optim.SGD(model.parameters(), lr=0.1), parameters
    )
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])
    assert sync.clip(limit) == pytest.approx(5.0)
    grads = [float(p.grad.sum()) for p in parameters.values() if p.grad is not None]
    assert grads == pytest.approx([left * 0.6, left * 0.8], rel=1e-4)
