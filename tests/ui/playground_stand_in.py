"""What stands in for the playground's process, and the page that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from made_runs import RunsFolder, news_recipe
from streamlit.testing.v1 import AppTest

from workbench.cli.ui_server import app_path
from workbench.store import write_json

TEXT = "the team won the cup"
TIMES = {"seconds": 0.02, "loading_seconds": 0.0, "tokens": 7, "cut": False}
LABELS = {
    "kind": "labels",
    "prediction": "sport",
    "score": 0.9,
    "labels": [{"label": "tech", "probability": 0.1}, {"label": "sport", "probability": 0.9}],
}
TOKENS = [
    {"text": text, "special": text.startswith("["), "goes_on": text == "s"}
    for text in ("[CLS]", "team", "s", "won", "[SEP]")
]
ABOUT = {"about": "sport", "position": 0,
         "tokens": TOKENS, "cut": False, "unit": "log-probability"}  # fmt: skip


class StandIn:
    """Answers as the worker would, from what a test has put into ``says``."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.waiting = 0
        self.memory: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.says: dict[str, Any] = {
            "answer": LABELS,
            "attribution": lambda _: attribution(),
            "attention": attention,
        }
        self.unloaded = False

    def stream(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        self.pid = 1
        answer = self.says[request["do"]]
        if callable(answer):
            answer = answer(request)
        for piece in answer.get("told", ()):
            yield {"piece": piece, "probability": 0.5}
        self.memory = {"adapters": 2, "weights_bytes": 91_600_000, "process_bytes": 700_000_000}
        yield {"result": {**TIMES, **answer} if request["do"] == "answer" else answer}

    def unload(self) -> None:
        self.pid, self.memory, self.unloaded = None, {}, True


def attribution(**more: Any) -> dict[str, Any]:
    numbers = {"values": [0.0, 1.0, 0.5, -0.4, 0.0], "value": -0.1, "empty": -1.2, "gap": 0.001}
    return {**ABOUT, "adapter": numbers, "base": None, "why_no_base": "no base: at random", **more}


def attention(request: dict[str, Any]) -> dict[str, Any]:
    row = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    base = {"attention": [0.2] * 5, "rollout": [0.2] * 5}
    layer = request["layer"] % 3
    return {
        **ABOUT,
        "layers": 3, "heads": 2, "layer": layer, "head": request["head"],
        "virtual_rows": 0, "virtual_columns": 2, "first": 0, "map": [row] * 5,
        "share": [[0.5, 0.4]] * 3,
        "rows": {"adapter": {"attention": row, "rollout": row}, "base": base},
    }  # fmt: skip


def add_adapter(runs: RunsFolder, method: str = "lora", task: str = "text-classification") -> str:
    path = runs.add(news_recipe(method), 0)
    about = {"task": {"name": task}, "labels": ["tech", "sport"], "base": "tiny/base"}
    write_json(path / "adapter" / "workbench.json", about)
    return f"news/{path.name}"


def open_playground(*adapters: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(app_path()))
    app.default_timeout = 30
    app.run()
    app.switch_page("views/playground.py")
    app.query_params["adapters"] = list(adapters)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def ask(*adapters: str, text: str = TEXT, **query: str) -> AppTest:
    app = open_playground(*adapters, **query)
    app.text_area(key="playground-text").set_value(text).run()
    assert not app.exception
    return app


def charts_of(app: AppTest) -> list[list[dict[str, Any]]]:
    """The rows that each chart draws, in the page's order."""
    return [
        pa.ipc.open_stream(chart.proto.datasets[0].data.data).read_all().to_pylist()
        for chart in app.get("vega_lite_chart")
    ]
