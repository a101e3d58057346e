"""Searches that give trials up: equal steps, whole trials for the rest, exact after kills."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.killing import in_child
from workbench.errors import UsageError
from workbench.pipeline.runner import run_recipe
from workbench.recipe.schema import Recipe
from workbench.store import read_run
from workbench.tuning.halving import Look, places, ranked
from workbench.tuning.load_search import list_searches, options_of
from workbench.tuning.search import Outcome, tune
from workbench.tuning.space import LEARNING_RATE, with_values

Make = Callable[..., Recipe]
STEPS = 14
SPENT = 8 * 2 + 4 * 2 + 2 * 10
"""Of eight trials: to step 2 and 4, from which each time half go on, and to 14."""


@pytest.fixture
def recipes(make_recipe: Make) -> list[Recipe]:
    """Two methods that take 14 steps each."""
    training = {"epochs": 2, "learning_rate": 1e-2}
    return [make_recipe(method, training=training) for method in ("lora", "bitfit")]


def found(outcome: Outcome) -> list[list[tuple[Any, ...]]]:
    return [
        [(t.number, t.values, t.score, t.loss, t.steps, t.pruned_at, t.reason) for t in each.trials]
        for each in outcome.tunings
    ]


def test_the_better_half_goes_on() -> None:
    def look(number: int, score: float | None, loss: float | None = 1.0) -> Look:
        return Look(number=number, step=2, score=score, loss=loss)

    looks = [look(0, 0.5), look(1, None), look(2, 0.7), look(3, 0.5, 0.9), look(4, math.nan)]
    assert [each.number for each in ranked(looks, higher=True)] == [2, 3, 0, 1, 4]
    assert [each.number for each in ranked(looks, higher=False)] == [3, 0, 2, 1, 4]
    assert [places(16, rung) for rung in range(2)] == [8, 4]
    assert [places(5, rung) for rung in range(2)] == [3, 2]
    assert [places(1, rung) for rung in range(2)] == [1, 1]


def test_every_recipe_takes_the_same_steps_and_few_of_all(
    recipes: list[Recipe], tmp_path: Path
) -> None:
    outcome = tune(recipes, 8, runs_dir=tmp_path, prune=True)
    assert outcome.complete
    for tuning in outcome.tunings:
        assert [sum(t.steps for t in tuning.trials), len(tuning.trials)] == [SPENT, 8]
        assert SPENT <= 0.4 * 8 * STEPS
        by_end = {step: [t for t in tuning.trials if t.steps == step] for step in (2, 4, 14)}
        assert [len(each) for each in by_end.values()] == [4, 2, 2]
        assert [tuning.pruned, tuning.failed] == [6, 0]
        assert tuning.trials[0].values == {LEARNING_RATE: 1e-2}, "the recipe's own comes first"
        for trial in tuning.trials:
            gone = trial.steps < STEPS
            assert (trial.score is None) is gone and (trial.pruned_at == trial.steps) is gone
        last = tuning.best
        assert last is not None and last in by_end[14]
        # Each rung against the rows that the trials logged there.
        order = sorted(tuning.trials, key=lambda t: _at(tuning.folder, t.number, 2))
        assert {t.number for t in by_end[2]} == {t.number for t in order[4:]}
        why = {t.reason for t in by_end[2]}
        assert {each.partition(":")[0] for each in why} == {"pruned at step 2"}
        assert any("is place 5 of 8, 4 go on" in each for each in why)
        written = json.loads((tuning.folder / "tuning.json").read_text())
        assert written["pruned"] == 6 and written["prune"] is True
        journal = (tuning.folder / "optuna.jsonl").read_text()
        assert journal.count("pruned at step") == 6
        spec = tuning.spec()
        assert spec is not None and (spec.trials, spec.pruned, spec.steps) == (8, 6, SPENT)
        assert not list(tuning.folder.glob("*/checkpoints"))
        # The trial that came to the end is the one that nothing had paused.
        recipe = with_values(tuning.recipe, last.values)
        whole = run_recipe(recipe, tuning.seed, tmp_path / "whole", trial=True)
        assert whole.result["metrics"]["validation"]["accuracy"] == last.score
        paused = read_run(tuning.folder / f"trial-{last.number:03d}")
        losses = [
            [r["loss"] for r in x.events()[0] if r["kind"] == "step"] for x in (whole, paused)
        ]
        assert losses[0] == losses[1] and paused.result["selected"] == whole.result["selected"]
    (search, *_) = list_searches(tmp_path)
    assert "--prune" in options_of([search])


def _at(folder: Path, number: int, step: int) -> tuple[float, float, int]:
    rows = read_run(folder / f"trial-{number:03d}").events()[0]
    (row,) = [r for r in rows if r["kind"] == "paused" and r["step"] == step]
    return -row["metrics"]["accuracy"], row["loss"], number


def test_a_killed_search_ends_as_one_that_was_not(recipes: list[Recipe], tmp_path: Path) -> None:
    """Killed in the first rung, in a later one, and while trials are given up."""
    few = recipes[:1]
    whole = tune(few, 4, runs_dir=tmp_path / "whole", prune=True)
    runs = tmp_path / "killed"

    def die_at(kind: str, count: int) -> Callable[[str, dict[str, Any]], None]:
        left = [count]

        def observe(told: str, _fields: dict[str, Any]) -> None:
            left[0] -= told == kind
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        return observe

    def killed(kind: str, count: int) -> bool:
        watch = die_at(kind, count)
        end = in_child(lambda: tune(few, 4, runs_dir=runs, prune=True, observer=watch))
        return end == signal.SIGKILL

    assert killed("progress", 3) and killed("paused", 2), "in a step, and before it is recorded"
    assert killed("pruned", 1) and killed("progress", 4)
    resumed = tune(few, 4, runs_dir=runs, prune=True)
    assert found(resumed) == found(whole)
    assert found(tune(few, 4, runs_dir=runs, prune=True)) == found(whole), "nothing is run again"


@pytest.mark.usefixtures("diverging")
def test_one_that_diverges_takes_no_place(recipes: list[Recipe], tmp_path: Path) -> None:
    search = [f"{LEARNING_RATE}=1e-3,3e-3,9e-3,9e-1"]
    (tuning,) = tune(recipes[:1], 4, search, runs_dir=tmp_path, prune=True).tunings
    assert [tuning.failed, tuning.pruned] == [1, 2]
    (failed,) = [t for t in tuning.trials if t.values == {LEARNING_RATE: 9e-1}]
    assert "nan" in failed.reason and failed.pruned_at is None
    assert sorted(t.steps for t in tuning.trials if t is not failed) == [2, 4, 14]


def test_budgets_that_are_not_equal_in_steps_are_refused(make_recipe: Make, tmp_path: Path) -> None:
    one, other = (make_recipe(m, training={"epochs": e}) for m, e in (("lora", 1), ("head", 2)))
    with pytest.raises(UsageError, match="different numbers of steps") as caught:
        tune([one, other], 4, runs_dir=tmp_path, prune=True)
    assert "--set training.max_steps=N" in str(caught.value)
    with pytest.raises(UsageError, match="--prune with --search training.epochs"):
        tune([one], 2, ["training.epochs=1,2"], runs_dir=tmp_path, prune=True)
    assert not tmp_path.joinpath("tiny").exists()
