"""Folders of fabricated runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import WriteRun, fabricate


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder for runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def run(runs: Path) -> WriteRun:
    """Writes one run folder below ``runs``; see ``fabricate``."""

    def write(*args: Any, **kwargs: Any) -> Path:
        return fabricate(runs, *args, **kwargs)

    return write


@pytest.fixture
def study(run: WriteRun) -> None:
    """Four methods with three seeds each, as the demo leaves them."""
    scores = {
        "full": (0.964, 0.960, 0.968),
        "lora": (0.956, 0.958, 0.960),
        "prefix": (0.950, 0.958, 0.956),
        "prompt": (0.944, 0.948, 0.940),
    }
    trainable = {"full": 22_714_757, "lora": 75_653, "prefix": 94_085, "prompt": 9_605}
    for recipe, values in scores.items():
        for seed, value in enumerate(values):
            parameters = {"trainable": trainable[recipe], "adapter": trainable[recipe] - 1925}
            run(recipe, seed, value, parameters=parameters, time={"train_seconds": 8.0 + seed})
