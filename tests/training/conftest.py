"""A run in the plain way and the same one reading behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.behind import read_behind
from workbench.pipeline import pipeline, setup
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.training.trainer import Trainer

Make = Callable[..., Recipe]
Train = Callable[..., Run]
Both = Callable[..., tuple[Run, Run]]


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Trainer]:
    """The trainers of the runs of a test, one after the other."""
    made: list[Trainer] = []

    def make(*parts: Any) -> Trainer:
        made.append(setup.make_trainer(*parts))
        return made[-1]

    monkeypatch.setattr(pipeline, "make_trainer", make)
    return made


@pytest.fixture
def both(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    """A run that reads each step at once, and the same one reading behind."""

    def run(recipe: Recipe, **options: Any) -> tuple[Run, Run]:
        plain = train(recipe, 0, tmp_path / "plain", **options)
        read_behind(monkeypatch)
        return plain, train(recipe, 0, tmp_path / "behind", **options)

    return run
