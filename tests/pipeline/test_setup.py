"""What the runs of one command share: only what was made for the same recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trained_runs import TrainedRuns
from workbench.comparison import compare
from workbench.costs import warm_up as warming
from workbench.data import load_data
from workbench.pipeline import setup
from workbench.pipeline.runner import run_all
from workbench.pipeline.setup import StudyCache, set_up
from workbench.recipe.schema import Recipe


def test_only_what_was_made_with_the_same_key_is_given_again() -> None:
    cache, made = StudyCache(), iter(range(9))
    keys = ["a", "a", "b", "b", "a"]
    assert [cache.get("kind", key, lambda: next(made)) for key in keys] == [0, 0, 1, 1, 2]
    assert cache.get("other", "a", lambda: next(made)) == 3
    assert cache.get("kind", "a", lambda: next(made)) == 2


@pytest.mark.integration
def test_recipes_of_one_command_are_each_set_up_for_themselves(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    training = {"max_steps": 1}
    recipes = [
        make_recipe("head", training=training),
        make_recipe("lora", training=training, model={"max_length": 4}, data={"test_size": 9}),
    ]
    head, lora = run_all(recipes, [0], tmp_path)
    assert [head.state, lora.state] == ["finished", "finished"], (head.reason, lora.reason)
    assert [run.result["data"]["sizes"]["test"] for run in (head, lora)] == [24, 9]
    cut = [run.result["data"]["truncated"]["test"] for run in (head, lora)]
    assert cut[0] == 0 < cut[1]
    expected = [run.result["forecast"]["adapter_bytes"] for run in (head, lora)]
    assert 0 < expected[0] < expected[1]


@pytest.mark.integration
def test_runs_that_draw_their_rows_train_on_other_ones_and_are_comparable(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    data = {"train_size": 3, "train_draw": "run"}
    recipes = [
        make_recipe(name, training={"max_steps": 1}, data=data, seeds=[0, 1])
        for name in ("head", "lora")
    ]
    runs = run_all(recipes, None, tmp_path)
    assert {run.state for run in runs} == {"finished"}, [run.reason for run in runs]
    splits = [run.result["data"]["split_hash"] for run in runs]
    assert splits[:2] == splits[2:] and splits[0] != splits[1]
    assert [run.result["data"]["sizes"]["train"] for run in runs] == [3] * 4
    assert [row["seeds"] for row in compare([tmp_path]).rows] == [[0, 1], [0, 1]]
    assert {row["group"] for row in compare([tmp_path]).rows} == {1}


@pytest.mark.parametrize(
    "task, method, family",
    [
        ("text-classification", "lora", "bert"),
        ("token-classification", "full", "bert"),
        ("question-answering", "prompt", "bert"),
        ("masked-lm", "lora", "bert"),
        ("causal-lm", "prefix", "llama"),
        ("instruction", "lora", "llama"),
        ("instruction", "prompt", "gpt2"),
    ],
)
def test_all_that_a_run_computes_is_warmed_up(
    task: str,
    method: str,
    family: str,
    trained_runs: TrainedRuns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training, validation and test to the last batch; a warm-up that fails raises nothing."""
    warmed: list[bool] = []
    monkeypatch.setattr(setup, "warm_up", lambda *given: warmed.append(warming.warm_up(*given)))
    recipe = trained_runs.recipe(task, method, family)
    set_up(recipe, 0, load_data(recipe.data, recipe.task), trial=False)
    assert warmed == [True]
