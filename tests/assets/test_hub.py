"""A Hub that does not answer: every way to it gives up soon, and says what, where and why."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import evaluate
import huggingface_hub
import pytest
from huggingface_hub import constants

from workbench.adapters.export import push
from workbench.adapters.folder import load_base_of
from workbench.assets import hub
from workbench.data.columns import Columns
from workbench.data.hub import read_hub
from workbench.errors import DataError, ExportError, UsageError
from workbench.metrics.hub_metric import allow
from workbench.models import load_tokenizer
from workbench.recipe.schema import DataSpec, ModelSpec

LIMIT = 0.4
ENOUGH = 4.0
"""Seconds within which a call has to be back: its own limit is a tenth of that."""


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As for a user who is connected, with an empty cache; nothing stays switched."""
    monkeypatch.setattr(hub, "_known", hub._Known())
    monkeypatch.setattr(hub, "AGAIN_SECONDS", 0.05)
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", str(LIMIT))
    monkeypatch.delenv(hub.VARIABLE)
    for module in (constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", False)
    monkeypatch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    yield
    hub._switch_on()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def place(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=["silent", "refused", "no such name"])
def dead(
    request: pytest.FixtureRequest, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Words that a message has to have where the Hub is one of these."""
    address = "http://no-such-host.invalid" if request.param == "no such name" else place(listening)
    if request.param == "refused":
        listening.close()
    monkeypatch.setattr(constants, "ENDPOINT", address)
    silent = f"{address} has not answered within {LIMIT:g} s"
    # A name server that cannot be reached either takes as long as it likes.
    return silent if request.param == "silent" else address


def model() -> Any:
    return load_tokenizer(ModelSpec(source="somebody/model"))


def data() -> Any:
    return read_hub(
        DataSpec(source="somebody/data"), Columns(text="text", pair=None, label="label"), "train"
    )


def metric() -> Any:
    return allow(f"accuracy@{40 * '0'}")


def upload() -> Any:
    return push(Path("exports/mine"), "me/mine")


WAYS = [(model, UsageError), (data, DataError), (metric, UsageError), (upload, ExportError)]


@pytest.mark.parametrize(("way", "kind"), WAYS, ids=lambda each: each.__name__)
def test_each_way_gives_up_soon_and_says_why(
    way: Callable[[], Any], kind: type[Exception], dead: str
) -> None:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        way()
    assert time.monotonic() - started < ENOUGH
    error: Any = caught.value
    assert dead in f"{error.what} {error.why}" and error.where and error.fix
    assert str(error).count("\n") <= 2
    again = time.monotonic()
    with pytest.raises(kind):
        way()
    assert time.monotonic() - again < LIMIT, "it was asked a second time"


def test_the_base_of_an_export(
    tiny_bert: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", place(listening))
    about = {"auto_class": "AutoModelForSequenceClassification", "revision": None}
    with pytest.raises(ExportError, match="has not answered within"):
        load_base_of(tiny_bert, about, "somebody/model")


def test_an_upload_that_breaks_off_is_told_too(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of the HTTP client are of no kind that Python has."""
    monkeypatch.setattr(hub, "_ask", lambda _: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", broken)
    with pytest.raises(ExportError, match="the Hub did not take the upload: broken off"):
        upload()


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("broken off")


def test_a_hub_that_answers_is_asked_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Session:
        def head(self, address: str, **_: Any) -> int:
            asked.append(address)
            return 503  # an answer all the same

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    assert [hub.why_unreachable() for _ in range(3)] == [None] * 3
    assert asked == [constants.ENDPOINT] and not constants.is_offline_mode()
    hub._known.until = 0
    assert hub.why_unreachable() is None and len(asked) == 2


def test_one_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: list[Exception] = [ConnectionError("gone")]

    class Session:
        def head(self, *_: Any, **__: Any) -> None:
            if troubles:
                raise troubles.pop()

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    assert hub.why_unreachable() is None and not troubles


def test_who_is_connected_later_is_online_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str | None] = ["no", None]
    monkeypatch.setattr(hub, "_ask", lambda _: answers.pop(0))
    assert hub.why_unreachable() == "no"
    assert constants.is_offline_mode() and datasets.config.HF_HUB_OFFLINE
    assert evaluate.config.HF_EVALUATE_OFFLINE and os.environ[hub.VARIABLE] == "1"
    hub._known.until = 0
    assert hub.why_unreachable() is None
    assert not (constants.is_offline_mode() or datasets.config.HF_HUB_OFFLINE)
    assert not evaluate.config.HF_EVALUATE_OFFLINE and hub.VARIABLE not in os.environ


def test_who_wants_to_be_offline_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv(hub.VARIABLE, "1")
    monkeypatch.setattr(hub, "_ask", lambda _: pytest.fail("it was asked"))
    assert "is set, so the Hub is not asked" in str(hub.why_unreachable())
    assert evaluate.config.HF_EVALUATE_OFFLINE and os.environ[hub.VARIABLE] == "1"
