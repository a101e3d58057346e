"""Splits of which the tokenizer leaves nothing to score are found before the training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_recipes import small_recipe
from tests.tasks.tiny_language_models import byte_tokenizer, language_model
from workbench.data import load_data
from workbench.errors import UsageError
from workbench.pipeline.inspect_data import inspect_data
from workbench.pipeline.setup import set_up

GOOD = [f"the goal of the match {'team ' * i}" for i in range(12)]
UNKNOWN = ["zzz", "qqq zzz"]
SPLITS = {"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"}
Prepare = Callable[..., Any]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """What a run does before its training, or ``workbench data``, on texts for each split."""

    def build(
        task: str, model: Path, texts: dict[str, list[str]], *, look: bool = False, **spec: Any
    ) -> Any:
        folder = tmp_path / "splits"
        folder.mkdir(exist_ok=True)
        for name, file in SPLITS.items():
            rows = [json.dumps({"text": text}) for text in texts.get(name, GOOD[:3])]
            (folder / file).write_text("\n".join(rows))
        data = {"source": str(folder), "splits": SPLITS, "test_size": None, "duplicates": "keep"}
        recipe = small_recipe(task, "lora", model, tmp_path, data=data, task=spec)
        if look:
            return inspect_data(recipe)
        return set_up(recipe, 0, load_data(recipe.data, recipe.task), trial=False)

    return build


@pytest.mark.parametrize("split", list(SPLITS))
def test_a_split_without_one_feature_is_refused(
    split: str, prepare: Prepare, tiny_bert: Path
) -> None:
    said = f"the {split} split gives not one feature"
    with pytest.raises(UsageError, match=said):
        prepare("masked-lm", tiny_bert, {"train": GOOD} | {split: UNKNOWN}, look=True)
    with pytest.raises(UsageError, match=said):
        prepare("masked-lm", tiny_bert, {"train": GOOD} | {split: UNKNOWN})


@pytest.mark.parametrize("metrics", [["word_perplexity"], ["perplexity", "word_perplexity"], []])
def test_texts_of_one_token_have_no_perplexity_per_word(
    metrics: list[str], prepare: Prepare, letters: Path
) -> None:
    texts = {"train": GOOD, "validation": ["a", "b"], "test": GOOD[:2]}
    if metrics[:1] == ["word_perplexity"]:
        with pytest.raises(UsageError, match="word_perplexity cannot be computed on validation"):
            prepare("causal-lm", letters, texts, metrics=metrics)
    else:
        notes = prepare("causal-lm", letters, texts, metrics=metrics).data.notes
        assert any("word_perplexity cannot be computed on validation:" in note for note in notes)


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A decoder of one token per byte."""
    tokenizer = byte_tokenizer()
    language_model("gpt2", len(tokenizer)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"
