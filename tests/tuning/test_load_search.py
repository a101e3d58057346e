"""What a search leaves for those who only look, while it runs and when it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.tuning.load_search import list_searches, options_of
from workbench.tuning.search import tune
from workbench.tuning.trials import trial_of

Make = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [({"hub:x/recall": 0.4, "accuracy": 0.9}, 0.4), ({"hub:x": None}, None), ({}, None)],
)
def test_a_hub_metric_of_several_numbers_scores_a_trial(
    tmp_path: Path, scores: dict[str, float | None], expected: float | None
) -> None:
    run = Run(
        path=tmp_path, state="finished", reason="", result={"metrics": {"validation": scores}}
    )
    trial = trial_of(run, 0, {}, "hub:x")
    assert trial.score == expected and bool(trial.reason) == (expected is None)


@pytest.fixture
def recipes(make_recipe: Make) -> list[Recipe]:
    """Two methods that take 7 steps each."""
    training = {"epochs": 1, "learning_rate": 1e-2}
    return [make_recipe(method, training=training) for method in ("lora", "bitfit")]


def test_a_search_can_be_watched_from_its_first_trial_on(
    recipes: list[Recipe], tmp_path: Path
) -> None:
    seen: list[list[tuple[str, int, int, bool]]] = []

    def look(kind: str, fields: dict[str, Any]) -> None:
        if kind in ("step", "trial"):
            seen.append(
                [(s.recipe, len(s.trials), s.wanted, s.is_active) for s in list_searches(tmp_path)]
            )

    tune(recipes, 2, runs_dir=tmp_path, observer=look)
    assert seen[0] == [("bitfit", 0, 2, False), ("lora", 0, 2, True)]
    assert seen[-1] == [("bitfit", 2, 2, False), ("lora", 2, 2, False)]
    assert [each.study for each in list_searches(tmp_path)] == ["tiny", "tiny"]


@pytest.mark.parametrize(
    "asked", [[], ["training.learning_rate=1e-3..2e-2", "training.warmup_ratio=0.0,0.1"]]
)
def test_the_options_lead_to_the_same_search(
    asked: list[str], recipes: list[Recipe], tmp_path: Path
) -> None:
    tune(recipes, 1, asked, runs_dir=tmp_path)
    options = options_of(list_searches(tmp_path))
    pairs = list(zip(options[::2], options[1::2], strict=True))
    again = [value for name, value in pairs if name == "--search"]
    (seed,) = [int(value) for name, value in pairs if name == "--seed"]
    assert len(again) == len(asked)
    tune(recipes, 1, again, seed=seed, runs_dir=tmp_path)
    assert len(list_searches(tmp_path)) == 2  # another search would have folders of its own


def test_what_is_set_aside_is_not_listed(recipes: list[Recipe], tmp_path: Path) -> None:
    for force in (False, True):
        tune(recipes[:1], 1, runs_dir=tmp_path, force=force)
    assert len(list_searches(tmp_path)) == 1


def test_nothing_is_listed_where_nothing_was_searched(tmp_path: Path) -> None:
    assert list_searches(tmp_path) == [] and list_searches(tmp_path / "none") == []
