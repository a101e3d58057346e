"""The app's own modules on the path, a runs folder for it to show, and a browser to show it in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from made_runs import RunsFolder

from workbench.cli.ui_server import RUNS_VARIABLE, app_path
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from playground_stand_in import StandIn
    from playwright.sync_api import Browser, Page

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


@pytest.fixture(autouse=True)
def _nothing_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning fetches models, in a thread that outlives its test."""
    monkeypatch.setattr("new_study.plan_step.ask", _not_planned)


def _not_planned(_words: list[str]) -> dict[str, object]:
    raise WorkbenchError("no plans in this test")


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    """Own data for New study, uploaded before."""
    from new_study_kit import write_reviews

    return write_reviews(tmp_path)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words that asked New study's planner for plans, which it has without torch."""
    from new_study_kit import stand_in_for_plans

    return stand_in_for_plans(monkeypatch)


@pytest.fixture
def folder(runs: RunsFolder) -> Path:
    """The same, for tests that write into it themselves."""
    return runs.path


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Answers the playground's questions instead of its process."""
    from playground_stand_in import StandIn

    from playground import playground_client

    stand_in = StandIn()
    monkeypatch.setattr(playground_client, "playground", lambda: stand_in)
    return stand_in


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; where there is none, CI fails and others skip."""
    from browsing import CHROMIUM, QUIET
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        message = "no chromium here: install your distribution's package `chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page, 1280 pixels wide."""
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    yield page
    context.close()
