"""Several people and several versions: no page shows what belongs to another one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from browsing import choose_adapters, settled
from made_runs import RunsFolder, news_recipe
from playwright.sync_api import Browser, Page, expect
from serving import Server
from tiny_study import write_study

from workbench.cli.ui_server import app_path
from workbench.store import list_runs, write_json

pytestmark = pytest.mark.browser

TOKEN, TEXT = "hf_canary12345", "a text that is nobody else's business"


@pytest.fixture
def study(tmp_path: Path, tiny_bert: Path, topics_file: Path) -> Path:
    """A folder with one recipe, whose model is on this machine."""
    methods = {"lora": {"name": "lora", "r": 4, "target_modules": ["query", "value"]}}
    return write_study(tmp_path / "tiny-topics", tiny_bert, topics_file, methods, epochs=1)


def set_rank(page: Page, rank: int) -> None:
    box = page.get_by_role("spinbutton", name="rank (r)", exact=True)
    box.fill(str(rank))
    box.press("Enter")
    expect(page.get_by_text(f"--set method.r={rank}")).to_be_visible()


def test_two_people_at_once_see_nothing_of_each_other(
    browser: Browser, runs: RunsFolder, study: Path
) -> None:
    for method in ("lora", "prefix"):
        path = runs.add(news_recipe(method), 0)
        about = {"task": {"name": "text-classification"}, "labels": ["a", "b"], "base": "none"}
        write_json(path / "adapter" / "workbench.json", about)
    with Server(runs.path) as server:
        contexts = [browser.new_context(viewport={"width": 1280, "height": 900}) for _ in "ab"]
        mine, theirs = (context.new_page() for context in contexts)
        for page in (mine, theirs):
            server.open(page, f"/?path={study}")
            settled(page)
        for step in (1, 2, 3):  # in turns, so that each script runs while the other's is fresh
            set_rank(mine, step)
            set_rank(theirs, 6 + step)
        for page, rank in ((mine, 3), (theirs, 9)):
            box = page.get_by_role("spinbutton", name="rank (r)", exact=True)
            expect(box).to_have_value(str(rank))
            assert f"method.r%3D{rank}" in page.url
        for page, trained in ((mine, "768"), (theirs, "2.3k")):  # 256 numbers per rank
            _eventually_planned(page, trained)

        mine.get_by_role("link", name="Playground").click()
        theirs.get_by_role("link", name="Playground").click()
        choose_adapters(mine, "lora")
        choose_adapters(theirs, "prefix")
        mine.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
        mine.get_by_role("button", name="Ask", exact=True).click()
        theirs.get_by_role("link", name="Export").click()
        mine.get_by_role("link", name="Export").click()
        mine.get_by_text("Push to the Hub").click()
        mine.get_by_label("Token", exact=True).fill(TOKEN)
        theirs.get_by_role("link", name="Playground").click()
        settled(theirs)
        if theirs.get_by_role("textbox", name="Text", exact=True).count() == 0:
            choose_adapters(theirs, "lora")
        expect(theirs.get_by_role("textbox", name="Text", exact=True)).to_have_value("")
        theirs.get_by_role("link", name="Export").click()
        theirs.get_by_text("Push to the Hub").click()
        expect(theirs.get_by_label("Token", exact=True)).to_have_value("")
        for word in (TOKEN, TEXT):
            assert word not in theirs.content() and word not in theirs.url
        for context in contexts:
            context.close()


def _eventually_planned(page: Page, value: str) -> None:
    metric = page.get_by_test_id("stMetric").filter(has=page.get_by_text("method", exact=True))
    expect(metric.get_by_test_id("stMetricValue")).to_have_text(value, timeout=120_000)


def test_a_tab_that_is_older_than_the_app_shows_the_new_one_and_keeps_its_values(
    page: Page, runs: RunsFolder, study: Path, tmp_path: Path
) -> None:
    upgraded = tmp_path / "upgraded"
    shutil.copytree(app_path().parent, upgraded)
    _upgrade(upgraded)
    with Server(runs.path) as server:
        port = server.port
        server.open(page, f"/?path={study}")
        set_rank(page, 2)
        page.get_by_role("button", name="Start 2 runs").wait_for()
    with Server(runs.path, port=port, app=upgraded):
        start = page.get_by_role("button", name="Begin 2 runs")
        expect(start).to_be_visible(timeout=60_000)  # by itself: it connects again
        expect(page.get_by_role("button", name="Start 2 runs")).to_have_count(0)
        expect(page.get_by_role("spinbutton", name="rank (r)", exact=True)).to_have_value("2")
        expect(page.get_by_text("--set method.r=2")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        assert list_runs(runs.path) == []  # nothing was pressed, so nothing has begun
        # A page that is not there any more says so and offers the others.
        page.goto(f"http://127.0.0.1:{port}/compare")
        expect(page.get_by_text(re.compile("Page not found"))).to_be_visible()
        expect(page.get_by_role("link", name="Recipes")).to_be_visible()


def _upgrade(app: Path) -> None:
    """A newer version: the button has another key and label, and there is no Compare."""
    launch = app / "recipes" / "launch_panel.py"
    text = launch.read_text(encoding="utf-8")
    assert 'f"Start {runs}' in text and 'key="start"' in text
    text = text.replace('f"Start {runs}', 'f"Begin {runs}')
    launch.write_text(text.replace('key="start"', 'key="begin"'), encoding="utf-8")
    script = app / "app.py"
    lines = script.read_text(encoding="utf-8").splitlines(keepends=True)
    script.write_text("".join(x for x in lines if "compare.py" not in x), encoding="utf-8")
