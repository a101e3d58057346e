"""A prefix has the heads that the model keeps keys and values for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
import transformers

from tests.architectures import save_architecture
from tests.methods.test_contract import adapt
from workbench.errors import MethodError
from workbench.recipe.schema import Recipe
from workbench.store import Run


@pytest.mark.parametrize("name", ["Falcon", "Llama", "GPT-2"])
def test_a_prefix_started_from_a_text_does_what_the_text_would(
    name: str, make_recipe: Callable[..., Recipe], topics_file: Path, tmp_path: Path
) -> None:
    """Falcon's heads share one key, which its config does not say in PEFT's words."""
    recipe = make_recipe(
        {"name": "prefix", "num_virtual_tokens": 4, "init_text": "the team of a film"},
        model={"source": str(save_architecture(name, tmp_path))},
        task={"name": "causal-lm"},
    )
    adapted = adapt(recipe)
    model, base = adapted.model.eval(), adapted.base
    before = base.tokenizer("the team of a film")["input_ids"][:4]
    text = torch.tensor([[5, 9, 12, 7]])
    with torch.no_grad():
        whole = torch.cat([torch.tensor([before]), text], dim=1)
        expected = base.model(input_ids=whole).logits[:, 4:]
        torch.testing.assert_close(model(input_ids=text).logits, expected, atol=1e-5, rtol=1e-4)


def test_multi_query_attention_is_trained_and_reloads(
    make_recipe: Callable[..., Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = make_recipe(
        {"name": "prefix", "num_virtual_tokens": 4},
        model={"source": str(save_architecture("Falcon", tmp_path / "model"))},
        training={"max_steps": 2},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    # A key and a value of 16 numbers for each of 4 tokens in 2 layers.
    assert run.result["parameters"]["adapter"] == 2 * 16 * 4 * 2


@pytest.mark.parametrize(
    "name, method", [("BigBird", "prefix"), ("Longformer", "prompt")], ids=["BigBird", "Longformer"]
)
def test_what_plain_peft_does_not_compute_is_refused_before_training(
    name: str, method: str, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(
        {"name": method, "num_virtual_tokens": 4},
        model={"source": str(save_architecture(name, tmp_path))},
    )
    with pytest.raises(MethodError, match=f"{method} does not work on") as caught:
        adapt(recipe)
    assert caught.value.where == "method.name"
    # What the refusal says, of PEFT's own forward pass.
    base = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    kind = peft.PrefixTuningConfig if method == "prefix" else peft.PromptTuningConfig
    plain = peft.get_peft_model(base, kind(task_type="SEQ_CLS", num_virtual_tokens=4))
    with pytest.raises((TypeError, IndexError)):
        plain(input_ids=torch.tensor([[5, 6]]), attention_mask=torch.ones(1, 2))


@pytest.mark.parametrize(
    "name, kind",
    [("Falcon", "PREFIX_TUNING"), ("ALBERT", "PROMPT_TUNING"), ("OPT, projected", "P_TUNING")],
)
def test_prompts_by_their_name_in_peft_fit_the_model(
    name: str, kind: str, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(
        {"name": "peft", "type": kind, "config": {"num_virtual_tokens": 4}},
        model={"source": str(save_architecture(name, tmp_path))},
    )
    model = adapt(recipe).model.eval()
    ids = torch.tensor([[5, 9, 12, 7]])
    with torch.no_grad():
        assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape == (1, 3)
