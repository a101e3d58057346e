"""The precision of a run is one that the model's architecture computes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.architectures import save_architecture
from workbench.distributed import policy as of_device
from workbench.models import policy_for
from workbench.recipe.schema import ModelSpec, Recipe, TrainingSpec
from workbench.store import Run

AUTO = "AutoModelForSequenceClassification"
NOTE = "training.precision: fp32, as this model's architecture does not compute in bf16"


@pytest.fixture(autouse=True)
def computes_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_device, "computes_bf16", lambda device: True)


@pytest.mark.parametrize(
    "name, precision",
    [("DeBERTa", "fp32"), ("DeBERTa-v2", "bf16"), ("MPNet", "bf16"), ("XLNet", "bf16"),
     ("Longformer", "bf16"), ("GPT-J", "bf16"), ("BERT", "bf16")],
)  # fmt: skip
@pytest.mark.parametrize("asked", ["auto", "bf16", "fp32"])
def test_bf16_is_taken_where_the_architecture_computes_it(
    name: str, precision: str, asked: str, tmp_path: Path
) -> None:
    spec = ModelSpec(source=str(save_architecture(name, tmp_path)))
    training = TrainingSpec(precision=asked)  # type: ignore[arg-type]
    state = torch.random.get_rng_state()
    found = policy_for(spec, AUTO, training, torch.device("cpu"), 1)
    assert found.precision == ("fp32" if asked == "fp32" else precision)
    assert (NOTE in found.notes) == (name == "DeBERTa" and asked != "fp32")
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_model_that_is_not_there_keeps_what_the_device_does(tmp_path: Path) -> None:
    """MPNet cannot write; that is refused where the model is loaded."""
    spec = ModelSpec(source=str(save_architecture("MPNet", tmp_path)))
    found = policy_for(spec, "AutoModelForCausalLM", TrainingSpec(), torch.device("cpu"), 1)
    plain = of_device.choose_policy(TrainingSpec(), torch.device("cpu"), 1)
    assert found == replace(plain, precision="bf16")


@pytest.mark.integration
def test_a_run_in_bf16_says_that_it_is_computed_in_fp32(
    make_recipe: Callable[..., Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = make_recipe(
        "lora",
        model={"source": str(save_architecture("DeBERTa", tmp_path / "model"))},
        training={"max_steps": 2, "precision": "bf16"},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["policy"]["precision"] == "fp32"
    assert NOTE in run.result["policy"]["notes"]
