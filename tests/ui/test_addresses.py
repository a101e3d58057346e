"""Addresses: what one names that is not there is said, and pages come back as they were left."""

from __future__ import annotations

import pytest
from browsing import settled
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from playwright.sync_api import Page, expect
from serving import Server

from layout import plain
from runs import run_table
from workbench import jobs
from workbench.store import Queue


@pytest.mark.parametrize(
    ("view", "query", "said"),
    [
        ("recipes", {"study": "nowhere"}, "study 'nowhere'"),
        ("recipes", {"study": "bbc-news", "recipe": "nothing"}, "recipe 'nothing'"),
        ("recipes", {"method": "loro"}, "method 'loro'"),
        ("compare", {"studies": "nowhere"}, "study 'nowhere'"),
        ("compare", {"recipes": "nothing"}, "recipe 'nothing'"),
        ("compare", {"score": "glory"}, "metric 'glory'"),
        ("compare", {"baseline": "nothing"}, "baseline 'nothing'"),
        ("runs", {"of": "nowhere"}, "study 'nowhere'"),
        ("export", {"run": "news/none"}, "run 'news/none'"),
    ],
)
def test_what_an_address_names_and_is_not_there_is_said(
    view: str, query: dict[str, str], said: str, runs: RunsFolder
) -> None:
    runs.add_study()
    app = open_view(view, **query)
    (toast,) = app.toast
    assert toast.value == plain(f"The address names the {said}, which is not here.")


def test_an_address_whose_values_are_there_says_nothing(runs: RunsFolder) -> None:
    runs.add_study()
    for view, query in (
        ("recipes", {"study": "bbc-news", "recipe": "full", "method": "full"}),
        ("compare", {"studies": "news", "score": "accuracy", "baseline": "lora"}),
    ):
        assert not open_view(view, **query).toast


def test_a_run_that_is_not_there_is_said(runs: RunsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.add(news_recipe("lora"), 0)
    name = "news/lora-s9-00000000"
    shown = texts(open_view("runs", run=name))
    assert "There is no such run" in shown and "starting" not in shown
    monkeypatch.setattr(run_table, "pending", lambda: {name: (runs.path / name, False)})
    shown = texts(open_view("runs", run=name))
    assert "Its process is starting" in shown and "no such run" not in shown


def test_a_queued_run_says_its_place(runs: RunsFolder) -> None:
    jobs.enqueue([news_recipe("lora")], runs.path, seeds=[0, 1])
    second = Queue(runs.path).list()[1]
    shown = texts(open_view("runs", run=second.id))
    assert "Number 2 in the queue, and no worker is running" in shown
    assert "starting" not in shown


def test_a_run_behind_a_link_can_be_opened(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    away = runs.path.parent / path.name
    path.rename(away)
    path.symlink_to(away)
    app = open_view("runs", run=f"news/{path.name}")
    assert len(app.dataframe[0].value) == 1
    assert "lora, seed 0" in [header.value for header in app.header]


@pytest.mark.browser
def test_pages_come_back_as_they_were_left_and_back_shows_what_was_there(
    page: Page, runs: RunsFolder
) -> None:
    paths = [runs.add(news_recipe(method), 0) for method in ("lora", "full")]

    def go(name: str) -> None:
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
        settled(page)

    def epochs(value: str) -> None:
        box = page.get_by_role("spinbutton", name="epochs", exact=True)
        expect(box).to_have_value(value)
        expect(page.get_by_role("heading", name="bbc-news / full")).to_be_visible()

    with Server(runs.path) as server:
        server.open(page, "/?study=bbc-news&recipe=full")
        settled(page)
        box = page.get_by_role("spinbutton", name="epochs", exact=True)
        box.fill("5")
        box.press("Enter")
        expect(page.get_by_text("--set training.epochs=5.0")).to_be_visible()
        go("Compare")
        assert "recipe" not in page.url and "set" not in page.url
        page.get_by_role("tab", name="Curves").click()
        go("Recipes")
        epochs("5")
        go("Compare")
        curves = page.get_by_role("tab", name="Curves")
        expect(curves).to_have_attribute("aria-selected", "true")
        page.go_back()
        settled(page)
        epochs("5")
        page.go_forward()
        settled(page)
        expect(curves).to_have_attribute("aria-selected", "true")

        # What was edited is undone by Back, and a run that was chosen too.
        server.open(page, "/?study=bbc-news&recipe=full")
        settled(page)
        box.fill("7")
        box.press("Enter")
        expect(page.get_by_text("--set training.epochs=7.0")).to_be_visible()
        settled(page)
        page.go_back()
        settled(page)
        epochs("2")
        server.open(page, f"/runs?run=news/{paths[0].name}")
        settled(page)
        table = page.get_by_test_id("data-grid-canvas").first
        table.click(position={"x": 20, "y": 60}, force=True)
        shown = page.get_by_role("heading", name="full, seed 0")
        expect(shown).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="lora, seed 0")).to_be_visible()
        settled(page)
        expect(shown).to_have_count(0)
