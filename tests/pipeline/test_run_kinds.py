"""What a run can be made of: kinds of labels, heads, bases, splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.recipe.schema import Recipe
from workbench.store import Run

Make = Callable[..., Recipe]
Train = Callable[..., Run]


@pytest.mark.parametrize("kind", ["regression", "multi-label", "pairs"])
def test_other_kinds_of_labels(kind: str, make_recipe: Make, train: Train, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(120):
        words = "goal match" if number % 2 else "bank profit"
        text = f"{words} {'team ' * (number % 5)}{'market ' * (number % 7)}{'game ' * (number % 3)}"
        text += " film" if number % 3 == 0 else ""
        row: dict[str, Any] = {"text": text, "label": float(number % 2) * 4 + number % 3}
        if kind == "multi-label":
            row |= {"a": number % 2, "b": int(number % 3 == 0)}
        if kind == "pairs":
            row |= {"other": "player song" if number % 3 else "film", "label": number % 2}
        rows.append(row)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task: dict[str, Any] = {}
    data: dict[str, Any] = {"source": str(file), "duplicates": "keep"}
    if kind == "regression":
        task = {"problem_type": "regression", "metrics": ["pearson", "mean_squared_error"]}
    if kind == "multi-label":
        task = {"problem_type": "multi_label_classification"}
        data["label"] = ["a", "b"]
    if kind == "pairs":
        data["text_pair"] = "other"
    training = {"learning_rate": 3e-3, "epochs": 12}
    run = train(make_recipe("full", task=task, data=data, training=training), 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["export"]["checked"]
    test = run.result["metrics"]["test"]
    assert test["pearson" if kind == "regression" else "f1_macro"] > 0.8


def test_a_head_that_peft_does_not_know_is_trained_and_saved(
    tiny_distilbert: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    """DistilBERT's pre_classifier starts at random; peft 0.21 alone would freeze and drop it."""
    method = {"name": "lora", "target_modules": ["q_lin", "v_lin"]}
    recipe = make_recipe(method, model={"source": str(tiny_distilbert)})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert run.result["parameters"]["head"] == (32 * 32 + 32) + (3 * 32 + 3)


def test_gpt2_gets_a_pad_token_and_says_so(
    tiny_gpt2: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, processors
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = tmp_path / "no-pad"
    folder.mkdir()
    for file in tiny_gpt2.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    inner: Tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2).backend_tokenizer
    inner.post_processor = processors.Sequence([])  # GPT-2's own adds nothing to a text either
    bare = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="[SEP]", unk_token="[UNK]")
    bare.save_pretrained(folder)
    recipe = make_recipe({"name": "prompt", "num_virtual_tokens": 4}, model={"source": str(folder)})
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert any("no padding token" in warning for warning in run.result["warnings"])
    assert json.loads((run.adapter / "config.json").read_text())["pad_token_id"] == 3


def test_a_half_precision_base_exports_what_was_measured(
    tiny_bert: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoTokenizer, BertModel

    folder = tmp_path / "half"
    BertModel.from_pretrained(tiny_bert).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    for method in ("full", "lora"):
        recipe = make_recipe(method, model={"source": str(folder)}, training={"max_steps": 4})
        run = train(recipe, 0, tmp_path / "runs")
        assert run.state == "finished", run.reason
        assert run.result["export"]["max_logit_difference"] < 1e-4


def test_no_validation_split_and_a_metric_that_does_not_fit(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    training = {"keep": "last", "max_steps": 2}
    recipe = make_recipe("head", data={"validation_size": None}, training=training)
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert run.result["metrics"]["validation"] == {}
    wrong = train(make_recipe("head", task={"metrics": ["f1"]}), 0, tmp_path)
    assert wrong.state == "failed" and "f1_macro for more" in wrong.reason
    assert not any(e["kind"] == "step" for e in wrong.events()[0])


def test_tensors_without_gradient_are_named(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training.guards import MovementGuard

    assert train(make_recipe("lora"), 0, tmp_path / "a").result["warnings"] == []
    original = MovementGuard.see_gradients

    def cut_one_off(self: MovementGuard) -> None:
        name, parameter = next(iter(self._groups["method"].items()))
        parameter.grad = None
        original(self)

    monkeypatch.setattr(MovementGuard, "see_gradients", cut_one_off)
    (warning,) = train(make_recipe("lora"), 0, tmp_path / "b").result["warnings"]
    assert warning.startswith("1 of 10 trained tensors got no gradient: ")
