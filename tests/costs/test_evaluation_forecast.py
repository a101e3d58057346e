"""What an evaluation's text takes by the dry run, against the plain model over real tensors."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.costs.test_dry_run import run_spec_of
from tests.small_recipes import small_recipe
from workbench.costs.dry_run import dry_run
from workbench.costs.fake_tensors import MemoryTracker


@pytest.mark.parametrize("method", ["full", "prompt"])
@pytest.mark.parametrize("task", ["text-classification", "instruction"])
def test_a_text_takes_what_the_plain_model_takes_for_one(
    task: str, method: str, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    writes = task == "instruction"
    folder = tiny_llama if writes else tiny_bert
    run = run_spec_of(small_recipe(task, method, folder, tmp_path, training={"max_steps": 2}))
    with dry_run(run, 0) as dry:
        training = dry.peak - sum(dry.pieces.values())
        found = dry.evaluate()
    virtual = 3 if method == "prompt" else 0
    assert found["row_tokens"] == int(run.train.lengths.max()) + virtual

    kind = AutoModelForCausalLM if writes else AutoModelForSequenceClassification
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    tokens = found["row_tokens"]
    taken = []
    for texts in (8, 16):
        ids = torch.ones((texts, tokens), dtype=torch.long)
        tracker = MemoryTracker()
        gc.collect()
        with torch.no_grad(), tracker:
            model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=1) if (
                writes
            ) else model(input_ids=ids, attention_mask=torch.ones_like(ids))
        taken.append(tracker.peak)
    plain = (taken[1] - taken[0]) / 8
    # Beside it the forecast holds the inputs and, for a decoder, the logits of a whole answer.
    assert plain <= found["row_bytes"] < 2 * plain, plain
    assert 8 * found["row_bytes"] < training


@pytest.mark.parametrize("task", ["text-classification", "instruction"])
def test_a_text_of_the_test_takes_the_same_whatever_the_precision_of_training(
    task: str, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    """The frozen weights that trained in bf16 are back in fp32 by then."""
    folder = tiny_llama if task == "instruction" else tiny_bert
    found = []
    for precision in ("fp32", "bf16"):
        training = {"max_steps": 2, "precision": precision}
        run = run_spec_of(small_recipe(task, "lora", folder, tmp_path, training=training))
        with dry_run(run, 0) as dry:
            found.append(dry.evaluate())
    assert found[0] == found[1]
