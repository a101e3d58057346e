"""Every page as it is seen: fits, light and dark, nothing serious for axe, quick with 500 runs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import assert_good, choose_adapters, settled
from made_runs import METHODS, RunsFolder, news_recipe
from made_searches import add_searches
from playwright.sync_api import Page
from serving import Server

from workbench import jobs
from workbench.store import write_json

pytestmark = pytest.mark.browser

FIRST_PAINT_SECONDS, SWITCH_SECONDS, REGISTERED = 2.0, 1.0, 500
ASKABLE = {"task": {"name": "text-classification"}, "labels": ["tech", "sport"], "base": "none"}
"""What the Playground has to know of an adapter."""
SLACK = 2.0 if os.environ.get("CI") else 1.0
"""Machines of a CI are shared, so a time is held to twice its limit there."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pages") / "runs"
    folder.mkdir()
    made = RunsFolder(folder)
    made.add_study()
    made.add(news_recipe("lora", name="lora-r32"), 0, "running")
    reason = "the loss is not a number at step 61\n  fix: lower training.learning_rate"
    made.add(news_recipe("prompt", name="prompt-fast"), 0, "failed", reason=reason)
    for path in folder.glob("news/*/adapter"):
        write_json(path / "workbench.json", ASKABLE)
    made.add_corrupt()
    add_searches(made)
    jobs.enqueue([news_recipe("prefix", name="prefix-40")], folder, seeds=[0, 1])
    with Server(folder) as running:
        yield running


def address(page: str, runs: Path) -> str:
    """Where a page is, of the run that shows most of it."""
    names = {path.name.rpartition("-")[0]: path.name for path in (runs / "news").iterdir()}
    lora, full = names["lora-s0"], names["full-s0"]
    return {
        "recipes": "/?study=bbc-news&recipe=lora",
        "runs": "/runs",
        "running": f"/runs?run=news/{names['lora-r32-s0']}",
        "finished": f"/runs?run=news/{lora}",
        "failed": f"/runs?run=news/{names['prompt-fast-s0']}",
        "corrupt": "/runs?run=news/broken-s0-00000000",
        "study": "/study?study=news",
        "searches": "/runs?what=Searches",
        "compare": "/compare",
        "compare-costs": "/compare?view=Costs",
        "compare-curves": "/compare?view=Curves",
        "compare-classes": "/compare?view=Classes",
        "compare-disagreements": "/compare?view=Disagreements",
        "compare-recipes": "/compare?view=Recipes",
        "compare-download": "/compare?view=Download",
        "playground": f"/playground?adapters=news/{lora}&adapters=news/{full}",
        "playground-file": f"/playground?adapters=news/{lora}&from=A%20file%20of%20texts",
        "export": f"/export?run=news/{lora}",
        "export-edit": f"/export?run=news/{lora}&edit=true",
        "import": "/export?way=Import",
    }[page]


PAGES = (
    "recipes", "study", "runs", "searches", "running", "finished", "failed", "corrupt", "compare",
    "compare-costs", "compare-curves", "compare-classes", "compare-disagreements",
    "compare-recipes", "compare-download", "playground", "playground-file", "export",
    "export-edit", "import",
)  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_can_be_used_by_everybody(name: str, server: Server, page: Page) -> None:
    server.open(page, address(name, server.runs))
    assert_good(page, name)


@pytest.mark.perf
def test_pages_are_quick_with_500_runs(runs: RunsFolder, page: Page) -> None:
    per_study = len(METHODS) * 5
    for study in range(REGISTERED // per_study):
        for method in METHODS:
            for seed in range(5):
                path = runs.add(news_recipe(method, study=f"study-{study:02d}"), seed)
                write_json(path / "adapter" / "workbench.json", ASKABLE)
    with Server(runs.path) as server:
        server.open(page, "/runs")  # the first visitor of a server pays for its imports
        settled(page)
        took = {}
        started = time.monotonic()
        server.open(page, "/runs")
        page.get_by_test_id("stDataFrame").first.wait_for()
        took["first paint"] = time.monotonic() - started
        for name, sign in (
            ("Recipes", page.get_by_role("button", name=re.compile(r"^Start \d"))),
            ("Runs", page.get_by_test_id("stDataFrame").first),
            ("Playground", page.get_by_role("combobox", name="Adapters")),
            ("Export", page.get_by_role("button", name="Download as zip")),
            ("Recipes", page.get_by_role("button", name=re.compile(r"^Start \d"))),
        ):
            started = time.monotonic()
            page.get_by_role("link", name=name).click()
            sign.wait_for()
            took[name] = time.monotonic() - started
            settled(page)
        server.open(page, "/playground")
        settled(page)
        started = time.monotonic()
        server.open(page, "/playground")
        page.get_by_role("combobox", name="Adapters").wait_for()
        took["playground, first paint"] = time.monotonic() - started
        started = time.monotonic()
        choose_adapters(page, "study-17/prefix-s3")
        page.get_by_role("textbox", name="Text", exact=True).wait_for()
        took["choosing one of 500 adapters"] = time.monotonic() - started
    print({name: round(seconds, 2) for name, seconds in took.items()})
    for name in ("first paint", "playground, first paint"):
        assert took.pop(name) < SLACK * FIRST_PAINT_SECONDS, name
    assert all(seconds < SLACK * SWITCH_SECONDS for seconds in took.values()), took
