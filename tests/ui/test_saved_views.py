"""Filters and columns of the table of runs under a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import assert_accessible, settled
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from playwright.sync_api import Page, expect
from serving import Server
from streamlit.testing.v1 import AppTest

from runs.run_table import REFRESH_SECONDS
from runs.saved_views import FILTERS, change_views, read_views, views_file
from workbench.errors import UsageError

PROMPTS = FILTERS | {"search": "prompt", "column": ["method.num_virtual_tokens"]}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own decisions, which is not there yet."""
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def recipes(app: AppTest) -> set[str]:
    return set(app.dataframe[0].value.recipe)


def test_a_view_is_named_chosen_again_and_deleted(runs: RunsFolder) -> None:
    runs.add_study()
    app = open_view("runs", search="prompt", column="method.num_virtual_tokens")
    app.text_input(key="view-name").set_value("only <b>prompts</b>").run()
    app.button(key="save-view").click().run()
    assert read_views() == {"only <b>prompts</b>": PROMPTS}
    app = open_view("runs")
    assert recipes(app) == {"full", "lora", "prefix", "prompt"}
    app.button(key="view:only <b>prompts</b>").click().run()
    assert not app.exception
    assert recipes(app) == {"prompt"} and app.text_input(key="search").value == "prompt"
    assert "method.num_virtual_tokens" in app.dataframe[0].value
    assert app.query_params["search"] == "prompt", "so that it can be sent as a link"
    app.button(key="drop-view:only <b>prompts</b>").click().run()
    assert read_views() == {} and recipes(app) == {"prompt"}


def test_a_view_keeps_the_order(runs: RunsFolder) -> None:
    runs.add_study()
    app = open_view("runs", sort="↑ training.learning_rate", column="training.learning_rate")
    app.text_input(key="view-name").set_value("by rate").run()
    app.button(key="save-view").click().run()
    app = open_view("runs", search="lora")
    app.button(key="view:by rate").click().run()
    rates = list(app.dataframe[0].value["training.learning_rate"])
    assert rates == sorted(rates) and len(set(rates)) > 1
    assert app.query_params["sort"] == "↑ training.learning_rate"
    app.multiselect(key="column").set_value([]).run()
    assert not app.exception and app.selectbox(key="sort").value == "Newest first"


def test_a_view_takes_away_filters_that_it_has_not(runs: RunsFolder) -> None:
    runs.add_study()
    runs.add(news_recipe("lora", study="other"), 0, "failed", reason="x")
    change_views("failed", FILTERS | {"state": ["failed"]})
    app = open_view("runs", search="prompt", of="news")
    app.button(key="view:failed").click().run()
    assert list(app.dataframe[0].value.study) == ["other"]
    assert not app.query_params.get("search") and not app.query_params.get("of")


@pytest.mark.parametrize("view", [{"state": ["failed"]}, {"of": ["gone"]}])
def test_a_view_of_what_is_not_there_shows_nothing_else(
    view: dict[str, list[str]], runs: RunsFolder
) -> None:
    runs.add_study()
    change_views("mine", FILTERS | view)
    app = open_view("runs")
    app.button(key="view:mine").click().run()
    assert "No runs match these filters" in texts(app) and not app.dataframe


@pytest.mark.parametrize(
    "content",
    [
        b'{"version": 1, "vie',
        b"\xff\0",
        b"[1]",
        b"[" * 100_000,
        b'{"views": {"a": 3, "": {}, "b": {"search": 5, "of": "news", "state": [1, "failed"]}}}',
        b'{"views": {"\\ud800": {"search": "\\udfff", "column": ["nothing"]}}}',
        b'{"views": {"a": {"sort": "by luck"}, "b": {"sort": 3}}}',
    ],
)
def test_a_damaged_file_breaks_nothing_and_is_kept(
    content: bytes, runs: RunsFolder, config: Path
) -> None:
    runs.add_study()
    config.mkdir()
    views_file().write_bytes(content)
    app = open_view("runs")
    for name in read_views():
        app.button(key=f"view:{name}").click().run()
        assert not app.exception
    change_views("mine", PROMPTS)
    assert read_views()["mine"] == PROMPTS
    damaged, readable = config / "run-views.damaged.json", content.startswith(b'{"views')
    assert damaged.exists() is not readable
    assert readable or damaged.read_bytes() == content


def test_a_view_without_a_name_or_place_is_refused_in_words(runs: RunsFolder, config: Path) -> None:
    runs.add_study()
    with pytest.raises(UsageError, match="needs a name"):
        change_views("  ", PROMPTS)
    app = open_view("runs")
    app.button(key="save-view").click().run()
    assert "needs a name" in texts(app) and not config.exists()
    assert app.toast[0].proto.duration == 0, "it stays: the table is drawn every other second"
    config.write_text("a file where the folder would be")
    app.text_input(key="view-name").set_value("mine").run()
    app.button(key="save-view").click().run()
    assert "WORKBENCH_CONFIG" in texts(app).replace("\\", "") and not app.exception


@pytest.mark.browser
def test_what_is_wrong_stays_over_redraws_until_it_is_closed(page: Page, runs: RunsFolder) -> None:
    runs.add_study()
    said = page.get_by_test_id("stToast").filter(has_text="a view needs a name")
    with Server(runs.path) as server:
        server.open(page, "/runs")
        settled(page)
        page.get_by_role("button", name="Views").click()
        page.get_by_role("button", name="Save this view").click()
        expect(said).to_be_visible()
        page.wait_for_timeout(3 * 1000 * REFRESH_SECONDS)
        expect(said).to_be_visible()
        assert_accessible(page)
        said.get_by_role("button", name="Close").click()
        expect(said).to_have_count(0)
        page.wait_for_timeout(1000 * REFRESH_SECONDS)
        expect(said).to_have_count(0)
