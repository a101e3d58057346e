"""Verdicts on a perplexity: of its logarithm, and said as a ratio."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import WriteRun, keep
from scipy.stats import gmean, t

from workbench.comparison import compare


def test_numbers_too_large_for_a_perplexity_are_no_items(run: WriteRun, runs: Path) -> None:
    for name in ("full", "lora"):
        for seed in (0, 1):
            metrics = {"test": {"perplexity": 3.0 + seed}, "validation": {}}
            path = run(name, seed, replace={"metrics": metrics, "selected": None})
            parts = {"example_perplexity": [1e6] * 3, "example_perplexity_weight": [1.0] * 3}
            keep(path, [True] * 3, **parts)
    assert "does not add up" in (compare([runs]).verdicts[0]["note"] or "")


def test_a_perplexity_is_tested_on_its_items(run: WriteRun, runs: Path) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(5, 40, 120).astype(float)
    for name, level in (("full", 3.0), ("lora", 3.4)):
        for seed in range(3):
            nats = tokens * (level + 0.02 * rng.normal() + 0.1 * rng.normal(size=120))
            perplexity = float(np.exp(nats.sum() / tokens.sum()))
            parts = {"example_perplexity": nats, "example_perplexity_weight": tokens}
            metrics = {"test": {"perplexity": perplexity}, "validation": {}}
            path = run(name, seed, selected=None, replace={"metrics": metrics, "selected": None})
            keep(path, [True] * 120, **parts)
    comparison = compare([runs])
    (found,) = comparison.verdicts
    assert found["metric"] == "perplexity" and found["test"] == "seeds-and-items"
    assert found["conclusion"] == "worse"  # lora's is higher
    values = {row["label"]: row["metrics"]["perplexity"]["values"] for row in comparison.rows}
    lora, full = (gmean(values[label]) for label in ("lora", "full"))
    assert found["difference"] == pytest.approx(lora - full)
    assert found["ratio"] == pytest.approx(lora / full)
    assert found["margin"] == pytest.approx(0.05 * full)
    assert (
        found["ratio"] and f"({found['ratio']:.2f} times the perplexity, 95%" in found["sentence"]
    )


def test_a_perplexity_of_one_run_each_is_a_t_test_of_log_likelihoods(
    run: WriteRun, runs: Path
) -> None:
    """Sixteen texts of which nearly all are worse: a difference of perplexities is lost in those
    of the long texts, their ratio is not."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(20, 200, 16).astype(float)
    shared = rng.normal(3.3, 0.5, 16)
    nats = {
        "full": tokens * shared,
        "prompt": tokens * (shared + rng.normal(0.67, 0.4, 16)),
    }
    for name, each in nats.items():
        metrics = {
            "test": {"perplexity": float(np.exp(each.sum() / tokens.sum()))},
            "validation": {},
        }
        path = run(name, replace={"metrics": metrics, "selected": None})
        keep(path, [True] * 16, example_perplexity=each, example_perplexity_weight=tokens)
    (found,) = compare([runs]).verdicts
    difference = nats["prompt"] - nats["full"]
    mean = difference.sum() / tokens.sum()
    # The ratio estimator of survey sampling (Cochran 1977, 6.3).
    residual = difference - mean * tokens
    error = np.sqrt((residual**2).sum() / 15 / 16) / tokens.mean()
    half = t.ppf(0.975, 15) * error
    assert found["p_value"] == pytest.approx(2 * t.sf(mean / error, 15))
    assert (found["p_value"] or 1) < 1e-3
    expected = [math.exp(mean), math.exp(mean - half), math.exp(mean + half)]
    assert [found["ratio"], found["ratio_low"], found["ratio_high"]] == pytest.approx(expected)
    full = math.exp(nats["full"].sum() / tokens.sum())
    assert found["ci_high"] == pytest.approx(full * (expected[2] - 1))
    assert found["conclusion"] == "run_worse"
    said = f"of these two adapters prompt scores worse than full ({expected[0]:.2f} times the "
    assert found["sentence"].startswith(said)
