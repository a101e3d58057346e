"""What a base model answers to each test text is kept beside what the run answers."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.trained_runs import TrainedRuns
from workbench.recipe.catalogue import ZERO_SHOT


@pytest.mark.parametrize(
    ("task", "method", "family", "written"),
    [("causal-lm", "lora", "gpt2", False), ("instruction", "lora", "llama", True)],
)
def test_each_text_has_its_part_of_the_zero_shot_score(
    task: str, method: str, family: str, written: bool, trained_runs: TrainedRuns
) -> None:
    run = trained_runs.read(trained_runs.recipe(task, method, family))
    columns = pq.read_table(run.path / "predictions.parquet").to_pydict()
    nats, tokens = (
        np.array(columns[f"{ZERO_SHOT}: example_perplexity{end}"]) for end in ("", "_weight")
    )
    scores = run.result["references"][ZERO_SHOT]
    assert scores["perplexity"] == pytest.approx(math.exp(nats.sum() / tokens.sum()))
    assert tokens.tolist() == columns["example_perplexity_weight"]
    assert nats.tolist() != columns["example_perplexity"]
    assert (f"{ZERO_SHOT}: prediction" in columns) == written


def test_entities_of_the_usual_tags_add_up_to_their_score(trained_runs: TrainedRuns) -> None:
    run = trained_runs.read(trained_runs.recipe("token-classification", "lora"))
    columns = pq.read_table(run.path / "predictions.parquet").to_pydict()
    ((name, scores),) = run.result["references"].items()
    right, words = (sum(columns[f"{name}: example_accuracy{end}"]) for end in ("", "_weight"))
    assert scores["accuracy"] == pytest.approx(right / words)
    pairs = zip(columns["label"], columns[f"{name}: prediction"], strict=True)
    tags = [pair for both in pairs for pair in zip(*map(str.split, both), strict=True)]
    assert scores["accuracy"] == pytest.approx(np.mean([a == b for a, b in tags]))
