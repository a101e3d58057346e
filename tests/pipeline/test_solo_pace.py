"""Which steps of a run beside others are taken alone, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from workbench.comparison import compare
from workbench.pipeline.solo_pace import SoloPace
from workbench.recipe.schema import Recipe
from workbench.store import BESIDE_VARIABLE, Run, turns
from workbench.store.turns import TURNS_VARIABLE, Turns
from workbench.training.events import Step


class Told:
    """Turns that say what they were asked for; the first request fails."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def take(self, _seconds: float) -> bool:
        self.calls.append("take")
        return self.calls.count("take") > 1

    def give(self) -> None:
        self.calls.append("give")

    def let_others(self) -> None:
        self.calls.append("let")


def step(number: int) -> Step:
    return Step(
        step=number,
        epoch=0.0,
        loss=1.0,
        learning_rate=1e-3,
        grad_norm=1.0,
        seconds=float(number),
        tokens=10 * number,
        examples=1,
    )


def paced(others: int, steps: int) -> tuple[SoloPace, list[str]]:
    told = Told()
    pace = SoloPace(turns=cast(Turns, told), others=others, steps=steps)
    for number in range(1, 12):
        pace.after(step(number))
    pace.end()
    return pace, told.calls


def test_a_turn_is_asked_for_ever_later_and_its_first_step_is_not_timed() -> None:
    pace, calls = paced(others=1, steps=100)
    assert calls == ["let", "take", "let", "take", "give", "let", "let"]
    assert pace.record() == {"solo": {"steps": 4, "seconds": 6.0 + 7 + 8 + 9, "tokens": 300}}


def test_no_turn_is_taken_where_it_would_cost_more_than_a_twentieth() -> None:
    for others, steps in ((1, 99), (3, 299)):
        pace, calls = paced(others=others, steps=steps)
        assert set(calls) == {"let"} and pace.record() == {}


def test_a_turn_ends_with_the_training() -> None:
    told = Told()
    pace = SoloPace(turns=cast(Turns, told), others=1, steps=100, first=1)
    for number in range(1, 4):
        pace.after(step(number))
    pace.end()
    pace.end()
    assert told.calls == ["take", "take", "give"] and pace.record() == {}


def test_the_pace_of_a_run_beside_others_is_that_of_its_solo_steps(
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(turns, "_ours", [])
    monkeypatch.setenv(TURNS_VARIABLE, str(tmp_path / "cpu.turns"))
    monkeypatch.setenv(BESIDE_VARIABLE, "1")
    recipe = make_recipe("head", training={"max_steps": 100})
    run = train(recipe, 0, tmp_path / "runs")
    rows: list[dict[str, Any]] = [r for r in run.events()[0] if r["kind"] == "step"]
    solo = run.result["time"]["solo"]
    assert solo["seconds"] == pytest.approx(sum(row["seconds"] for row in rows[3:7]))
    assert solo["tokens"] == sum(row["tokens"] for row in rows[3:7])
    found = compare([tmp_path / "runs"])
    pace = solo["tokens"] / solo["seconds"]
    a_step = sum(row["tokens"] for row in rows[2:]) / len(rows[2:])
    assert found.rows[0]["tokens_per_second"] == pytest.approx(pace)
    assert found.rows[0]["steps_per_second"] == pytest.approx(pace / a_step)
    assert found.rows[0]["train_seconds"] is None
    assert any("while the others waited" in each for each in found.warnings)
