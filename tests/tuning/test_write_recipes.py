"""The recipes that a search ends in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UsageError
from workbench.recipe import dump_recipe, load_recipe, load_recipes
from workbench.recipe.schema import Recipe
from workbench.tuning.space import LEARNING_RATE, Range, with_values
from workbench.tuning.trials import Trial, Tuning
from workbench.tuning.write_recipes import check_target, write_recipes

Make = Callable[..., Recipe]


@pytest.fixture
def tuning(tmp_path: Path) -> Callable[..., Tuning]:
    """A search of two trials, the second better by its loss; or one that only failed."""

    def make(recipe: Recipe, *, failed: bool = False) -> Tuning:
        def trial(number: int, rate: float, loss: float, score: float | None = 0.5) -> Trial:
            return Trial(
                number=number,
                values={LEARNING_RATE: rate},
                score=score,
                loss=loss,
                reason="",
                steps=10,
                tokens=900,
                train_seconds=1.5,
                validation_seconds=0.5,
            )

        trials = [trial(0, 1e-3, 1.2), trial(1, 2.34e-3, 1.1), trial(2, 9e-3, 0.1, None)]
        kept = trials[2:] if failed else trials
        space = {LEARNING_RATE: Range(1e-4, 1e-2)}
        return Tuning(
            recipe=recipe,
            space=dict(space),
            seed=3,
            higher=True,
            folder=tmp_path / "runs",
            trials=kept,
        )

    return make


def test_what_is_written_is_what_was_tuned(
    make_recipe: Make, tuning: Callable[..., Tuning], tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"seeds": [0, 1, 2], "training": {"weight_decay": 0.01}}
    recipes = [
        make_recipe("lora", description="Not # a comment: 'quoted'", **shared),
        make_recipe({"name": "prompt", "init_text": "the goal"}, **shared),
    ]
    tunings = [tuning(recipe) for recipe in recipes]
    folder = tmp_path / "tiny-tuned"
    written = write_recipes(folder, [*tunings, tuning(make_recipe("head"), failed=True)])
    assert [path.name for path in written] == ["lora.yaml", "prompt.yaml"]
    assert "weight_decay: 0.01" in (folder / "_base.yaml").read_text()
    for recipe, loaded in zip(recipes, load_recipes(folder), strict=True):
        assert loaded.study == "tiny-tuned" and loaded.name == recipe.name
        wanted = with_values(recipe, {LEARNING_RATE: 2.34e-3})
        assert loaded.fingerprint == wanted.fingerprint != recipe.fingerprint
        assert (loaded.seeds, loaded.description) == (recipe.seeds, recipe.description)
        spec = loaded.tuning
        assert spec is not None and (spec.trials, spec.failed, spec.score) == (3, 1, 0.5)
        assert (spec.train_seconds, spec.steps, spec.tokens, spec.seed) == (4.5, 30, 2700, 3)
        assert spec.search == {LEARNING_RATE: "0.0001..0.01"}
    comment = " ".join(line[2:] for line in (folder / "lora.yaml").read_text().splitlines()[:4])
    assert "training.learning_rate = 0.00234. The best of 3 trials (1 failed)" in comment
    assert "on validation, accuracy 0.5, with seed 3" in comment

    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match="_base.yaml, lora.yaml would be overwritten"):
        check_target(folder, recipes[:1])
    with pytest.raises(UsageError, match="would be overwritten"):
        write_recipes(folder, tunings)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_one_recipe_is_one_file(
    make_recipe: Make, tuning: Callable[..., Tuning], tmp_path: Path
) -> None:
    (path,) = write_recipes(tmp_path / "alone", [tuning(make_recipe("lora"))])
    assert [p.name for p in path.parent.iterdir()] == ["lora.yaml"]
    assert load_recipe(path).learning_rate == 2.34e-3


def test_how_values_were_found_changes_no_fingerprint(
    make_recipe: Make, tuning: Callable[..., Tuning]
) -> None:
    recipe = make_recipe("lora")
    tuned = recipe.model_copy(update={"tuning": tuning(recipe).spec()})
    assert tuned.fingerprint == recipe.fingerprint
    assert "train_seconds: 4.5" in dump_recipe(tuned)


def test_folders_that_cannot_be_written_to(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("lora")
    with pytest.raises(UsageError, match="several recipes are called lora"):
        check_target(tmp_path / "new", [recipe, recipe])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        check_target(tmp_path / "file", [recipe])
    with pytest.raises(UsageError, match="cannot be a name"):
        check_target(tmp_path / "-a b", [recipe])
    check_target(tmp_path / "new", [recipe])
    assert not (tmp_path / "new").exists()
