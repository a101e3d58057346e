"""Tokenizers that cannot read the texts: no files, unknown words, nothing to pad with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architectures import save_architecture
from tests.tiny_models import WORDS
from workbench.errors import DataError, UsageError
from workbench.models import load_tokenizer
from workbench.pipeline.inspect_data import inspect_data
from workbench.recipe.schema import ModelSpec, Recipe
from workbench.store import Run

Make, Train = Callable[..., Recipe], Callable[..., Run]
# One of each way in which transformers deals with a folder without tokenizer files.
FAMILIES = ["BERT", "RoBERTa", "GPT-2", "XLNet", "Gemma", "MPNet", "ModernBERT", "Llama"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_without_tokenizer_files_is_refused(name: str, tmp_path: Path) -> None:
    save_architecture(name, tmp_path)
    for file in tmp_path.glob("*token*"):
        file.unlink()
    with pytest.raises(UsageError) as caught:
        load_tokenizer(ModelSpec(source=str(tmp_path)))
    assert caught.value.where == "model.source"
    assert "tokenizer" in caught.value.what and "tokenizer.json" in caught.value.fix


def test_a_run_without_tokenizer_files_blames_the_model(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    save_architecture("BERT", tmp_path / "model")
    for file in (tmp_path / "model").glob("*token*"):
        file.unlink()
    run = train(make_recipe("head", model={"source": str(tmp_path / "model")}), 0, tmp_path)
    assert run.state == "failed" and run.status["failure"] == "bad arguments"
    assert "has no vocabulary" in run.reason


def test_no_padding_and_no_end_token_is_refused_with_what_to_set(
    tiny_bert: Path, tmp_path: Path
) -> None:
    for file in tiny_bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError) as caught:
        load_tokenizer(ModelSpec(source=str(tmp_path)))
    assert "no padding token, and no end token" in caught.value.what
    assert "pad_token in tokenizer_config.json" in caught.value.fix


def _data(file: Path, unknown: int) -> Path:
    """Texts of ten words, so many of which the tokenizer does not know."""
    rng = random.Random(0)
    with open(file, "w") as out:
        for row in range(64):
            known = rng.choices(WORDS, k=10 - unknown)
            foreign = [f"foreign{row}x{k}" for k in range(unknown)]
            text = " ".join([*foreign, *known])
            out.write(json.dumps({"text": text, "label": "ab"[row % 2]}) + "\n")
    return file


@pytest.mark.parametrize("unknown, said", [(0, False), (2, True), (5, True)])
def test_a_run_says_how_many_tokens_are_unknown(
    unknown: int, said: bool, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    data = {"source": str(_data(tmp_path / "rows.jsonl", unknown))}
    recipe = make_recipe("head", data=data, training={"max_steps": 1})
    expected = f"{unknown * 10}% of the training tokens are unknown to the tokenizer ([UNK])"
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert (expected in run.result["warnings"]) == said
    assert (expected in inspect_data(recipe)["notes"]) == said


def test_more_than_half_unknown_is_refused(make_recipe: Make, train: Train, tmp_path: Path) -> None:
    data = {"source": str(_data(tmp_path / "rows.jsonl", 6))}
    recipe = make_recipe("head", data=data)
    run = train(recipe, 0, tmp_path)
    assert run.state == "failed" and run.status["failure"] == "bad data"
    assert "60% of the training tokens are unknown" in run.reason
    with pytest.raises(DataError, match="60% of the training tokens are unknown"):
        inspect_data(recipe)
