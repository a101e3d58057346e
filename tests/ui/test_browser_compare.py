"""Compare in a browser: columns sort by number, matrices fit, names break nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import assert_good, settled
from playwright.sync_api import Locator, Page
from reported_runs import METHODS, add_run, recipe_of
from serving import Server

pytestmark = pytest.mark.browser

CLASSES = ["\u202eevil", "עסקים", "pos\u200b", "🙂 tech", "plain", "sport", "x" * 90]
LONG = "-of-a-study-in-which-somebody-says-all-there-is-to-say-in-the-name-r16"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("compare") / "runs"
    labels = [CLASSES[i % len(CLASSES)] for i in range(70)]
    for method in METHODS:
        for seed in range(2):
            wrong = labels[seed + len(method) :] + labels[: seed + len(method)]
            said = [wrong[i] if i % 9 == 0 else label for i, label in enumerate(labels)]
            recipe = recipe_of(method, "odd", method + LONG)
            add_run(folder, recipe, seed, labels=labels, predictions=said, known=CLASSES)
    for number in range(60):
        add_run(folder, recipe_of("lora", "many", f"lora-{number}"), labels=labels, known=CLASSES)
    with Server(folder) as running:
        yield running


def heads(grid: Locator) -> list[str]:
    return grid.locator("th").all_text_contents()


def column(grid: Locator, name: str) -> list[float]:
    """The numbers of a column from top to bottom, as a screen reader is given them."""
    number = [head.lstrip("↑↓ ") for head in heads(grid)].index(name) + 1
    cells = grid.locator(f"td[aria-colindex='{number}']").all_text_contents()
    return [float(text) for text in cells if text]


def click_head(page: Page, grid: Locator, name: str) -> None:
    """Clicks along the heads, which are drawn, until that of the column has the sign of sorting."""
    box = grid.locator("canvas").first.bounding_box()
    assert box is not None
    for x in range(20, int(box["width"]), 60):
        page.mouse.click(box["x"] + x, box["y"] + 15)
        page.wait_for_timeout(300)
        if f"↑ {name}" in heads(grid):
            return
    raise AssertionError(f"no head sorts by {name}: {heads(grid)}")


@pytest.mark.parametrize("name", ["trainable parameters", "accuracy", "peak memory, MB"])
def test_a_click_on_a_head_sorts_by_number(name: str, server: Server, page: Page) -> None:
    server.open(page, "/compare?studies=odd")
    settled(page)
    grid = page.get_by_test_id("stDataFrame").first
    grid.scroll_into_view_if_needed()
    grid.locator("th").first.wait_for(state="attached")
    page.wait_for_timeout(500)
    before = column(grid, name)
    click_head(page, grid, name)
    assert column(grid, name) == sorted(before) and len(before) >= 3


@pytest.mark.parametrize("view", ["Scores", "Costs", "Curves", "Classes", "Disagreements"])
@pytest.mark.parametrize("study", ["odd", "many"])
def test_odd_names_and_sixty_recipes_break_nothing(
    study: str, view: str, server: Server, page: Page
) -> None:
    server.open(page, f"/compare?studies={study}&view={view}")
    assert_good(page, f"compare-{study}-{view.lower()}")
    page.set_viewport_size({"width": 768, "height": 900})
    page.wait_for_timeout(1000)
    # An inner element that is wider than its place is cut off there.
    cut = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].filter(chart => {
            const inner = chart.querySelector('canvas, svg');
            return !inner || inner.getBoundingClientRect().right > 768
                || inner.getBoundingClientRect().right > chart.getBoundingClientRect().right + 1;
        }).length"""
    )
    assert cut == 0
