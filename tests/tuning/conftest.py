"""Trials that fail as hopeless learning rates do."""

from __future__ import annotations

import pytest

from workbench.training import stepping


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings with a learning rate above 0.02 have a loss of nan."""
    check = stepping.check_finite

    def check_diverging(loss: float, norm: float, step: int, rate: float) -> None:
        check(float("nan") if rate > 2e-2 else loss, norm, step, rate)

    monkeypatch.setattr(stepping, "check_finite", check_diverging)
