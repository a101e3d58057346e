"""The login to the Hub: kept by huggingface_hub, and its token by nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

from export import hub_login

CANARY = "hf_canary12345"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for the Hub and its store of one token."""
    kept = SimpleNamespace(token=None, error=None)

    def whoami(token: str | None = None) -> dict[str, Any]:
        if kept.error:
            raise kept.error
        return {"name": "ada"}

    monkeypatch.setattr(hub_login, "get_token", lambda: kept.token)
    monkeypatch.setattr(hub_login, "whoami", whoami)
    monkeypatch.setattr(hub_login, "login", lambda *, token, **_: setattr(kept, "token", token))
    monkeypatch.setattr(hub_login, "logout", lambda: setattr(kept, "token", None))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return kept


def log_in(app: AppTest) -> AppTest:
    (field,) = [each for each in app.text_input if each.label == "Token to log in with"]
    field.set_value(CANARY)
    return app.button(key="hub-login-now").click().run()


def everywhere(app: AppTest, folder: Path) -> str:
    files = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    return "\n".join([texts(app), str(app.query_params), *files])


def test_a_login_is_kept_and_ended(runs: RunsFolder, hub: SimpleNamespace) -> None:
    runs.add(news_recipe("lora"), 0)
    app = log_in(open_view("export"))
    assert not app.exception and hub.token == CANARY
    assert "Logged in to the Hub as ada." in texts(app)
    assert CANARY not in everywhere(app, runs.path)
    assert "There is a token for the Hub." in texts(open_view("export")), "nobody is asked unasked"
    app.button(key="hub-logout").click().run()
    assert hub.token is None and "Not logged in to the Hub." in texts(app)


def test_a_token_that_is_none_is_said_and_not_kept(runs: RunsFolder, hub: SimpleNamespace) -> None:
    runs.add(news_recipe("lora"), 0)
    hub.error = ConnectionError(f"401 for Bearer {CANARY}")
    app = log_in(open_view("export"))
    assert not app.exception and hub.token is None
    assert "401 for Bearer ***" in texts(app) and CANARY not in everywhere(app, runs.path)


def test_a_token_of_the_environment_is_not_logged_out(
    runs: RunsFolder, hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.add(news_recipe("lora"), 0)
    monkeypatch.setenv("HF_TOKEN", CANARY)
    hub.token = CANARY
    app = open_view("export")
    assert "It comes from the environment of this server." in texts(app)
    assert "hub-logout" not in {button.key for button in app.button}
    app.button(key="hub-whoami").click().run()
    assert "Logged in to the Hub as ada." in texts(app)
