"""The table of runs in a browser: who is told that runs ended, and what screen readers read."""

from __future__ import annotations

import pytest
from browsing import settled
from made_runs import RunsFolder, news_recipe
from playwright.sync_api import Page, expect
from serving import Server

from workbench.store import read_run, write_json

pytestmark = pytest.mark.browser

STAND_IN = """
    window.told = [];
    window.Notification = class {
        static permission = "PERMISSION";
        static async requestPermission() { this.permission = "granted"; }
        constructor(title, { body }) { window.told.push(`${title}: ${body}`); }
    };
"""


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("address", ["/runs", "/study?study=news"])
def test_the_browser_tells_once_that_runs_have_ended_where_it_was_asked_to(
    address: str, asked: bool, page: Page, runs: RunsFolder
) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    page.add_init_script(STAND_IN.replace("PERMISSION", "default"))
    with Server(runs.path) as server:
        server.open(page, address)
        button = page.get_by_role("button", name="Notify me when runs end")
        expect(button).to_have_attribute("aria-pressed", "false")
        if asked:
            button.click()
            on = page.get_by_role("button", name="Notifications on")
            expect(on).to_have_attribute("aria-pressed", "true")
        write_json(path / "status.json", read_run(path).status | {"state": "failed"})
        expect(page.get_by_text("1 run ended, 1 failed")).to_be_visible()
        if asked:
            page.wait_for_function("window.told.length > 0", timeout=30_000)
        settled(page)
        study = "" if address == "/runs" else "news: "
        wanted = [f"PEFT workbench: {study}1 run ended, 1 failed"] if asked else []
        assert page.evaluate("window.told") == wanted


def test_a_browser_that_blocks_notifications_says_so(page: Page, runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0, "running")
    page.add_init_script(STAND_IN.replace("PERMISSION", "denied"))
    with Server(runs.path) as server:
        server.open(page, "/runs")
        button = page.get_by_role("button", name="Notifications are blocked in this browser")
        expect(button).to_be_disabled()


def test_a_screen_reader_reads_the_state_of_a_finished_run(page: Page, runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0)
    with Server(runs.path) as server:
        server.open(page, "/runs")
        settled(page)
        expect(page.get_by_role("gridcell", name="finished", include_hidden=True)).to_have_count(1)
