"""The two intervals of a score: over seeds, and over seeds and texts."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import compare
from workbench.recipe.catalogue import METRICS


def test_a_score_has_an_interval_over_seeds_and_one_over_seeds_and_texts(
    run: WriteRun, runs: Path
) -> None:
    rng, items = np.random.default_rng(3), 2_000
    hard = rng.random(items)
    for seed in range(5):
        right = (hard < 0.9) ^ (rng.random(items) < 0.01)
        keep(run("lora", seed, float(right.mean())), right.tolist())
        run("prompt", seed, 0.9 + seed / 1000)
    comparison = compare([runs])
    rows = {row["label"]: row["metrics"]["accuracy"] for row in comparison.rows}
    both = rows["lora"]["population_ci_low"], rows["lora"]["population_ci_high"]
    assert both[0] and both[1] and rows["lora"]["ci_low"] and rows["lora"]["ci_high"]
    # Of 2,000 texts most of the doubt is which they are: a binomial's for the mean of all seeds.
    error = math.sqrt(rows["lora"]["mean"] * (1 - rows["lora"]["mean"]) / items)
    assert both[1] - both[0] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert both[1] - both[0] > 2 * (rows["lora"]["ci_high"] - rows["lora"]["ci_low"])
    assert rows["prompt"]["population_ci_low"] is None and rows["prompt"]["ci_low"]
    text = comparison.to("table", width=200)
    assert f"{rows['lora']['mean']:.3f} [{both[0]:.3f}, {both[1]:.3f}] (5)" in text
    (line,) = [x for x in csv.DictReader(io.StringIO(comparison.to("csv"))) if x["name"] == "lora"]
    assert float(line["accuracy_population_ci_low"]) == both[0]


def test_the_note_says_what_each_interval_is_over(run: WriteRun, runs: Path) -> None:
    for seed in range(3):
        right = [True] * (80 + seed) + [False] * (20 - seed)
        metrics = {"test": {"accuracy": 0.8 + seed / 100, "bleu": 30.0 + seed}, "validation": {}}
        keep(run("lora", seed, replace={"metrics": metrics}), right)
    notes = compare([runs]).to("table", width=300)
    said = (
        "score [95% interval over seeds and texts] (number of seeds); of bleu over seeds (this test"
    )
    assert said in notes


@pytest.mark.parametrize(
    ("metric", "scores"),
    [("accuracy", (0.509, 0.4, 0.7)), ("accuracy", (0.99, 0.999)), ("pearson", (0.9, 0.99, 0.5))]
    + [("pearson", (0.9, 0.99)), ("perplexity", (3.0, 9.0, 20.0)), ("bleu", (1.0, 8.0, 2.0))],
)
def test_no_interval_leaves_the_scale_of_its_metric(
    metric: str, scores: tuple[float, ...], run: WriteRun, runs: Path
) -> None:
    for seed, score in enumerate(scores):
        run("lora", seed, replace={"metrics": {"test": {metric: score}}, "references": {}})
    (row,) = compare([runs]).rows
    found, (lowest, highest) = row["metrics"][metric], METRICS[metric].bounds
    if metric == "pearson" and len(scores) == 2:
        assert found["ci_low"] is None
    else:
        assert found["ci_low"] is not None and found["ci_high"] is not None
        assert lowest <= found["ci_low"] < found["ci_high"] <= highest


def test_the_items_of_a_metric_that_was_renamed_are_read(run: WriteRun, runs: Path) -> None:
    rng = np.random.default_rng(4)
    for seed in range(3):
        nats, tokens = rng.uniform(5, 20, 50), np.full(50, 5.0)
        score = math.exp(nats.sum() / tokens.sum())
        metrics = {"test": {"pseudo_perplexity": score}, "validation": {}}
        parts = {"example_pseudo_perplexity": nats, "example_pseudo_perplexity_weight": tokens}
        keep(run("lora", seed, replace={"metrics": metrics}), [True] * 50, **parts)
    found = compare([runs]).rows[0]["metrics"]["masked_perplexity"]
    assert found["population_ci_low"] is not None and found["n"] == 3
