"""Retention of rows: means and intervals over seeds and passages, by formulas of the test's own."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated_runs import fabricate

from workbench.comparison import compare
from workbench.comparison.statistics import t_quantile

BASE = [[float(100 + p), 30.0 + p % 3] for p in range(12)]


def ratio(seed: int, shift: float) -> dict[str, Any]:
    """A record in which each passage is ``shift`` nats a token less likely, or a little less."""
    rng = np.random.default_rng(seed)
    own = [[b + n * (shift + rng.normal(0, 0.05)), n] for b, n in BASE]
    totals = [math.fsum(column) for column in zip(*own, strict=True)]
    base = math.exp(math.fsum(b for b, _ in BASE) / totals[1])
    adapted = math.exp(totals[0] / totals[1])
    return {
        "measure": "perplexity",
        "text": "a",
        "tokens": 40,
        "value": base / adapted,
        "perplexity": adapted,
        "base_perplexity": base,
        "passages": own,
        "base_passages": BASE,
    }


def only(runs: Path, **options: Any) -> Any:
    (row,) = compare([runs], tests=False, **options).rows
    return row


def test_one_run_has_an_interval_over_the_passages(tmp_path: Path) -> None:
    kept = ratio(0, 0.1)
    fabricate(tmp_path, retention=kept)
    found = only(tmp_path)["retention"]
    tokens = np.array([n for _, n in BASE])
    gains = np.array([b[0] - a[0] for b, a in zip(BASE, kept["passages"], strict=True)])
    mean = gains.sum() / tokens.sum()
    # The variance of a ratio of sums (Cochran 1977, 6.4).
    error = math.sqrt((((gains - mean * tokens) ** 2).sum() / 11) / 12) / tokens.mean()
    half = t_quantile(0.975, 11) * error
    assert found["mean"] == pytest.approx(kept["value"])
    assert found["mean"] == pytest.approx(math.exp(mean))
    assert found["ci_low"] == pytest.approx(math.exp(mean - half), rel=1e-6)
    assert found["ci_high"] == pytest.approx(math.exp(mean + half), rel=1e-6)
    assert found["perplexity"] == pytest.approx(kept["perplexity"])
    assert found["base_perplexity"] == kept["base_perplexity"]


def test_seeds_that_differ_more_than_passages_widen_it(tmp_path: Path) -> None:
    for seed, shift in enumerate((0.1, 0.3, 0.5)):
        fabricate(tmp_path, seed=seed, retention=ratio(seed, shift))
    found = only(tmp_path)["retention"]
    logs = np.log(found["values"])
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(math.exp(logs.mean()))
    half = t_quantile(0.975, 2) * logs.std(ddof=1) / math.sqrt(3)
    assert math.log(found["ci_high"] / found["ci_low"]) / 2 == pytest.approx(half, rel=0.1)


def test_cka_has_the_interval_of_the_jackknife_and_ends_at_1(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    without = (0.99 + rng.normal(0, 0.004, 20)).tolist()
    kept = {"measure": "linear CKA", "text": "a", "tokens": 40, "value": 0.99}
    fabricate(tmp_path, retention=kept | {"without_passage": without})
    found = only(tmp_path)["retention"]
    spread = np.array(without) - np.mean(without)
    half = t_quantile(0.975, 19) * math.sqrt(19 / 20 * (spread**2).sum())
    assert found["mean"] == 0.99
    assert found["ci_low"] == pytest.approx(0.99 - half)
    assert found["ci_high"] == 1.0
    assert found["perplexity"] is None


def test_a_head_alone_is_1_without_an_interval(tmp_path: Path) -> None:
    kept = ratio(0, 0.1) | {"passages": BASE, "value": 1.0}
    fabricate(tmp_path, "head", retention=kept)
    found = only(tmp_path)["retention"]
    assert (found["mean"], found["ci_low"], found["ci_high"]) == (1.0, None, None)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {"measure": None, "why": "no memory"},
        {"measure": "perplexity", "value": "high"},
        {"measure": "perplexity", "value": 0.9, "passages": [[1.0]]},
        {"measure": "perplexity", "value": 0.9, "base_passages": [[1e300, 1.0]]},
        "lost",
    ],
)
def test_older_unmeasured_and_damaged_records_are_still_compared(kept: Any, tmp_path: Path) -> None:
    fabricate(tmp_path, **({} if kept is None else {"replace": {"retention": kept}}))
    comparison = compare([tmp_path], tests=False)
    (row,) = comparison.rows
    assert row["metrics"]["accuracy"]["mean"] == 0.95
    assert row["retention"] is None
    assert "retention" not in comparison.to("markdown")


def test_runs_on_another_text_have_no_common_retention(tmp_path: Path) -> None:
    fabricate(tmp_path, seed=0, retention=ratio(0, 0.1))
    fabricate(tmp_path, seed=1, retention=ratio(1, 0.1) | {"text": "b"})
    assert only(tmp_path)["retention"] is None


def test_table_and_csv_have_it(tmp_path: Path) -> None:
    fabricate(tmp_path, "lora", retention=ratio(0, 0.1))
    fabricate(tmp_path, "full")
    comparison = compare([tmp_path], tests=False)
    text = comparison.to("markdown")
    assert "| retention |" in text
    assert "perplexity of the base divided by that of the adapted model" in text
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(comparison.to("csv")))}
    kept = ratio(0, 0.1)
    assert float(lines["lora"]["retention_mean"]) == pytest.approx(kept["value"])
    assert lines["lora"]["retention_measure"] == "perplexity"
    assert float(lines["lora"]["retention_base_perplexity"]) == kept["base_perplexity"]
    assert lines["full"]["retention_mean"] == ""


def test_it_is_an_objective_of_the_pareto_front(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        for recipe, score, shift in (("lora", 0.95, 0.1), ("full", 0.9, 0.4), ("head", 0.7, 0)):
            noise = float(rng.normal(0, 0.002))
            kept = ratio(seed, shift + noise)
            fabricate(tmp_path, recipe, seed, score + noise, retention=kept)
    fabricate(tmp_path, "prompt", 0, 0.99)
    found = compare([tmp_path], objectives=["metric", "retention"]).pareto
    assert {each["label"]: each["status"] for each in found} == {
        "lora": "front",
        "full": "dominated",
        "head": "front",
        "prompt": None,
    }
    full = next(each for each in found if each["label"] == "full")
    assert full["dominated_by"] == ["lora"]
    assert full["values"]["retention"] == pytest.approx(math.exp(-0.4), abs=0.05)
