"""The table of runs in a browser: who is told that runs ended, and what screen readers read."""

from __future__ import annotations

import pytest
from browsing import assert_accessible, settled
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


def test_a_view_is_saved_and_chosen_while_the_table_is_drawn_again(
    page: Page, runs: RunsFolder
) -> None:
    runs.add_study()
    runs.add(news_recipe("lora", name="live"), 0, "running")
    with Server(runs.path) as server:
        server.open(page, "/runs?search=prompt&state=finished")
        page.get_by_role("button", name="Views").click()
        name = page.get_by_role("textbox", name="Name of this view")
        save = page.get_by_role("button", name="Save this view")
        save.click()
        expect(page.get_by_text("a view needs a name")).to_be_visible()
        page.wait_for_timeout(5000)  # longer than the table takes to be drawn again
        expect(page.get_by_text("a view needs a name")).to_be_visible()
        name.fill("my prompts")
        save.click()
        chosen = page.get_by_role("button", name="my prompts", exact=True)
        expect(chosen).to_be_visible()
        expect(name).to_have_value("")
        assert_accessible(page)
        server.open(page, "/runs")
        search = page.get_by_role("textbox", name="Search")
        expect(search).to_have_value("")
        page.get_by_role("button", name="Views").click()
        chosen.click()
        expect(search).to_have_value("prompt")
        page.wait_for_url("**/runs?*search=prompt*")
        page.wait_for_url("**/runs?*state=finished*")
        page.get_by_role("button", name="delete icon").click()
        expect(chosen).to_have_count(0)
        expect(search).to_have_value("prompt")
