"""A model without a padding token: a padded batch is answered like each text alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from workbench.adapters.loaded import load_adapter
from workbench.recipe.schema import Recipe
from workbench.store import Run


@pytest.fixture
def without_padding(tiny_gpt2: Path, tmp_path: Path) -> Path:
    """The tiny GPT-2 with a tokenizer that has an end token and no padding token."""
    folder = tmp_path / "no-pad"
    folder.mkdir()
    for file in tiny_gpt2.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    inner: Any = AutoTokenizer.from_pretrained(tiny_gpt2).backend_tokenizer
    # As GPT-2's own: it puts nothing before or after a text.
    inner.post_processor = processors.Sequence([])
    bare = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="[SEP]", unk_token="[UNK]")
    bare.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).pad_token is None
    return folder


@pytest.mark.parametrize("method", ["lora", "prefix"])
def test_answers_are_those_of_batches_of_one(
    method: str, without_padding: Path, make_recipe: Callable[..., Recipe],
    train: Callable[..., Run], tmp_path: Path,
) -> None:  # fmt: skip
    recipe = make_recipe(
        method,
        model={"source": str(without_padding)},
        training={"max_steps": 8, "learning_rate": 0.05},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert any("its end token [SEP] pads" in warning for warning in run.result["warnings"])
    rows = pyarrow.parquet.read_table(run.path / "predictions.parquet").to_pylist()
    alone = load_adapter(run.path).predict([row["text"] for row in rows], batch_size=1)
    assert [row["prediction"] for row in alone] == [row["prediction"] for row in rows]
    right = sum(a["prediction"] == row["label"] for a, row in zip(alone, rows, strict=True))
    assert run.result["metrics"]["test"]["accuracy"] == pytest.approx(right / len(rows))


def test_a_tokenizer_that_appends_what_pads_is_refused(
    tiny_gpt2: Path, tmp_path: Path, make_recipe: Callable[..., Recipe], train: Callable[..., Run]
) -> None:
    folder = tmp_path / "no-pad"
    folder.mkdir()
    for file in tiny_gpt2.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    inner: Any = AutoTokenizer.from_pretrained(tiny_gpt2).backend_tokenizer
    inner.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", special_tokens=[("[SEP]", inner.token_to_id("[SEP]"))]
    )
    bare = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="[SEP]", unk_token="[UNK]")
    bare.save_pretrained(folder)
    run = train(make_recipe("lora", model={"source": str(folder)}), 0, tmp_path / "runs")
    assert run.state == "failed"
    assert "ends each text with [SEP] and has no padding token" in run.reason
    assert "pad_token" in run.reason
