"""Checkpoints whose head is missing or of another size, and folders that are no base model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from peft import PeftModel

from tests.architectures import save_architecture
from workbench.adapters.loaded import load_adapter
from workbench.recipe.schema import Recipe
from workbench.store import Run

Make, Train = Callable[..., Recipe], Callable[..., Run]
TEXT = "the team profit of a film"


@pytest.fixture(scope="module")
def without_pooler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT as masked language modelling leaves it."""
    return save_architecture("BERT", tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="module")
def five_labels(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of five labels, where the data has three."""
    folder = tmp_path_factory.mktemp("five")
    for file in tiny_bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    auto = transformers.AutoModelForSequenceClassification
    auto.from_pretrained(tiny_bert, num_labels=5).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", ["full", "head", "lora", "prompt"])
def test_a_missing_pooler_is_a_new_part_of_the_head(
    method: str, without_pooler: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe(method, model={"source": str(without_pooler)}, training={"max_steps": 2})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert any("no weights for pooler" in warning for warning in run.result["warnings"])
    # 32 * 32 + 32 of the pooler, 32 * 3 + 3 of the classifier.
    assert run.result["parameters"]["head"] == 1056 + 99


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_a_head_for_another_number_of_labels_is_made_new(
    method: str, five_labels: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe(method, model={"source": str(five_labels)}, training={"max_steps": 2})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    said = [warning for warning in run.result["warnings"] if "another number of labels" in warning]
    assert len(said) == 1 and "5 outputs, not 3" in said[0]
    (answer,) = load_adapter(run.path).predict([TEXT])
    assert answer["prediction"] in {"business", "sport", "tech"}
    card = (run.adapter / "README.md").read_text()
    assert ("ignore_mismatched_sizes=True" in card) == (method != "full")


def test_the_card_of_an_adapter_on_another_head_loads_it(
    five_labels: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe("lora", model={"source": str(five_labels)}, training={"max_steps": 2})
    run = train(recipe, 0, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.adapter)
    base = transformers.AutoModelForSequenceClassification.from_pretrained(
        five_labels,
        config=transformers.AutoConfig.from_pretrained(run.adapter),
        ignore_mismatched_sizes=True,
    )
    plain = PeftModel.from_pretrained(base, run.adapter).eval()
    with torch.inference_mode():
        expected = plain(**tokenizer(TEXT, return_tensors="pt")).logits[0]
    (answer,) = load_adapter(run.path).predict([TEXT])
    torch.testing.assert_close(torch.tensor(answer["logits"]), expected, atol=1e-5, rtol=1e-5)


def test_word_embeddings_of_another_size_are_refused(
    tiny_bert: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = transformers.AutoConfig.from_pretrained(folder)
    config.vocab_size += 7
    config.save_pretrained(folder)
    run = train(make_recipe("lora", model={"source": str(folder)}), 0, tmp_path / "runs")
    assert run.state == "failed"
    assert "word_embeddings" in run.reason and run.status["failure"] == "bad arguments"


@pytest.mark.parametrize("method", ["lora", "head"])
@pytest.mark.parametrize("place", ["run", "adapter"])
def test_an_adapter_as_base_points_to_init_from(
    method: str, place: str, tiny_bert: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    first = train(make_recipe(method, training={"max_steps": 2}), 0, tmp_path)
    source = first.path if place == "run" else first.adapter
    run = train(make_recipe(method, model={"source": str(source)}), 0, tmp_path / "runs")
    assert run.state == "failed" and run.status["failure"] == "bad arguments"
    assert "is an adapter, not a base model" in run.reason
    assert f"model.source to {tiny_bert}" in run.reason and f"init_from: {source}" in run.reason
