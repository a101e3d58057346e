"""Parameter counts of real sizes, against the figures of the papers and of PEFT."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from workbench.costs.plan import plan
from workbench.errors import MethodError
from workbench.recipe.schema import Recipe

BERT, GPT2, ROBERTA = (
    transformers.BertConfig(),
    transformers.GPT2Config(),
    transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1
    ),
)
LORA = {"name": "lora", "r": 8}
# Trainable with a two-label head. BERT and GPT-2: print_trainable_parameters of peft 0.21 on the
# Hub's weights. LoRA on RoBERTa-base r=8 q,v is the 0.3M of Hu et al. 2021, table 2, plus head.
FIGURES = [
    (BERT, {"name": "full"}, 109_483_778),
    (BERT, {**LORA, "target_modules": ["query", "value"]}, 296_450),
    (BERT, {"name": "prefix", "num_virtual_tokens": 20}, 370_178),
    (BERT, {"name": "prompt", "num_virtual_tokens": 20}, 16_898),
    (BERT, {"name": "p-tuning", "num_virtual_tokens": 20, "encoder_size": 128}, 230_914),
    (BERT, {"name": "bitfit"}, 104_450),
    (BERT, {"name": "head"}, 1_538),
    (GPT2, {"name": "full"}, 124_441_344),
    (GPT2, LORA, 296_448),
    (GPT2, {"name": "prefix", "num_virtual_tokens": 20}, 370_176),
    (GPT2, {"name": "prompt", "num_virtual_tokens": 20}, 16_896),
    (ROBERTA, {**LORA, "target_modules": ["query", "value"]}, 294_912 + 592_130),
]


def _recipe(make_recipe: Callable[..., Recipe], config: Any, method: Any, folder: Path) -> Recipe:
    config.save_pretrained(folder)
    task = {"labels": ["no", "yes"]}
    data = {"source": "nobody/nothing", "train_size": 64}
    model = {"source": str(folder), "max_length": 128}
    return make_recipe(method, model=model, task=task, data=data)


@pytest.mark.parametrize(
    "config, method, expected",
    [pytest.param(*f, marks=[pytest.mark.slow] if f[0] is GPT2 else []) for f in FIGURES],
)
def test_trainable_counts(
    config: Any, method: Any, expected: int, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = _recipe(make_recipe, config, method, tmp_path)
    plan(recipe, time=False)  # the first of a process imports what it needs, which takes seconds
    started = time.process_time()
    counts = plan(recipe, time=False)
    assert counts["trainable_parameters"] == expected
    assert counts["head_parameters"] + counts["adapter_parameters"] == expected
    assert time.process_time() - started < 5, "no weights should have been made"


def test_too_long_for_the_positions_is_refused(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = _recipe(make_recipe, BERT, {"name": "prompt", "num_virtual_tokens": 20}, tmp_path)
    longer = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"max_length": 500})}
    )
    with pytest.raises(MethodError, match="520 positions; .* has 512") as caught:
        plan(longer, time=False)
    assert "set model.max_length to 492 or less" in str(caught.value)
