"""Architectures without SDPA, or with narrow word embeddings, train and reload plainly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.architecture_table import METHODS as SETTINGS
from tests.architecture_table import recipe_of
from tests.tiny_models import WORDS, save_tokenizer
from workbench.errors import UsageError
from workbench.models import has_sdpa, load_config
from workbench.models.attention import class_of, plain_attention, supported_attention
from workbench.recipe.schema import ModelSpec, Recipe
from workbench.recipe.tasks import TextClassification
from workbench.store import Run
from workbench.tasks import make_task

SIZE = {"vocab_size": len(WORDS) + 5, "max_position_embeddings": 64}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
ENCODER = SIZE | SHAPE | {"intermediate_size": 64}
SMALL = {"vocab_size": SIZE["vocab_size"], "bos_token_id": 2, "eos_token_id": 3}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta": ("Deberta", ENCODER),
    "deberta-v2": ("DebertaV2", ENCODER | {"relative_attention": True}),
    "mpnet": ("MPNet", ENCODER),
    "electra": ("Electra", ENCODER | {"embedding_size": 16}),
    "gpt-neo": (
        "GPTNeo",
        SMALL
        | {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 64}
        | {"attention_types": [[["global", "local"], 1]]},
    ),
    "gptj": ("GPTJ", SMALL | {"n_embd": 32, "n_layer": 2, "n_head": 2, "rotary_dim": 8}),
}
DECODERS = {"gpt-neo", "gptj"}
METHODS = {
    "full": "full",
    "lora": {"name": "lora", "target_modules": "all-linear"},
    "prompt": {"name": "prompt", "num_virtual_tokens": 4},
}


def tiny(family: str, folder: Path) -> Path:
    name, values = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**values)
    head = "ForCausalLM" if family in DECODERS else "ForMaskedLM"
    torch.manual_seed(0)
    getattr(transformers, f"{name}{head}")(config).save_pretrained(folder)
    save_tokenizer(folder, pairs_are_marked=False, decoder=family in DECODERS)
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_trains_tests_and_reloads_plainly(
    family: str,
    method: str,
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tmp_path: Path,
) -> None:
    """Two steps; the run fails where a plain load answers otherwise than it does."""
    recipe = make_recipe(
        METHODS[method],
        model={"source": str(tiny(family, tmp_path / "model"))},
        training={"max_steps": 2, "attention": "sdpa"},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    lacks = family != "electra"
    assert run.result["policy"]["attention"] == ("eager" if lacks else "sdpa")
    assert any("no sdpa" in note for note in run.result["policy"]["notes"]) == lacks


def test_attention_is_read_off_the_model_class(tmp_path: Path) -> None:
    with_it = class_of("AutoModelForMaskedLM", transformers.BertConfig())
    without = class_of("AutoModelForMaskedLM", transformers.DebertaV2Config())
    assert (plain_attention(with_it), plain_attention(without)) == ("sdpa", "eager")
    assert supported_attention(with_it, "eager") == supported_attention(without, "sdpa") == "eager"
    assert supported_attention(with_it, "sdpa") == "sdpa"
    spec = ModelSpec(source=str(tiny("mpnet", tmp_path)))
    assert not has_sdpa(spec, "AutoModelForMaskedLM")
    assert has_sdpa(spec, "AutoModelForCausalLM"), "MPNet cannot, which is refused elsewhere"


@pytest.fixture
def mamba(tmp_path: Path) -> Path:
    """A decoder without attention, and with no class for texts."""
    config = transformers.MambaConfig(**SMALL, hidden_size=16, num_hidden_layers=2, state_size=4)
    torch.manual_seed(0)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model", pairs_are_marked=False, decoder=True)
    return tmp_path


def test_a_base_without_a_head_for_the_task_is_refused(mamba: Path) -> None:
    task = make_task(TextClassification(name="text-classification"), ["a", "b"])
    with pytest.raises(UsageError, match="mamba has no head for text-classification") as caught:
        load_config(ModelSpec(source=str(mamba / "model")), task)
    assert caught.value.where == "model.source"


@pytest.mark.integration
def test_a_prompt_needs_no_attention_heads(mamba: Path, train: Callable[..., Run]) -> None:
    run = train(recipe_of("causal-lm", "prompt", mamba, SETTINGS["prompt"]), 0, mamba / "runs")
    assert run.state == "finished", run.reason


def test_layers_that_could_be_named_leave_the_output_layer_out(
    mamba: Path, train: Callable[..., Run]
) -> None:
    run = train(recipe_of("causal-lm", "lora", mamba, {}), 0, mamba / "runs")
    assert run.state == "failed" and "in_proj" in run.reason and "lm_head" not in run.reason
