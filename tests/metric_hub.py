"""A Hub on this machine that has metrics at one commit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import evaluate
import pytest
from datasets import config as datasets_config
from huggingface_hub import constants

from workbench.assets import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
METRIC = """
import evaluate
from datasets import Features, Value
from .distance import distance


class Miss(evaluate.Metric):
    def _info(self):
        columns = {"predictions": Value("int64"), "references": Value("int64")}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=Features(columns)
        )

    def _compute(self, predictions, references):
        pairs = list(zip(predictions, references))
        return {"miss": sum(distance(*pair) for pair in pairs) / len(pairs)}
"""
DISTANCE = "def distance(a, b):\n    return abs(a - b)\n"


class MetricHub:
    """Its files by path, and which were asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, str] = {}
        self.asked: list[str] = []

    def add(self, name: str, text: str, repository: str = "evaluate-metric/miss") -> None:
        self.files[f"/spaces/{repository}/resolve/{COMMIT}/{name}"] = text


@contextmanager
def metric_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricHub]:
    """Serves ``evaluate-metric/miss``, for this process and those that it starts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            text = found.files.get(self.path)
            self.send_response(200 if text is not None else 404)
            self.end_headers()
            self.wfile.write((text or "no such file").encode())

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = MetricHub(f"http://127.0.0.1:{server.server_address[1]}")
    found.add("miss.py", METRIC)
    found.add("distance.py", DISTANCE)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    go_online(monkeypatch, found.address)
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        hub._switch_on()


def go_online(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """As for a user who is connected, to the Hub at this address."""
    monkeypatch.setattr(hub, "_known", hub._Known())
    monkeypatch.delenv(hub.VARIABLE, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    for module, name in (
        (constants, "HF_HUB_OFFLINE"),
        (datasets_config, "HF_HUB_OFFLINE"),
        (datasets_config, "HF_DATASETS_OFFLINE"),
        (evaluate.config, "HF_EVALUATE_OFFLINE"),
    ):
        monkeypatch.setattr(module, name, False)


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hub.VARIABLE, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
