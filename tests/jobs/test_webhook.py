"""The address that is told when runs have ended: which it may be, and what it gets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.store.stored_recipes import news_recipe
from workbench.errors import UsageError
from workbench.jobs import webhook
from workbench.jobs.worker import Worker
from workbench.store import Entry, Run, open_run, read_run

Posts = list[dict[str, Any]]


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    """What a server on this machine was posted; its path says how it answers."""
    got: Posts = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(json.loads(body))
            code = int(self.path[1:])
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/200")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(webhook.VARIABLE, f"http://127.0.0.1:{server.server_port}/200")
    yield got
    server.shutdown()
    server.server_close()


def ended(tmp_path: Path, seed: int = 0, reason: str = "the loss was nan") -> Run:
    writer = open_run(tmp_path, news_recipe(), seed)
    writer.close("failed", reason)
    return read_run(writer.path)


@pytest.mark.parametrize(
    "address",
    ["http://example.com/x", "ftp://localhost/", "file:///etc/passwd", "example.com", "https://",
     "http://localhost.example.com/", "http://[::1", "https://host:port/", "http://127.0.0.1@evil/"],
)  # fmt: skip
def test_an_address_in_the_clear_or_none_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(webhook.VARIABLE, address)
    with pytest.raises(UsageError, match="WORKBENCH_WEBHOOK") as refused:
        webhook.check_webhook()
    assert "evil" not in str(refused.value) and "example" not in str(refused.value)


@pytest.mark.parametrize("address", ["https://example.com/a?b", "http://localhost:9", ""])
def test_https_and_this_machine_may_be_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.VARIABLE, address)
    assert webhook.check_webhook() == address


def test_it_is_told_what_became_of_the_runs(
    posts: Posts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret123456")
    run = ended(tmp_path, reason="no access with hf_secret123456")
    assert webhook.announce([run]) is None
    (post,) = posts
    assert post["text"] == f"{run.path.parent.name}: 1 run ended, 1 failed"
    assert post["runs"] == [
        {"id": run.id, "state": "failed", "reason": "no access with [HF_TOKEN]", "metrics": {}}
    ]
    assert webhook.announce([]) is None and len(posts) == 1


@pytest.mark.parametrize("code", [302, 500])
def test_a_refusal_is_said_and_no_redirect_followed(
    code: int, posts: Posts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = webhook.check_webhook().replace("/200", f"/{code}")
    monkeypatch.setenv(webhook.VARIABLE, address)
    said = webhook.announce([ended(tmp_path)])
    assert said is not None and f"it answered {code}" in said and len(posts) == 1
    assert address not in said, "others could post to it"


def test_nobody_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.VARIABLE, "http://127.0.0.1:1/x")
    said = webhook.announce([ended(tmp_path)])
    assert said is not None and "was not told" in said


def test_a_server_that_never_ends_its_answer_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            for _ in range(200):  # each byte is within the limit of a read
                connection.sendall(b"H")
                time.sleep(0.1)

    threading.Thread(target=drip, daemon=True).start()
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 1)
    monkeypatch.setenv(webhook.VARIABLE, f"http://127.0.0.1:{server.getsockname()[1]}/x")
    began = time.monotonic()
    said = webhook.announce([ended(tmp_path)])
    server.close()
    assert said is not None and "no answer within 1 s" in said
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["https://x y/", "https://x/\n/"])
def test_an_address_with_a_space_in_it_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(webhook.VARIABLE, address)
    with pytest.raises(UsageError):
        webhook.check_webhook()


def test_a_worker_tells_once_when_the_queue_is_done(
    posts: Posts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [ended(tmp_path, seed) for seed in range(2)]
    about = {"recipe": "", "fields": {}, "job": "none-0"}
    worker = Worker(tmp_path, ["cpu"], lambda _: None)
    entries = [
        Entry(study=run.path.parent.name, name=run.path.name, seed=0, host=worker._host, slot="cpu",
              **about)
        for run in runs
    ]  # fmt: skip
    worker.queue.add(entries)
    monkeypatch.setattr(worker, "_catch_signals", lambda: None)
    monkeypatch.setattr(worker, "_record_failure", lambda *_: None)
    monkeypatch.setattr("workbench.jobs.worker.MOST_ATTEMPTS", 0)
    worker.run()
    worker.tell()
    (post,) = posts
    assert {run["id"] for run in post["runs"]} == {run.id for run in runs}
