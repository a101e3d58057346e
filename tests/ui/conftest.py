"""The app's own modules on the path, and a runs folder for it to show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from made_runs import RunsFolder

from workbench.ui import RUNS_VARIABLE, app_path

APP = app_path()
if str(APP.parent) not in sys.path:  # as `streamlit run` does
    sys.path.insert(0, str(APP.parent))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunsFolder:
    """An empty runs folder that the app shows."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv(RUNS_VARIABLE, str(folder))
    return RunsFolder(folder)
