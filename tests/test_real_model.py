"""The embedded models on the embedded articles: counts, accuracy, and the plain-load check."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import compare, load_adapter
from workbench.adapters.export import export_run
from workbench.costs.plan import plan
from workbench.recipe import load_recipe, recipes_dir
from workbench.store import Run

pytestmark = pytest.mark.assets

# What PEFT counts, without the task head of 5 x 384 + 5.
TRAINED = {"lora": 73_728, "prefix": 92_160, "prompt": 7_680, "head": 0}
FEW = ["data.validation_size=40", "data.test_size=80"]


@pytest.mark.parametrize("method", TRAINED)
def test_counts(method: str) -> None:
    counts = plan(load_recipe(recipes_dir() / f"bbc-news/{method}.yaml"), time=False)
    assert counts["adapter_parameters"] == TRAINED[method]
    assert counts["head_parameters"] == 1_925


@pytest.mark.parametrize("method", [pytest.param("lora", marks=pytest.mark.smoke), "prompt"])
def test_a_small_run_learns_the_topics(
    method: str, train: Callable[..., Run], tmp_path: Path
) -> None:
    """Far above chance (0.2) after 32 steps; a prompt that starts as noise is not there yet."""
    recipe = load_recipe(recipes_dir() / f"quickstart/{method}.yaml", FEW)
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["metrics"]["test"]["accuracy"] > 0.8
    assert run.result["data"]["duplicates_removed"] >= 98
    assert run.result["export"]["max_logit_difference"] < 1e-4
    (row,) = compare([tmp_path / "runs"]).rows
    assert row["adapter_parameters"] == TRAINED[method]
    exported = export_run(run, tmp_path / "exported")
    (answer,) = load_adapter(exported).predict(["The striker scored as United won the cup final."])
    assert answer["prediction"] == "sports"


def test_a_small_gpt_learns_to_write_headlines(train: Callable[..., Run], tmp_path: Path) -> None:
    """Four steps: more probable headlines than the base model (zero-shot) finds them."""
    overrides = ["data.train_size=32", "data.test_size=4", "task.decoding.max_new_tokens=4"]
    recipe = load_recipe(recipes_dir() / "quickstart-gpt/lora.yaml", overrides)
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    untouched = run.result["references"]["base model (zero-shot)"]
    assert run.result["metrics"]["test"]["perplexity"] < 0.8 * untouched["perplexity"]
    assert run.result["export"]["max_logit_difference"] < 1e-3
    (answer,) = load_adapter(run.path).predict(["The bank cut its interest rate again today."])
    assert answer["prediction"]


@pytest.mark.slow
def test_four_bits_halve_the_weights_load_exactly_and_their_cost_is_told(
    train: Callable[..., Run], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    few = ["data.train_size=32", "data.test_size=8", "data.validation_size=4"]
    few += ["task.decoding.max_new_tokens=1", "task.metrics=[perplexity]"]
    few += ["model.max_length=96", "evaluation.retention=false"]
    weights, perplexity = [], []
    for name in ("lora-nf4", "lora-bf16"):
        recipe = load_recipe(recipes_dir() / f"bbc-headlines-nf4/{name}.yaml", few)
        run = train(recipe, 0, tmp_path)
        assert run.state == "finished", run.reason
        assert run.result["export"]["max_logit_difference"] == 0.0
        weights.append(run.result["memory"]["breakdown"]["weights_bytes"])
        planned = plan(recipe, time=False)["memory"]["weights_bytes"]
        assert weights[-1] == pytest.approx(planned, rel=0.05)
        perplexity.append(run.result["metrics"]["test"]["perplexity"])
    assert weights[0] <= 0.6 * weights[1]
    (note,) = (n for n in compare([tmp_path]).verdict_notes if "its base in nf4" in n)
    (said,) = re.findall(r"([\d.]+) times the perplexity", note)  # more digits close to 1
    assert said == f"{perplexity[0] / perplexity[1]:.{len(said) - 2}f}"
