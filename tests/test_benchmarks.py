"""The two sides of ``make bench`` do the same work and mean the same by their figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import trainer_run, workbench_run
from benchmarks.settings import settings_of
from tests.tiny_models import make_tiny, topic_rows
from workbench.errors import UsageError

pytestmark = pytest.mark.slow

INSTRUCTION = {"name": "instruction", "metrics": ["perplexity"], "decoding": {"max_new_tokens": 2}}
SettingsFor = Callable[..., dict[str, Any]]


@pytest.fixture
def settings_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsFor:
    """Settings of a recipe that learns the topics of texts, or to repeat a part of them."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    rows = topic_rows(68)
    for row in rows:  # answers of 1 to 9 words
        row["answer"] = " ".join(row["text"].split()[: 1 + len(row["text"]) % 9])
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def build(model: Path, task: dict[str, Any], label: str, **training: Any) -> dict[str, Any]:
        values = {
            "task": task,
            "model": {"source": str(model), "max_length": 32},
            "data": {
                "source": str(data), "label": label, "validation_size": 8, "test_size": 20,
            },
            "method": {"name": "lora", "r": 4},
            "training": {"batch_size": 8, **training},
        }  # fmt: skip
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps(values))  # JSON is YAML
        return settings_of(str(recipe), [], tmp_path) | {"seed": 0, "bf16": False}

    return build


def test_sides_agree_on_the_loss_of_the_same_model(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    """At a rate of next to nothing both test the model that they began with.

    The answers differ in length, so a mean over batches would not be the mean over tokens.
    """
    model = make_tiny("llama", tmp_path / "model", spread=0.3)
    settings = settings_for(model, INSTRUCTION, "answer", epochs=1, learning_rate=1e-12)
    ours, theirs = workbench_run.measure(settings), trainer_run.measure(settings)
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    assert ours["steps"] == theirs["steps"] == 5
    assert ours["generation_seconds"] > 0


def test_both_sides_learn_to_classify(settings_for: SettingsFor, tiny_bert: Path) -> None:
    task = {"name": "text-classification", "metrics": ["accuracy"]}
    settings = settings_for(tiny_bert, task, "label", epochs=10, learning_rate=2e-2)
    ours, theirs = workbench_run.measure(settings), trainer_run.measure(settings)
    assert min(ours["accuracy"], theirs["accuracy"]) > 0.7  # a third by chance
    assert ours["steps"] == theirs["steps"] == 50


def test_a_recipe_without_a_counterpart_is_refused(tmp_path: Path) -> None:
    for name in ("bbc-headlines/prefix", "imdb-mlm-bert-base/lora"):
        with pytest.raises(UsageError, match="written for LoRA"):
            settings_of(name, [], tmp_path)
    assert not list(tmp_path.iterdir())
