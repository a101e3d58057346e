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


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words, numbers and files: drawing the pictures takes a second a report."""
    monkeypatch.setattr("workbench.report.pictures._svg", lambda *_: "<svg ></svg>")
    monkeypatch.setattr("workbench.report.writing.png_file", lambda *_, **__: b"")
