"""What people and accidents do to a page: many clicks, many tabs, dead servers, foul text."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import psutil
import pytest
from browsing import settled
from made_runs import RunsFolder, news_recipe
from playwright.sync_api import Browser, Page, expect
from serving import Server
from tiny_study import write_study

from workbench import jobs
from workbench.store import ACTIVE, Run, list_runs, read_run, write_json

pytestmark = pytest.mark.browser

FOUL = (
    "<img src=http://127.0.0.1:9/x onerror=document.title='hit'> ![i](http://127.0.0.1:9/p) "
    "[c](javascript:alert(1)) :red[x] $a$ =HYPERLINK(1) <script>document.title='hit'</script>"
)
TYPED = (
    "../../etc/passwd", "/etc/passwd", "..\\x", "%2e%2e%2fx", "CON", "a" * 300, "🙂", "‮abc",
    "$(touch /tmp/x)", "; touch x", "{{7*7}}", "=1+1",
)  # fmt: skip
TRUTH_SECONDS = 10


@pytest.fixture
def slow_study(tmp_path: Path, tiny_bert: Path, topics_file: Path) -> Path:
    """A recipe that trains until it is stopped."""
    methods = {"lora": {"name": "lora", "r": 4}}
    return write_study(tmp_path / "endless", tiny_bert, topics_file, methods, epochs=9000)


def test_ten_clicks_in_five_tabs_start_one_run_that_outlives_them_all(
    browser: Browser, slow_study: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    with Server(runs) as server:
        tabs = [browser.new_page() for _ in range(5)]
        for tab in tabs:
            tab.set_default_timeout(60_000)
            server.open(tab, f"/?path={slow_study}")
            tab.get_by_role("button", name="Start 2 runs").wait_for()
        for tab in tabs:
            tab.get_by_role("button", name="Start 2 runs").dblclick(no_wait_after=True)
        try:
            run = _once_it_trains(runs)
            assert len([f for f in (runs / ".jobs").iterdir() if f.name != "claims"]) == 1
            for tab in tabs:
                tab.close()
            server.kill()
            assert psutil.pid_exists(run.status["pid"])
            _another_server_tells_the_truth_and_can_stop_it(browser, run)
        finally:
            for each in list_runs(runs):
                if each.state in ACTIVE:
                    jobs.stop(each)


def _once_it_trains(runs: Path) -> Run:
    """The only run, which has taken its first steps."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = list_runs(runs)
        assert len(found) <= 1
        if found and found[0].status.get("progress"):
            assert found[0].state == "running"
            return found[0]
        time.sleep(0.3)
    raise AssertionError(f"no step was taken: {list_runs(runs)}")


def _another_server_tells_the_truth_and_can_stop_it(browser: Browser, run: Run) -> None:
    with Server(run.path.parent.parent) as server:
        page = browser.new_page()
        server.open(page)
        settled(page)
        step = read_run(run.path).status["progress"]["step"]
        server.open(page, f"/runs?run={run.id}")
        expect(page.get_by_text("time left")).to_be_visible(timeout=TRUTH_SECONDS * 1000)
        page.get_by_role("button", name="Stop", exact=True).and_(
            page.locator("[data-testid=stMain] button")
        ).click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=60_000)
        stopped = read_run(run.path)
        assert stopped.state == "stopped" and stopped.status["progress"]["step"] >= step
        page.close()


def test_a_run_that_is_killed_is_told_within_ten_seconds_and_without_a_click(
    page: Page, runs: RunsFolder
) -> None:
    sleeper = psutil.Popen(["sleep", "600"])
    started = psutil.Process(sleeper.pid).create_time()
    path = runs.add(news_recipe("lora"), 0, "running", pid=sleeper.pid, process_started_at=started)
    with Server(runs.path) as server:
        server.open(page, f"/runs?run=news/{path.name}")
        expect(page.get_by_text("step 60 of 100")).to_be_visible()
        _advance(path, 75)
        expect(page.get_by_text("step 75 of 100")).to_be_visible(timeout=TRUTH_SECONDS * 1000)
        sleeper.kill()
        sleeper.wait()
        told = page.get_by_text("This run was interrupted")
        expect(told).to_be_visible(timeout=TRUTH_SECONDS * 1000)
        shutil.rmtree(path)  # and then somebody deletes it under the page
        page.reload()
        settled(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)


def _advance(path: Path, step: int) -> None:
    status = read_run(path).status
    progress = {**status["progress"], "step": step}
    write_json(path / "status.json", {**status, "progress": progress})


def test_foul_text_is_text_wherever_it_comes_from(page: Page, runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "failed", reason=FOUL)
    write_json(path / "status.json", {**read_run(path).status, "recipe": FOUL, "study": FOUL})
    (path / "log.txt").write_text(FOUL)
    with open(path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "warning", "message": FOUL}) + "\n")
    done = runs.add(news_recipe("full"), 0)
    (done / "adapter" / "README.md").write_text(FOUL)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with Server(runs.path) as server:
        for place in (
            f"/runs?run=news/{path.name}",
            f"/runs?run=news/{path.name}&show=Log",
            "/runs?run=" + "%3Cimg%20src%3Dx%3E",
            f"/export?run=news/{done.name}",
            "/compare",
        ):
            server.open(page, place)
            settled(page)
            expect(page.get_by_test_id("stException")).to_have_count(0)
            assert page.locator("img[src*='127.0.0.1:9']").count() == 0
            assert page.locator("a[href^='javascript']").count() == 0
            assert page.title() != "hit"
    assert not [url for url in asked if ":9/" in url]


def test_nothing_that_is_typed_or_linked_breaks_a_page_or_makes_a_file(
    page: Page, runs: RunsFolder, tmp_path: Path
) -> None:
    runs.add(news_recipe("lora"), 0)
    before = sorted(tmp_path.rglob("*"))
    with Server(runs.path) as server:
        server.open(page, "/?hub=any")
        page.get_by_role("button", name="Save as a new recipe").click()
        name = page.get_by_role("textbox", name="Name")
        for text in TYPED:
            name.fill(text)
            page.get_by_test_id("stFormSubmitButton").get_by_role("button").first.click()
            expect(page.get_by_text("Bad arguments")).to_be_visible()
        for key in ("run", "search", "of", "state", "find", "metric", "show"):
            server.open(page, f"/runs?{key}=..%2F..%2Fetc%2Fpasswd%00%F0%9F%99%82")
            settled(page)
            expect(page.get_by_test_id("stException")).to_have_count(0)
        for key in ("study", "recipe", "task", "hub", "part", "set", "path", "processes"):
            server.open(page, f"/?{key}=..%2F..%2Fetc%2Fpasswd")
            settled(page)
            expect(page.get_by_test_id("stException")).to_have_count(0)
    left = [p for p in sorted(tmp_path.rglob("*")) if p not in before and "server-" not in p.name]
    assert left == []
