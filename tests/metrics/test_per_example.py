"""What is kept of each example adds up to the score that the libraries give the whole split."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.small_recipes import small_recipe
from workbench.comparison.items import item_scores
from workbench.comparison.records import read_record
from workbench.comparison.rows import Sample
from workbench.metrics.per_example import example_columns
from workbench.metrics.scores import score
from workbench.recipe.catalogue import (
    MASKED_TOKENS,
    METRICS,
    MULTI,
    REGRESSION,
    SINGLE,
    SPANS,
    TAGS,
    TEXT,
)
from workbench.store import Run

DRAW = random.Random(7)
WORDS = "rome fell to an army of goths and was not built in a day".split()
TAG_NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
COUNT = 60


def draws(make: Callable[[], Any]) -> list[Any]:
    return [make() for _ in range(COUNT)]


def some_words() -> str:
    return " ".join(DRAW.choices(WORDS, k=DRAW.randint(0, 6)))


def tagged() -> list[list[str]]:
    lengths = random.Random(3)
    return [DRAW.choices(TAG_NAMES, k=lengths.randint(1, 9)) for _ in range(COUNT)]


CASES: dict[str, tuple[list[Any], list[Any]]] = {
    SINGLE: (draws(lambda: DRAW.randrange(2)), draws(lambda: DRAW.randrange(2))),
    MULTI: tuple(draws(lambda: tuple(DRAW.choices((0, 1), k=4))) for _ in "ab"),
    REGRESSION: (draws(DRAW.random), draws(DRAW.random)),
    TAGS: (tagged(), tagged()),
    SPANS: (draws(lambda: [some_words() for _ in range(DRAW.randrange(3))]), draws(some_words)),
    TEXT: (draws(some_words), draws(some_words)),
    MASKED_TOKENS: tuple(
        [[DRAW.randrange(3) for _ in range(1 + i % 4)] for i in range(COUNT)] for _ in "ab"
    ),
}
WITHOUT = {"f1_macro", "precision_macro", "recall_macro", "matthews_correlation", "bleu"}
WITHOUT |= {"pearson", "spearman"}


def columns_of(kind: str, names: Sequence[str]) -> dict[str, list[float]]:
    references, answers = CASES[kind]
    task = SimpleNamespace(
        spec=SimpleNamespace(kind=kind, score_names=tuple(names)),
        references=lambda encoded: references,
        table_rows=lambda encoded: np.arange(COUNT),
    )
    return example_columns(task, None, None, answers, COUNT)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CASES)
def test_examples_add_up_to_the_score(kind: str) -> None:
    likely = {"perplexity", "word_perplexity", "bits_per_byte", "masked_perplexity"}
    names = [
        name for name, metric in METRICS.items() if kind in metric.kinds and name not in likely
    ]
    columns = columns_of(kind, names)
    references, answers = CASES[kind]
    expected = score(names, kind, answers, references)
    kept = [name for name in names if f"example_{name}" in columns]
    assert set(names) - set(kept) <= WITHOUT and kept
    for name in kept:
        each = columns[f"example_{name}"]
        weights = columns.get(f"example_{name}_weight", [1.0] * COUNT)
        assert len(each) == len(weights) == COUNT
        assert math.fsum(each) / math.fsum(weights) == pytest.approx(expected[name], abs=1e-12)


def test_a_feature_without_an_example_of_its_own_adds_to_the_one_it_is_of() -> None:
    from workbench.tasks.base import Likelihood

    task = SimpleNamespace(
        spec=SimpleNamespace(kind="tokens", score_names=("perplexity", "word_perplexity")),
        references=lambda encoded: [],
        table_rows=lambda encoded: np.array([0, 0, 2]),
        likelihoods=lambda encoded, predicted: [
            Likelihood(1.0, 2, 1, 5),
            Likelihood(2.0, 3, 2, 5),
            Likelihood(4.0, 1, 1, 5),
        ],
    )
    columns = example_columns(task, None, None, [], 3)  # type: ignore[arg-type]
    assert columns == {
        "example_perplexity": [3.0, 0.0, 4.0],
        "example_perplexity_weight": [5.0, 0.0, 1.0],
        "example_word_perplexity": [3.0, 0.0, 4.0],
        "example_word_perplexity_weight": [3.0, 0.0, 1.0],
    }


@pytest.mark.parametrize("packed", [False, True])
def test_a_language_model_keeps_what_its_perplexity_is_made_of(
    packed: bool, tiny_gpt2: Path, train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = small_recipe("causal-lm", "lora", tiny_gpt2, tmp_path, task={"packing": packed})
    run = train(recipe, 0, tmp_path)
    sample = Sample([run], [read_record(run)])
    for metric, value in run.result["metrics"]["test"].items():
        items = item_scores(sample, metric)
        assert items.scores == pytest.approx([value], rel=1e-9)
        assert items.values.shape[1] > 1 and items.by_item.std() > 0
