"""From reviews.csv to a comparison and an adapter in a browser, and how many actions that takes."""

from __future__ import annotations

import csv
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import assert_good
from playwright.sync_api import Page, expect
from serving import Server

from tests.tiny_models import TOPICS, WORDS
from workbench.store import list_runs

pytestmark = pytest.mark.browser

MOST_ACTIONS = 12
RUN_MS = 300_000


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """600 rows in three classes: one has a slip and a space, ten rows have none."""
    draw = random.Random(0)
    path = tmp_path / "reviews.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "review", "stars", "author"])
        for i in range(600):
            name = draw.choice(list(TOPICS))
            words = draw.choices([WORDS[k] for k in TOPICS[name]], k=4) + draw.choices(WORDS, k=6)
            slip = {7: "", 11: "sprot" if name == "sport" else name, 13: f"{name} "}.get(
                i % 60, name
            )
            table.writerow([i, " ".join(words), slip, f"author {i % 48}"])
    return path


class Actions:
    """Does what a person does, and counts it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, what: str, act: Callable[[], object]) -> None:
        act()
        self.done.append(what)


def test_from_a_csv_to_a_comparison_and_an_adapter(
    page: Page, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    runs, do = tmp_path / "runs", Actions()
    # A tiny model and few runs, for the time that the test takes.
    small = "method=full&method=lora&seeds=2"
    with Server(runs) as server:
        server.open(page)
        expect(page.get_by_role("heading", name="New study")).to_be_visible()
        assert_good(page, "new-study-empty")
        server.open(page, f"/new?{small}")
        upload = page.get_by_test_id("stFileUploaderDropzoneInput")
        do("upload", lambda: upload.set_input_files(reviews))
        page.get_by_role("button", name="Leave these rows out").wait_for()
        do("drop", page.get_by_role("button", name="Leave these rows out").click)
        do("merge", page.get_by_role("button", name="Read it as").click)
        model = page.get_by_role("combobox", name="Model")
        model.wait_for(timeout=RUN_MS)
        do("type a model", lambda: model.fill(str(tiny_bert)))
        do("take it", lambda: model.press("Enter"))
        expect(page.get_by_text(f"--model {tiny_bert}").first).to_be_visible(timeout=RUN_MS)
        start = page.get_by_role("button", name="Start 4 runs")
        expect(start).to_be_visible(timeout=RUN_MS)
        page.reload()  # nothing is lost
        expect(start).to_be_visible(timeout=RUN_MS)
        assert_good(page, "new-study")
        do("start", start.click)
        page.wait_for_url("**/study?study=*")
        expect(page.get_by_text("4 of 4 runs finished")).to_be_visible(timeout=2 * RUN_MS)
        assert [run.state for run in list_runs(runs)] == ["finished"] * 4
        expect(page.get_by_role("heading", name="Conclusions")).to_be_visible(timeout=RUN_MS)
        do("export", page.get_by_role("link", name="Export the best").click)
        expect(page.get_by_text("workbench export reviews")).to_be_visible()
        with page.expect_download() as download:
            do("download", page.get_by_role("button", name="Download as zip").click)
        archive = tmp_path / "adapter.zip"
        download.value.save_as(archive)
    with zipfile.ZipFile(archive) as content:
        assert any(name.endswith("adapter_model.safetensors") for name in content.namelist())
    assert len(do.done) <= MOST_ACTIONS, do.done
    study = next((tmp_path / "my-recipes").iterdir())
    first = (study / "_base.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# Made by: workbench new ")
