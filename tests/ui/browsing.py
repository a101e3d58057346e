"""A real Chromium: the distribution's own, without a word to anybody else."""

from __future__ import annotations

import re
import shutil

from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def assert_fits(page: Page) -> None:
    """Nothing has to be scrolled sideways."""
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def settled(page: Page) -> None:
    """Returns once the page has been drawn and its script has run to the end."""
    page.locator("h1").first.wait_for()
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'running'"
    )
    page.wait_for_timeout(1500)  # charts draw after the text


def choose_adapters(page: Page, *names: str) -> None:
    """Puts adapters into the Playground's box, by words of their run's folder."""
    box = page.get_by_role("combobox", name="Adapters")
    for name in names:
        box.fill(name)
        page.get_by_role("option", name=re.compile(re.escape(name))).first.click()
    page.keyboard.press("Escape")
