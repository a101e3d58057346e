"""A runs folder for reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading_pages import Page, report
from reported_runs import add_study


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder for runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


Written = tuple[Path, Page, Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The runs of a study, the page of their report and its folder, for tests that only read."""
    runs = tmp_path_factory.mktemp("study") / "runs"
    add_study(runs)
    return runs, *report(runs)
