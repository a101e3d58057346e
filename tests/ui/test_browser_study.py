"""The page of a study in a browser: watched, added to, left and found again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from browsing import SCHEMES, SHOWN_IN, assert_good, settled
from made_runs import RunsFolder, news_recipe
from playwright.sync_api import Page, expect
from serving import Server
from tiny_study import write_study

from workbench import jobs
from workbench.recipe import load_recipes
from workbench.store import list_runs, read_json, write_json

pytestmark = pytest.mark.browser

RUN_MS = 300_000
METHODS = {"full": {"name": "full"}, "lora": {"name": "lora", "r": 2}}


def cells(page: Page) -> list[str]:
    """The links of the grid, by what they say."""
    found = page.get_by_test_id("stPageLink-NavLink").filter(has_text="0.")
    return [text.strip() for text in found.all_inner_texts()]


def test_a_study_is_watched_added_to_and_found_again(
    page: Page, topics_file: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    runs, folder = tmp_path / "runs", tmp_path / "my-recipes"
    folder.mkdir()
    own = write_study(folder / "topics", tiny_bert, topics_file, METHODS, seeds=(0,), epochs=2)
    with Server(runs) as server:
        server.open(page, "/study?study=topics")
        page.get_by_role("button", name="Start 2 unfinished runs").click()
        expect(page.get_by_text("2 of 2 runs finished")).to_be_visible(timeout=RUN_MS)
        expect(page.get_by_role("tab", name="Scores")).to_be_visible(timeout=RUN_MS)
        page.get_by_role("button", name="Add seeds").click()
        box = page.get_by_role("spinbutton", name="How many")
        box.fill("2")
        box.press("Enter")
        page.get_by_role("button", name="Start 4 runs").dblclick()
        expect(page.get_by_text("6 of 6 runs finished")).to_be_visible(timeout=RUN_MS)
        assert {tuple(each.seeds) for each in load_recipes(own)} == {(0, 1, 2)}
        assert [run.state for run in list_runs(runs)] == ["finished"] * 6
        assert len(jobs.list_jobs(runs)) == 2
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", name="Conclusions")).to_be_visible(timeout=RUN_MS)
        settled(page)
        shown = cells(page)
        assert len(shown) == 6
        page.get_by_role("tab", name="Costs").click()
        page.wait_for_url("**view=Costs*")
        page.reload()
        chosen = page.get_by_role("tab", name="Costs")
        expect(chosen).to_have_attribute("aria-selected", "true")
        settled(page)
        assert cells(page) == shown
        page.get_by_test_id("stPageLink-NavLink").filter(has_text="0.").first.click()
        expect(page.get_by_role("heading", name="full, seed 0")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="topics", exact=True)).to_be_visible()
        expect(chosen).to_have_attribute("aria-selected", "true")
        settled(page)
        assert cells(page) == shown
        assert_good(page, "study-finished")


CHANGED = """() => {
    window.changed = [];
    const note = ({target}) => {
        const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
        const place = element.closest('[data-testid=stElementContainer]') || element;
        window.changed.push(place.innerText || '');
    };
    new MutationObserver(list => list.forEach(note)).observe(
        document.querySelector('[data-testid=stMain]'),
        {subtree: true, childList: true, characterData: true, attributes: true},
    );
}"""


def test_a_run_at_work_changes_its_own_cell_and_no_other(page: Page, runs: RunsFolder) -> None:
    runs.add(news_recipe("full"), 0)
    live = runs.add(news_recipe("lora"), 0, "running") / "status.json"
    with Server(runs.path) as server:
        server.open(page, "/study?study=news")
        page.get_by_role("tab", name="Scores").wait_for()
        settled(page)
        page.evaluate(CHANGED)
        for step in (70, 80):
            status = read_json(live)
            status["progress"] |= {"step": step}
            write_json(live, {**status, "heartbeat_at": time.time()})
            expect(page.get_by_role("link", name=f"{step}%")).to_be_visible()
        changed = {text.strip() for text in page.evaluate("window.changed")}
        assert any("80%" in text for text in changed)
        # What else is in the grid; a chart below it may have been drawn late.
        assert not changed & {"test accuracy", "seed 0", "full", "lora", *cells(page)}


def test_a_card_is_lighter_than_the_page_in_the_dark_theme_alone(
    page: Page, runs: RunsFolder
) -> None:
    for seed in range(2):
        runs.add(news_recipe("full"), seed)
    with Server(runs.path) as server:
        server.open(page, "/study?study=news")
        card = page.locator("[class*=st-key-card-answer]").first
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(SHOWN_IN, arg=scheme)
            clear = "rgba(0, 0, 0, 0)"
            surface = clear if scheme == "light" else "rgb(15, 20, 22)"
            expect(card).to_have_css("background-color", surface)
