"""The similarity of two texts by the base model, against plain transformers and scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from transformers import AutoModel, AutoTokenizer

from tests.small_recipes import small_recipe
from tests.tiny_models import topic_rows
from workbench.data import load_data
from workbench.metrics.similarity import FITTED, NAME
from workbench.recipe import Recipe
from workbench.store import Run

Make = Callable[..., Recipe]


@pytest.fixture
def pairs(tmp_path: Path, shared: Any) -> Make:
    """A recipe on pairs of texts whose label is how many words they share, or whether any."""
    texts = [row["text"] for row in topic_rows(80)]
    rows = [{"text": a, "two": b} for a, b in zip(texts[:40], texts[40:], strict=True)]
    rows = [row | {"label": float(_shared(row))} for row in rows]

    def build(model: str = "bert", *, classes: bool = False, **task: Any) -> Recipe:
        data = tmp_path / f"pairs-{classes}.jsonl"
        given = [r | {"label": "yes" if r["label"] > 1 else "no"} if classes else r for r in rows]
        data.write_text("".join(json.dumps(row) + "\n" for row in given))
        kind = {} if classes else {"problem_type": "regression"}
        return small_recipe(
            "text-classification",
            "lora",
            shared.model(model, 0.3),
            tmp_path,
            task=kind | task,
            data={"source": str(data), "text_pair": "two"},
            training={"max_steps": 1},
        )

    return build


def _shared(row: dict[str, Any]) -> int:
    return len(set(row["text"].split()) & set(row["two"].split()))


def plain_cosines(recipe: Recipe, texts: Any, others: Any) -> np.ndarray:
    """Mean pooling as sentence-transformers documents it, one text at a time."""
    model = AutoModel.from_pretrained(recipe.model.source).eval()
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.source)

    def mean(text: str) -> torch.Tensor:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
        with torch.inference_mode():
            states: torch.Tensor = model(**inputs).last_hidden_state[0].mean(dim=0)
        return states

    found = [
        float(torch.cosine_similarity(mean(a), mean(b), dim=0))
        for a, b in zip(texts, others, strict=True)
    ]
    return np.array(found)


def test_the_cosine_of_an_encoder_is_correlated_with_the_numbers(
    pairs: Make, train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = pairs(metrics=["pearson", "spearman", "mean_squared_error"])
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    test = load_data(recipe.data, recipe.task).test
    cosines = plain_cosines(recipe, test.texts, test.pairs)
    found = run.result["references"][NAME]
    assert found["pearson"] == pytest.approx(pearsonr(test.labels, cosines).statistic, abs=1e-4)
    assert found["spearman"] == pytest.approx(spearmanr(test.labels, cosines).statistic, abs=1e-4)
    assert found["mean_squared_error"] is None  # a cosine is not on the scale of the numbers
    assert {"mean", "TF-IDF + ridge regression"} <= run.result["references"].keys()


def test_classes_of_pairs_are_told_by_a_regression_on_the_cosine(
    pairs: Make, train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = pairs(classes=True)
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    data = load_data(recipe.data, recipe.task)
    fitted = LogisticRegression(max_iter=1000).fit(
        plain_cosines(recipe, data.train.texts, data.train.pairs)[:, None], data.train.labels
    )
    answers = fitted.predict(plain_cosines(recipe, data.test.texts, data.test.pairs)[:, None])
    expected = accuracy_score(data.test.labels, answers)
    assert run.result["references"][FITTED]["accuracy"] == pytest.approx(expected)


def test_a_decoder_and_single_texts_have_no_similarity(
    pairs: Make, train: Callable[..., Run], tmp_path: Path, tiny_bert: Path
) -> None:
    decoder = train(pairs("gpt2"), 0, tmp_path / "runs")
    assert decoder.state == "finished", decoder.reason
    assert list(decoder.result["references"]) == ["mean", "TF-IDF + ridge regression"]
    single = small_recipe("text-classification", "lora", tiny_bert, tmp_path)
    run = train(single, 0, tmp_path / "runs")
    assert not {NAME, FITTED} & run.result["references"].keys()
