"""One trained adapter and one worker for the tests of the playground."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_tiny
from tests.small_recipes import small_recipe
from workbench.playground import Playground
from workbench.runner import run_recipe


@pytest.fixture(scope="session")
def runs_of(tmp_path_factory: pytest.TempPathFactory, vanilla: Any) -> dict[str, Path]:
    """A classifier on BERT and a writer on Llama, by task."""
    home = tmp_path_factory.mktemp("asked")
    made = {}
    for task, family in (("text-classification", "bert"), ("instruction", "llama")):
        folder = home / task
        folder.mkdir()
        recipe = small_recipe(task, "lora", make_tiny(family, home / family, spread=0.3), folder)
        made[task] = run_recipe(recipe, 0, folder / "runs", loader=vanilla).path
    return made


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    """A worker that the tests of a module share: starting one takes about 5 s."""
    shared = Playground(idle_seconds=300, patience_seconds=120)
    yield shared
    shared.unload()
