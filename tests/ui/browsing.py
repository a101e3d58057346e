"""A real Chromium: the distribution's own, without a word to anybody else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PICTURES = os.environ.get("WORKBENCH_SCREENSHOTS")
"""Folder that the pictures of all pages are kept in; nowhere when it is not set."""
SERIOUS = ("serious", "critical")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NOT_FADED = "[data-stale=true] { opacity: 1 !important; transition: none !important; }"
SHOWN_IN = """scheme =>
    getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === scheme"""


def assert_accessible(page: Page) -> None:
    """Nothing on the page that axe calls serious, once it is drawn: what is being drawn again is
    faded for a moment, on a busy machine for longer."""
    page.add_style_tag(content=NOT_FADED)
    serious = [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in Axe().run(page).response["violations"]
        if each["impact"] in SERIOUS
    ]
    assert not serious, "\n".join(serious)


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
        page.get_by_role("option", name=name).first.click()
    page.keyboard.press("Escape")


def assert_good(page: Page, name: str) -> None:
    """No exception, nothing serious for axe, and it fits a wide and a narrow window.

    For a reader who has set the system to light, and for one who has set it to dark.

    Args:
        name: of its pictures, which the scheme and the width are added to.
    """
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(SHOWN_IN, arg=scheme)
        page.wait_for_timeout(500)  # charts are drawn anew
        assert_accessible(page)
        for width in (768, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(400)
            assert_fits(page)
            keep_picture(page, f"{name}-{scheme}-{width}")


def keep_picture(page: Page, name: str) -> None:
    """A picture of the whole page, where pictures are kept."""
    if not PICTURES or page.viewport_size is None:
        return
    Path(PICTURES).mkdir(parents=True, exist_ok=True)
    width = page.viewport_size["width"]
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(max(900, tall), 3000)})
    page.wait_for_timeout(900)
    page.screenshot(path=Path(PICTURES) / f"{name}.png")
