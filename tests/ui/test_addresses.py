"""Addresses: what one names that is not there is said, and pages come back as they were left."""

from __future__ import annotations

import pytest
from browsing import assert_accessible, settled
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


@pytest.mark.parametrize(
    ("view", "query", "said"),
    [
        ("compare", {"stduies": "news"}, "'stduies'*Did you mean studies?"),
        ("runs", {"study": "news"}, "'study'"),
        ("compare", {"run": "news/x"}, "'run'*Did you mean runs?"),
        ("recipes", {"sets": "method.r=4", "study": "bbc-news"}, "'sets'*Did you mean set?"),
        ("new", {"dta": "x"}, "'dta'*Did you mean data?"),
        ("study", {"studies": "news"}, "'studies'*Did you mean study?"),
    ],
)
def test_a_key_that_nothing_on_the_page_reads_is_said_and_goes(
    view: str, query: dict[str, str], said: str, runs: RunsFolder
) -> None:
    runs.add_study()
    app = open_view(view, **query)
    key, _, near = said.partition("*")
    (toast,) = app.toast
    words = f"The address has the key {key}, which nothing on this page reads. {near}".strip()
    assert toast.value == plain(words)
    assert key.strip("'") not in app.query_params
    assert not app.run().toast


def test_an_address_whose_values_are_there_says_nothing(runs: RunsFolder) -> None:
    runs.add_study()
    for view, query in (
        ("recipes", {"study": "bbc-news", "recipe": "full", "method": "full"}),
        ("compare", {"studies": "news", "score": "accuracy", "baseline": "lora"}),
        ("compare", {"view": "Curves", "studies": "news", "smooth-1": "0.6"}),
        ("recipes", {"recipe": "full", "set": "training.epochs=5", "path": "", "draft": "x"}),
        ("study", {"study": "news", "view": "Costs", "score": "accuracy"}),
        ("runs", {"of": "news", "search": "lora"}),
        ("playground", {"from": "A file of texts"}),
        ("runs", {"run": "news/lora-s0-0", "of": "news", "metric": "accuracy"}),
        ("new", {"data": "asset:bbc-news", "seeds": "2", "values": "lora:method.r=4"}),
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
    assert len(open_view("runs").dataframe[0].value) == 1
    app = open_view("runs", run=f"news/{path.name}")
    assert "lora, seed 0" in [title.value for title in app.title]


def go(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
    settled(page)


def open_and_edit(page: Page, server: Server, epochs: str) -> None:
    server.open(page, "/?study=bbc-news&recipe=full")
    settled(page)
    box = page.get_by_role("spinbutton", name="epochs", exact=True)
    box.fill(epochs)
    box.press("Enter")
    expect(page.get_by_text(f"--set training.epochs={epochs}.0")).to_be_visible()


def shows(page: Page, epochs: str) -> None:
    box = page.get_by_role("spinbutton", name="epochs", exact=True)
    expect(box).to_have_value(epochs)
    expect(page.get_by_role("heading", name="bbc-news / full")).to_be_visible()


@pytest.mark.browser
def test_pages_come_back_as_they_were_left(page: Page, runs: RunsFolder) -> None:
    """Also those that were entered again: Back stops once at each."""
    runs.add(news_recipe("lora"), 0)
    runs.add(news_recipe("full"), 0)
    curves = page.get_by_role("tab", name="Curves")
    compare, recipes = "/compare?view=Curves", "/?study=bbc-news&recipe=full&set="
    with Server(runs.path) as server:
        open_and_edit(page, server, "5")
        go(page, "Compare")
        assert "recipe" not in page.url and "set" not in page.url
        curves.click()
        settled(page)
        go(page, "Recipes")
        go(page, "Compare")
        steps = [(page.go_back, recipes), (page.go_back, compare), (page.go_back, recipes)]
        for step, address in (*steps, (page.go_forward, compare), (page.reload, compare)):
            step()
            settled(page)
            assert page.url.removeprefix(server.url).startswith(address)
            if address == recipes:
                shows(page, "5")
            else:
                expect(curves).to_have_attribute("aria-selected", "true")


@pytest.mark.browser
def test_back_to_a_page_without_values_shows_it_without(page: Page, runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0)
    search = page.get_by_role("textbox", name="Search")
    with Server(runs.path) as server:
        server.open(page, "/runs")
        for name in ("Compare", "Runs"):
            settled(page)
            go(page, name)
        search.fill("lora")
        search.press("Enter")
        settled(page)
        for _ in range(2):
            page.go_back()
            settled(page)
        expect(search).to_have_value("")
        for _ in range(2):
            page.go_forward()
            settled(page)
        expect(search).to_have_value("lora")


@pytest.mark.browser
def test_back_undoes_an_edit_and_the_choice_of_a_run(page: Page, runs: RunsFolder) -> None:
    lora, _ = (runs.add(news_recipe(method), 0) for method in ("lora", "full"))
    with Server(runs.path) as server:
        open_and_edit(page, server, "7")
        settled(page)
        page.go_back()
        settled(page)
        shows(page, "2")
        server.open(page, f"/runs?run=news/{lora.name}")
        page.get_by_role("button", name="All runs").click()
        settled(page)
        table = page.get_by_test_id("data-grid-canvas").first
        table.click(position={"x": 200, "y": 60}, force=True)  # a cell of the first row
        shown = page.get_by_role("heading", name="full, seed 0")
        expect(shown).to_be_visible()
        expect(page.get_by_role("textbox", name="Search")).to_have_count(0)  # of the table
        page.go_back()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        settled(page)
        expect(shown).to_have_count(0)
        page.go_back()
        expect(page.get_by_role("heading", name="lora, seed 0")).to_be_visible()


@pytest.mark.browser
def test_ticked_runs_stand_in_the_address_and_a_cell_opens_one(
    page: Page, runs: RunsFolder
) -> None:
    for method in ("lora", "full", "prompt"):
        runs.add(news_recipe(method), 0)
    with Server(runs.path) as server:
        server.open(page, "/runs")
        settled(page)
        table = page.get_by_test_id("data-grid-canvas").first
        for y, said in ((60, "1 run selected"), (95, "2 runs selected")):  # two boxes
            table.click(position={"x": 20, "y": y}, force=True)
            expect(page.get_by_role("heading", name=said)).to_be_visible()
        assert page.url.count("picked=") == 2
        page.reload()
        expect(page.get_by_role("heading", name="2 runs selected")).to_be_visible()
        settled(page)
        assert_accessible(page)
        table.click(position={"x": 20, "y": 95}, force=True)
        expect(page.get_by_role("heading", name="1 run selected")).to_be_visible()
        page.get_by_role("textbox", name="Search").fill("news")
        page.get_by_role("textbox", name="Search").press("Enter")
        settled(page)
        table.click(position={"x": 200, "y": 60}, force=True)
        page.get_by_role("button", name="All runs").click()
        expect(page.get_by_role("heading", name="1 run selected")).to_be_visible()
        expect(page.get_by_role("textbox", name="Search")).to_have_value("news")
