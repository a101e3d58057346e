"""Adapters of every task and family, trained for a few steps on tiny models, once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_tiny
from tests.small_recipes import small_recipe
from workbench.inference import LoadedAdapter, Untouched, load_adapter, load_untouched
from workbench.runner import run_recipe

Trained = Callable[[str, str, str], Path]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, vanilla: Any) -> Trained:
    """The run folder of a task, a method and a family; each is trained once."""
    home = tmp_path_factory.mktemp("explained")
    runs: dict[tuple[str, str, str], Path] = {}
    models: dict[str, Path] = {}

    def train(task: str, method: str, family: str) -> Path:
        cell = (task, method, family)
        if cell not in runs:
            if family not in models:
                models[family] = make_tiny(family, home / family, spread=0.3)
            folder = home / "-".join(cell)
            folder.mkdir()
            recipe = small_recipe(task, method, models[family], folder)
            run = run_recipe(recipe, 0, folder / "runs", loader=vanilla)
            assert run.state == "finished", run.reason
            runs[cell] = run.path
        return runs[cell]

    return train


@pytest.fixture
def adapter(trained: Trained) -> Callable[[str, str, str], LoadedAdapter]:
    """A loaded adapter of a task, a method and a family."""
    return lambda *cell: load_adapter(trained(*cell))


@pytest.fixture
def untouched(trained: Trained) -> Callable[[str, str, str], Untouched]:
    """The base of such an adapter."""
    return lambda *cell: load_untouched(trained(*cell))
