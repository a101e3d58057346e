"""The playground in a real Chromium: two adapters, one text, their labels and why."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Server

from tests.conftest import make_tiny
from tests.small_recipes import small_recipe
from workbench.runner import run_recipe

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HOSTILE = "goal <script>window.hacked=1</script> <img src=x onerror=window.hacked=1> ![x](http://x)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        message = "no chromium here: install your distribution's package `chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield page
    context.close()


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children(recursive=True)
    return [child for child in children if "workbench.playground" in child.cmdline()]


def test_two_adapters_answer_one_text(page: Page, tmp_path: Path, vanilla: Any) -> None:
    model = make_tiny("bert", tmp_path / "model", spread=0.3)
    runs = tmp_path / "runs"
    for method in ("lora", "prefix"):
        recipe = small_recipe("text-classification", method, model, tmp_path)
        assert run_recipe(recipe, 0, runs, loader=vanilla).state == "finished"
    with Server(runs) as server:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server.url}/playground")
        box = page.get_by_role("combobox", name="Adapters")
        for method in ("lora", "prefix"):
            box.fill(method)
            page.get_by_role("option", name=re.compile(method)).click()
        page.keyboard.press("Escape")
        expect(page.get_by_text("loaded with the first question")).to_be_visible()
        assert not workers_of(server)

        text = page.get_by_role("textbox", name="Text", exact=True)
        text.fill(HOSTILE)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_text(re.compile(r"\d% sure"))).to_have_count(2)
        for method in ("lora", "prefix"):
            expect(page.get_by_role("heading", name=f"{method}, seed 0")).to_be_visible()
        expect(page.get_by_text("2 adapters and what they stand on")).to_be_visible()
        expect(page.get_by_text(re.compile("What speaks for"))).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert page.evaluate("window.hacked === undefined")
        assert "script" not in page.url and "adapters=" in page.url

        page.get_by_role("radio", name="Attention").click()
        expect(page.get_by_text(re.compile("The answer is read from"))).to_be_visible()
        page.wait_for_url("**look=Attention**")

        (worker,) = workers_of(server)
        page.get_by_role("button", name="Unload").click()
        expect(page.get_by_text("loaded with the first question")).to_be_visible()
        psutil.wait_procs([worker], timeout=10)
        assert not worker.is_running() and not workers_of(server)
        assert all(url.startswith((server.url, "ws:", "data:", "blob:")) for url in asked)
