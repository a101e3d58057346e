"""``python -m benchmarks.forecast``: what is set against what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import forecast, forecast_run
from workbench.costs import calibration
from workbench.recipe.schema import Recipe


def test_plans_and_steps_take_turns(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(forecast_run, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(calibration, "_AGAIN_SECONDS", 60.0)
    recipe = make_recipe("lora", training={"max_steps": 2 + 3 * forecast_run.ROUND_STEPS})
    cell = forecast_run.measure(recipe, 3, tmp_path / "run")
    assert len(cell["predicted"]) == len(cell["taken"]) == len(cell["plan_seconds"]) == 3
    assert all(seconds > 0 for seconds in (*cell["predicted"], *cell["taken"]))
    low, high = cell["range"]
    assert low <= cell["predicted"][-1] <= high
    assert forecast.errors(cell)["exact"] == 0, "a plan's counts are the run's"


def test_a_cell_that_cannot_be_timed_says_why(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    short = make_recipe("lora", training={"max_steps": 2})
    with pytest.raises(SystemExit, match="ended after 0 rounds; take fewer --rounds"):
        forecast_run.measure(short, 1, tmp_path / "short")
    unknown = {"seconds_per_step": None, "notes": ["no forecast: this model"]}
    monkeypatch.setattr(forecast_run, "plan", lambda *_args, **_kwargs: unknown)
    with pytest.raises(SystemExit, match="no time was predicted: no forecast: this model"):
        forecast_run.measure(short, 1, tmp_path / "unknown")


def test_the_last_plan_and_the_first_are_set_against_the_mean_step() -> None:
    cell = {
        "forecast": {"peak_memory_bytes": 105, "adapter_bytes": 7},
        "measured": {"peak_memory_bytes": 100, "adapter_bytes": 8},
        "exact": ["adapter_bytes"],
        "predicted": [3.0, 9.0, 2.2],
        "taken": [1.0, 3.0, 2.0],
    }
    assert forecast.errors(cell) == {
        "exact": 1,
        "memory": pytest.approx(0.05),
        "time": pytest.approx(0.1),
        "time, first plans": pytest.approx(0.5),
    }
    untimed = forecast.errors({**cell, "predicted": [], "taken": []})
    assert untimed["time"] is None and untimed["time, first plans"] is None
