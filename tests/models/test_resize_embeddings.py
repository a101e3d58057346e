"""Tokens that were added to the tokenizer get word embeddings of their own, or are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from transformers import AutoTokenizer

from tests.tiny_models import WORDS, topic_rows
from workbench.adapters.export import export_run
from workbench.adapters.loaded import load_adapter
from workbench.errors import MethodError
from workbench.pipeline.inspect_data import inspect_data
from workbench.recipe.schema import Recipe
from workbench.store import Run

Make, Train = Callable[..., Recipe], Callable[..., Run]
ROWS = len(WORDS) + 5
TEXT = "<usr> team match <bot> the film"


def grown(base: Path, folder: Path) -> Path:
    """A model whose tokenizer was given two more tokens."""
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<usr>", "<bot>"])
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{**row, "text": f"<usr> {row['text']} <bot>"} for row in topic_rows(64)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "rows.jsonl"


def test_a_token_without_a_row_is_refused_with_both_sizes(
    tiny_bert: Path, data: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe(
        "lora",
        model={"source": str(grown(tiny_bert, tmp_path / "model"))},
        data={"source": str(data)},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "failed" and run.status["failure"] == "bad data"
    assert (
        f"{ROWS + 2} tokens" in run.reason
        and f"{ROWS} rows" in run.reason
        and "'<usr>'" in run.reason
    )
    assert "model.resize_embeddings: true" in run.reason
    with pytest.raises(Exception, match=f"{ROWS} rows"):
        inspect_data(recipe)


def test_a_token_that_no_text_has_does_no_harm(
    tiny_bert: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    model = {"source": str(grown(tiny_bert, tmp_path / "model"))}
    run = train(make_recipe("head", model=model, training={"max_steps": 1}), 0, tmp_path / "runs")
    assert run.state == "finished", run.reason


@pytest.mark.parametrize(
    "task, family, method",
    [
        ("text-classification", "bert", "lora"),
        ("text-classification", "bert", "full"),
        ("causal-lm", "gpt2", "lora"),  # its output layer is the word embedding
        ("causal-lm", "llama", "lora"),  # whose is not
        ("causal-lm", "llama", "full"),
    ],
)
def test_new_rows_are_trained_and_reload_plainly(
    task: str, family: str, method: str, data: Path, make_recipe: Make, train: Train,
    tmp_path: Path, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    base = grown(request.getfixturevalue(f"tiny_{family}"), tmp_path / "model")
    sections: dict[str, Any] = {"task": {"name": task}, "data": {"source": str(data)}}
    recipe = make_recipe(
        method,
        model={"source": str(base), "resize_embeddings": True},
        training={"max_steps": 4, "learning_rate": 0.01},
        **sections,
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert any("2 tokens were added to the tokenizer" in w for w in run.result["warnings"])
    if method == "lora":
        layers = 2 if (family, task) == ("llama", "causal-lm") else 1
        config = json.loads((run.adapter / "adapter_config.json").read_text())
        rows = config["trainable_token_indices"]
        assert len(rows) == layers and set(map(tuple, rows.values())) == {(ROWS, ROWS + 1)}
    auto = getattr(
        transformers,
        "AutoModelForCausalLM" if task == "causal-lm" else "AutoModelForSequenceClassification",
    )
    tokenizer = AutoTokenizer.from_pretrained(run.adapter)
    if method == "full":
        plain = auto.from_pretrained(run.adapter)
    else:
        config = transformers.AutoConfig.from_pretrained(run.adapter)
        plain = auto.from_pretrained(base, config=config)
        plain.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        plain = PeftModel.from_pretrained(plain, run.adapter)
    assert plain.get_input_embeddings().weight.shape[0] == ROWS + 2
    loaded = load_adapter(run.path)
    inputs = tokenizer(TEXT, return_tensors="pt")
    assert ROWS in inputs["input_ids"] and ROWS + 1 in inputs["input_ids"]
    with torch.no_grad():
        expected = plain.eval()(**inputs).logits
        torch.testing.assert_close(loaded.model(**inputs).logits, expected, atol=1e-5, rtol=1e-5)
    usr, bot = plain.get_input_embeddings()(torch.tensor([ROWS, ROWS + 1]))
    assert (usr - bot).abs().max() > 1e-3, "both started as the mean of the others"
    assert f"resize_token_embeddings({ROWS + 2}" in (run.adapter / "README.md").read_text() or (
        method == "full"
    )


def test_a_merged_export_has_the_new_rows(
    tiny_bert: Path, data: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipe = make_recipe(
        "lora",
        model={
            "source": str(grown(tiny_bert, tmp_path / "model")),
            "resize_embeddings": True,
        },
        data={"source": str(data)},
        training={"max_steps": 2},
    )
    run = train(recipe, 0, tmp_path / "runs")
    merged = export_run(run, tmp_path / "merged", merge=True)
    assert transformers.AutoConfig.from_pretrained(merged).vocab_size == ROWS + 2


@pytest.mark.parametrize("method", ["head", "prompt"])
def test_methods_that_do_not_train_them_are_refused(
    method: str, tiny_bert: Path, data: Path, make_recipe: Make, tmp_path: Path
) -> None:
    from tests.methods.test_contract import adapt

    model = {"source": str(grown(tiny_bert, tmp_path / "model")), "resize_embeddings": True}
    with pytest.raises(MethodError) as caught:
        adapt(make_recipe(method, model=model, data={"source": str(data)}))
    assert caught.value.where == "model.resize_embeddings"
    assert "full or lora" in caught.value.fix


def test_the_key_counts_in_a_fingerprint_only_where_it_is_set(make_recipe: Make) -> None:
    plain, off = make_recipe("lora"), make_recipe("lora", model={"resize_embeddings": False})
    on = make_recipe("lora", model={"resize_embeddings": True})
    assert plain.fingerprint == off.fingerprint != on.fingerprint
