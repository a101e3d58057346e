"""The playground in a real Chromium: two adapters, one text, their labels and why."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest
from browsing import assert_good, choose_adapters
from playwright.sync_api import Page, expect
from serving import Server

from tests.trained_runs import TrainedRuns

pytestmark = pytest.mark.browser

HOSTILE = "goal <script>window.hacked=1</script> <img src=x onerror=window.hacked=1> ![x](http://x)"


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children(recursive=True)
    module = "workbench.services.playground_worker"
    return [child for child in children if module in child.cmdline()]


@pytest.fixture
def runs_of_two(trained_runs: TrainedRuns, tmp_path: Path) -> Path:
    """A runs folder with two adapters of one tiny base."""
    for method in ("lora", "prefix"):
        trained_runs.copy(trained_runs.recipe("text-classification", method), tmp_path / "runs")
    return tmp_path / "runs"


def test_answers_and_explanations_can_be_used_by_everybody(page: Page, runs_of_two: Path) -> None:
    with Server(runs_of_two) as server:
        server.open(page, "/playground")
        choose_adapters(page, "prefix", "lora")
        page.get_by_role("textbox", name="Text", exact=True).fill("the team won the goal")
        page.get_by_role("button", name="Ask").click()
        for view, sign in (("Words", "Attribution for"), ("Attention", "Rollout over all layers")):
            page.get_by_role("radiogroup", name="Explain by").get_by_text(view).click()
            page.get_by_text(sign).first.wait_for()
            assert_good(page, f"playground-{view.lower()}")


def test_two_adapters_answer_one_text(page: Page, runs_of_two: Path) -> None:
    with Server(runs_of_two) as server:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        server.open(page, "/playground")
        choose_adapters(page, "lora", "prefix")
        expect(page.get_by_text("loaded with the first request")).to_be_visible()
        assert not workers_of(server)

        text = page.get_by_role("textbox", name="Text", exact=True)
        text.fill(HOSTILE)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_text(re.compile(r"\d% confident"))).to_have_count(2, timeout=60_000)
        for method in ("lora", "prefix"):
            expect(page.get_by_role("heading", name=f"{method}, seed 0")).to_be_visible()
        expect(page.get_by_text("2 adapters with their base models")).to_be_visible()
        expect(page.get_by_text(re.compile("Attribution for"))).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert page.evaluate("window.hacked === undefined")
        assert "script" not in page.url and "adapters=" in page.url

        page.get_by_role("radiogroup", name="Explain by").get_by_text("Attention").click()
        expect(page.get_by_text(re.compile("The prediction is read off"))).to_be_visible()
        page.wait_for_url("**look=Attention**")

        (worker,) = workers_of(server)
        page.get_by_role("button", name="Unload").click()
        expect(page.get_by_text("loaded with the first request")).to_be_visible()
        psutil.wait_procs([worker], timeout=10)
        assert not worker.is_running() and not workers_of(server)
        assert all(url.startswith((server.url, "ws:", "data:", "blob:")) for url in asked)
