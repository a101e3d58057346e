"""One trained adapter and one worker for the tests of the playground."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trained_runs import TrainedRuns
from workbench.services.playground import Playground


@pytest.fixture(scope="session")
def runs_of(trained_runs: TrainedRuns) -> dict[str, Path]:
    """A classifier on BERT and a writer on Llama, by task."""
    cells = (("text-classification", "lora", "bert"), ("instruction", "lora", "llama"))
    return {cell[0]: trained_runs.read(trained_runs.recipe(*cell)).path for cell in cells}


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    """A worker that the tests of a module share: starting one takes about 5 s."""
    shared = Playground(idle_seconds=300, patience_seconds=120)
    yield shared
    shared.unload()
