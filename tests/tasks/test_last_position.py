"""A head that reads the last position, as XLNet's, answers a padded batch as each text alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.architectures import save_architecture
from tests.methods.test_contract import adapt
from workbench.data.batches import pad
from workbench.recipe.schema import Recipe
from workbench.tasks import make_task


@pytest.mark.parametrize(
    "method",
    ["head", {"name": "prompt", "num_virtual_tokens": 4}],
    ids=["head", "prompt"],
)
def test_a_padded_batch_is_answered_as_plain_xlnet_answers_each_text(
    method: str | dict[str, object], make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(method, model={"source": str(save_architecture("XLNet", tmp_path))})
    adapted = adapt(recipe)
    model, task = adapted.model.eval(), make_task(recipe.task, ("a", "b", "c"))
    rows = [{"input_ids": list(range(4, 4 + length))} for length in (3, 9, 5, 3)]
    with torch.no_grad():
        alone = [model(input_ids=torch.tensor([row["input_ids"]])).logits[0] for row in rows]
        batch = pad(rows, adapted.base.tokenizer, 16)
        found = task.outputs(model, batch, adapted.virtual_tokens)
    torch.testing.assert_close(found, torch.stack(alone), atol=1e-6, rtol=1e-5)
