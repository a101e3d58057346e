"""What the recipe's keys for the weights of a base go with, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small_recipes import small_recipe
from workbench.errors import RecipeError
from workbench.recipe import load_recipe, recipes_dir
from workbench.recipe.renamed import ADDED
from workbench.recipe.rules import check_rules


def told(tmp_path: Path, method: dict[str, Any], **model: Any) -> list[str]:
    recipe = small_recipe("causal-lm", method, tmp_path, tmp_path, model=model)
    return [f"{'.'.join(map(str, found.path))}: {found.what}" for found in check_rules(recipe)]


@pytest.mark.parametrize(
    "method, words",
    [
        ({"name": "full"}, "nf4 weights are frozen, and full trains all of the base's own weights"),
        ({"name": "bitfit"}, "nf4 weights are frozen, and bitfit trains the base's own biases"),
        ({"name": "lora", "bias": "all"}, "lora trains the base's own biases (method.bias)"),
        ({"name": "lora", "init": "pissa"}, "pissa takes its start out of the base's weights"),
    ],
)
def test_a_method_that_changes_the_base_is_refused(
    method: dict[str, Any], words: str, tmp_path: Path
) -> None:
    assert words in "\n".join(told(tmp_path, method, quantization="nf4"))
    assert not told(tmp_path, method)


def test_weights_in_bf16_can_be_trained(tmp_path: Path) -> None:
    assert not told(tmp_path, {"name": "full"}, dtype="bf16")
    assert told(tmp_path, {"name": "lora", "init": "olora"}, dtype="bf16")


@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_keys_of_nf4_are_refused_without_it(quantization: str, tmp_path: Path) -> None:
    for key, value in (("double_quantization", True), ("compute_dtype", "bf16")):
        found = told(tmp_path, {"name": "lora"}, quantization=quantization, **{key: value})
        assert found == [f"model.{key}: only used with quantization: nf4; it is {quantization}"]
        assert not told(tmp_path, {"name": "lora"}, quantization="nf4", **{key: value})


def test_layers_that_stay_whole_need_others_that_are_quantised(tmp_path: Path) -> None:
    skip = {"quantization_skip": ["v_proj"]}
    (found,) = told(tmp_path, {"name": "lora"}, **skip)
    assert found == "model.quantization_skip: only used with quantization: nf4 or int8; it is none"
    for quantization in ("nf4", "int8"):
        assert not told(tmp_path, {"name": "lora"}, quantization=quantization, **skip)
    with pytest.raises(RecipeError, match=r"must be a module's name, of letters, digits, '_' and"):
        load_recipe(
            recipes_dir() / "bbc-headlines-nf4/lora-nf4.yaml", ["model.quantization_skip=['(a+)+']"]
        )
    twice = {"quantization": "nf4", "quantization_skip": ["v_proj", "v_proj"]}
    assert "listed more than once: v_proj" in told(tmp_path, {"name": "lora"}, **twice)[0]


def test_a_recipe_without_these_keys_has_the_fingerprint_that_it_had(tmp_path: Path) -> None:
    recipe = small_recipe("causal-lm", "lora", tmp_path, tmp_path)
    keys = {key for key in ADDED if key.startswith("model.")}
    assert {f"model.{key}" for key in recipe.model.model_dump()} - keys == {
        "model.source",
        "model.revision",
        "model.max_length",
    }
    spelled = recipe.model.model_copy(update={"quantization": "nf4"})
    assert recipe.model_copy(update={"model": spelled}).fingerprint != recipe.fingerprint
