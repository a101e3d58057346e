"""``run --until-decided`` on fabricated runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from fabricated_runs import fabricate, keep

from workbench.cli import main, until_decided
from workbench.comparison import compare
from workbench.comparison.sequential import read_plans
from workbench.errors import RunRefused, UsageError
from workbench.recipe import Recipe
from workbench.store import run_path

Make = Callable[..., Recipe]


class Runner:
    """Writes finished runs as if they had been run; stops where it is told to."""

    def __init__(
        self, gap: float, stops_at: int | None = None, apart: bool = False, majority: float = 0.2
    ) -> None:
        self.gap, self.stops_at, self.apart, self.majority = gap, stops_at, apart, majority
        self.asked: list[list[int]] = []

    def __call__(self, recipes: Sequence[Recipe], runs_dir: Path, seeds: Sequence[int]) -> None:
        self.asked.append(list(seeds))
        if len(seeds) == self.stops_at:
            raise typer.Exit(130)
        for recipe in recipes:
            for seed in seeds:
                path = run_path(runs_dir, recipe, seed)
                if not path.exists():
                    self._write(runs_dir, recipe, seed, path)

    def _write(self, runs_dir: Path, recipe: Recipe, seed: int, path: Path) -> None:
        items = np.random.default_rng(0).normal(size=500)
        luck = np.random.default_rng([seed, len(recipe.name)])
        skill = 1.0 + (self.gap if recipe.name == "lora" else 0.0) + 0.1 * luck.normal()
        right = skill + items + 0.3 * luck.normal(size=500) > 0
        run = fabricate(
            runs_dir,
            recipe.name,
            seed,
            float(right.mean()),
            study=recipe.study,
            fingerprint=recipe.fingerprint,
            folder=str(path.relative_to(runs_dir)),
            comparability={"data": recipe.name if self.apart else "d1"},
            references={"majority class": {"accuracy": self.majority}},
        )
        keep(run, right.tolist())


@pytest.fixture
def recipes(make_recipe: Make) -> list[Recipe]:
    return [make_recipe(name, seeds=[0, 1, 2]) for name in ("head", "lora")]


@pytest.fixture
def call(recipes: list[Recipe], tmp_path: Path) -> Callable[..., None]:
    def call_(runner: Runner, most: int | None = 8, seeds: Sequence[int] | None = None) -> None:
        until_decided.run_until_decided(
            recipes, tmp_path, seeds, most, False, run=partial(runner, recipes, tmp_path)
        )

    return call_


def test_a_large_difference_is_decided_early(
    call: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Runner(gap=-0.8)
    call(runner)
    assert len(runner.asked[-1]) < 8
    (plan,), _ = read_plans(tmp_path / "tiny")
    assert [look.seeds for look in plan.looks] == [len(seeds) for seeds in runner.asked]
    assert list(plan.looks[-1].conclusions.values()) in (["worse"], ["better"])
    printed = capsys.readouterr()
    assert "all pairs are decided" in printed.err
    assert "added until decided" in printed.out


def test_no_difference_ends_with_the_most_seeds(
    call: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Runner(gap=0.0)
    call(runner, most=5)
    assert [len(seeds) for seeds in runner.asked] == [3, 4, 5]
    assert runner.asked[-1] == [0, 1, 2, 3, 4]
    assert "look at 4 seeds of at most 5: undecided" in capsys.readouterr().err
    (verdict,) = compare([tmp_path / "tiny"]).verdicts
    assert (verdict["looks"], verdict["conclusion"]) == (3, "unclear")


def test_recipes_that_learned_nothing_so_far_are_not_decided(
    call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Runner(gap=0.0, majority=0.99)
    call(runner, most=4)
    assert [len(seeds) for seeds in runner.asked] == [3, 4]
    assert "all pairs are decided" not in capsys.readouterr().err


def test_the_same_command_continues_with_the_looks_so_far(
    call: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(typer.Exit):
        call(Runner(gap=0.0, stops_at=4), most=5)
    (plan,), _ = read_plans(tmp_path / "tiny")
    assert [look.seeds for look in plan.looks] == [3]
    again = Runner(gap=0.0)
    call(again, most=5)
    assert [len(seeds) for seeds in again.asked] == [3, 4, 5]
    (plan,), _ = read_plans(tmp_path / "tiny")
    assert [look.seeds for look in plan.looks] == [3, 4, 5]
    once_more = Runner(gap=0.0)
    call(once_more, most=5)
    assert [len(seeds) for seeds in once_more.asked] == [5]


def test_a_look_is_written_before_it_is_taken(
    call: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(until_decided, "_compare", killed)
    with pytest.raises(KeyboardInterrupt):
        call(Runner(gap=0.0))
    (plan,), _ = read_plans(tmp_path / "tiny")
    assert [look.seeds for look in plan.looks] == [3]


def test_another_end_after_a_look_is_refused(call: Callable[..., None], tmp_path: Path) -> None:
    call(Runner(gap=0.0), most=4)
    with pytest.raises(UsageError, match="planned for 4"):
        call(Runner(gap=0.0), most=9)
    with pytest.raises(UsageError, match="the looks so far were at others"):
        call(Runner(gap=0.0), most=4, seeds=[5, 6])
    (path,) = (tmp_path / "tiny").glob("looks-*.json")
    path.write_text("{")
    with pytest.raises(RunRefused, match="cannot be read"):
        call(Runner(gap=0.0), most=4)


def test_runs_that_cannot_be_compared_are_refused(call: Callable[..., None]) -> None:
    with pytest.raises(RunRefused, match="cannot be compared with each other"):
        call(Runner(gap=0.0, apart=True))


def test_seeds_that_a_recipe_was_tuned_on_are_left_out(recipes: list[Recipe]) -> None:
    tuning = {
        "trials": 1, "metric": "accuracy", "score": 0.5, "seed": 3, "search": {},
        "train_seconds": 1, "steps": 1, "tokens": 1,
    }  # fmt: skip
    tuned = Recipe.model_validate(recipes[1].model_dump() | {"tuning": tuning})
    seeds = until_decided._seeds([recipes[0], tuned], None)
    assert [next(seeds) for _ in range(5)] == [0, 1, 2, 4, 5]


def test_requests_that_do_not_go_together_are_refused(
    recipes: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for index, recipe in enumerate(recipes):
        Path(f"{index}.yaml").write_text(json.dumps(recipe.model_dump(mode="json")))
    assert main(["run", "0.yaml", "--max-seeds", "4"]) == 2
    assert main(["run", "0.yaml", "--until-decided"]) == 2
    assert main(["run", "0.yaml", "1.yaml", "--until-decided", "--detach"]) == 2
    assert not Path("runs").exists()
