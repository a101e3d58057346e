"""What a run's record says of its dropout, so that runs that train alike are averaged."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, LlamaConfig

from workbench.distributed.policy import choose_policy
from workbench.pipeline.record import recorded_policy
from workbench.recipe.schema import TrainingSpec


@pytest.mark.parametrize(
    ("config", "device", "dropout"),
    [
        (LlamaConfig(), "cuda", 0.0),  # it has none of its own, so a GPU and a CPU train alike
        (LlamaConfig(attention_dropout=0.1), "cuda", None),
        (BertConfig(), "cuda", None),
        (BertConfig(), "cpu", 0.0),
    ],
)
def test_a_model_without_dropout_trains_without_it_on_every_device(
    config: Any, device: str, dropout: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Test GPU")
    policy = choose_policy(TrainingSpec(), torch.device(device))
    base: Any = SimpleNamespace(model=SimpleNamespace(config=config))
    found = recorded_policy(policy, base)
    assert found["dropout"] == dropout and found["device"] == device
