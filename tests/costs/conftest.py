"""What is timed in these tests counts as timed alone, whatever else the machine does."""

from __future__ import annotations

import pytest

from workbench.costs.cpu_load import BackgroundLoad


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundLoad, "share", lambda _self: 0.0)


@pytest.fixture
def no_forecast() -> None:
    """Forecasts are what these tests are about."""
