"""A run whose evaluation batches come from free memory, as on a GPU, scores what it scores without.

Free memory is made up, and a forward pass of too many rows fails as on a card. The usual batch is
of 4 examples instead of 32, as the splits are small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.shared_runs import forked
from tests.small_recipes import small_recipe
from workbench.costs.forecast import forecast
from workbench.distributed.policy import Policy
from workbench.inference import batch_size
from workbench.models import policy_for
from workbench.pipeline import setup
from workbench.recipe import schema
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.tasks.text_classification import TextClassificationTask

Make = Callable[..., Recipe]
Train = Callable[..., Run]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "USUAL_EVAL_BATCH", 4)


@pytest.fixture
def asks_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plenty of it."""

    def chosen(*asked: Any, **options: Any) -> Policy:
        return replace(policy_for(*asked, **options), asks_free_memory=True)

    monkeypatch.setattr(setup, "policy_for", chosen)
    monkeypatch.setattr(setup, "forecast", forecast)
    monkeypatch.setattr(batch_size, "free_memory", lambda _device: 10**10)


def answers(run: Run) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(run.path / "predictions.parquet").to_pydict()
    return found


def scored_alike(run: Run, plain: Run) -> None:
    assert [run.state, plain.state] == ["finished", "finished"], run.reason
    for split, scores in plain.result["metrics"].items():
        assert run.result["metrics"][split] == pytest.approx(scores, rel=1e-6), split
    ours, theirs = answers(run), answers(plain)
    for name in ("id", "label", "prediction"):
        assert ours[name] == theirs[name]
    assert ours["score"] == pytest.approx(theirs["score"], rel=1e-6)
    for name in ("fingerprint", "comparability"):
        assert run.result[name] == plain.result[name]


def test_a_run_in_batches_of_free_memory_scores_as_one_in_small_ones(
    make_recipe: Make, train: Train, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plain = train(make_recipe("lora"), 0, tmp_path / "plain")
    request.getfixturevalue("asks_memory")
    run = train(make_recipe("lora"), 0, tmp_path / "filled")
    scored_alike(run, plain)
    assert run.result["memory"]["eval_batch_size"] == 24
    assert "eval_batch_size" not in plain.result["memory"]
    assert run.result["policy"].pop("asks_free_memory") is True
    assert run.result["policy"] == plain.result["policy"]
    assert run.result["forecast"]["evaluation"]["row_bytes"] > 0
    assert run.result["warnings"] == plain.result["warnings"]


def test_a_run_whose_evaluation_does_not_fit_repeats_it_in_halves_and_says_so_once(
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = train(make_recipe("lora"), 0, tmp_path / "plain")
    request.getfixturevalue("asks_memory")
    outputs = TextClassificationTask.outputs

    def short_of_memory(self: Any, model: Any, batch: Any, virtual_tokens: int) -> Any:
        found = outputs(self, model, batch, virtual_tokens)
        if len(found) > 10 and not torch.is_grad_enabled() and found.numel():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return found

    monkeypatch.setattr(TextClassificationTask, "outputs", short_of_memory)
    run = train(make_recipe("lora"), 0, tmp_path / "short")
    scored_alike(run, plain)
    told = [row["message"] for row in run.events()[0] if row["kind"] == "warning"]
    assert told == ["memory ran out in an evaluation: its batches are halved until they fit"]
    assert set(told) <= set(run.result["warnings"])


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_written_answers_are_those_of_small_batches(
    method: str, tiny_llama: Path, train: Train, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe = small_recipe("instruction", method, tiny_llama, tmp_path)
    plain = train(recipe, 0, tmp_path / "plain")
    request.getfixturevalue("asks_memory")
    run = train(recipe, 0, tmp_path / "filled")
    scored_alike(run, plain)
    assert run.result["memory"]["eval_batch_size"] == 8


@pytest.mark.slow
def test_two_processes_agree_on_their_batches(
    make_recipe: Make, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The forecast is made by the first one alone."""
    plain = forked(make_recipe("lora"), tmp_path / "plain", {})
    request.getfixturevalue("asks_memory")
    forecasts = partial(setattr, setup, "forecast", forecast)
    run = forked(make_recipe("lora"), tmp_path / "filled", {}, prepare=forecasts)
    scored_alike(run, plain)
    assert run.result["memory"]["eval_batch_size"] == 12
    assert run.result["forecast"]["peak_memory_bytes"] > 0


def test_a_recipe_that_leaves_it_to_the_device_is_the_one_that_says_32(
    make_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that runs of earlier versions, whose default was 32, are found again and compared."""
    monkeypatch.undo()
    left, said = make_recipe("lora"), make_recipe("lora", training={"eval_batch_size": 32})
    assert left.fingerprint == said.fingerprint
    assert left.numerics() == said.numerics()
    assert left.fingerprint != make_recipe("lora", training={"eval_batch_size": 8}).fingerprint
    assert left.numerics()["training"]["eval_batch_size"] == 32
