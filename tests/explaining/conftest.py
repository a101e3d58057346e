"""Adapters of every task and family, trained for a few steps on tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trained_runs import TrainedRuns
from workbench.adapters.loaded import LoadedAdapter, ZeroShotModel, load_adapter, load_zero_shot

Trained = Callable[[str, str, str], Path]


@pytest.fixture(scope="session")
def trained(trained_runs: TrainedRuns) -> Trained:
    """The run folder of a task, a method and a family."""
    return lambda *cell: trained_runs.read(trained_runs.recipe(*cell)).path


@pytest.fixture
def adapter(trained: Trained) -> Callable[[str, str, str], LoadedAdapter]:
    """A loaded adapter of a task, a method and a family."""
    return lambda *cell: load_adapter(trained(*cell))


@pytest.fixture
def zero_shot(trained: Trained) -> Callable[[str, str, str], ZeroShotModel]:
    """The base of such an adapter."""
    return lambda *cell: load_zero_shot(trained(*cell))
