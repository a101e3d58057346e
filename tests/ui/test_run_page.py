"""What the page of a run says where the run has left little behind."""

from __future__ import annotations

import json

from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

from runs.run_log import told
from workbench.analysis.tables import forecast_table
from workbench.store import read_run, write_json


def test_a_log_without_a_word_is_told_from_the_record(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    (path / "log.txt").write_text("")
    rows = [
        {"kind": "validation", "step": 2, "metrics": {"accuracy": 0.5}, "best": True},
        {"kind": "step", "step": 1, "loss": 1.25},
        {"kind": "step", "step": 2, "loss": None},
        {"kind": "warning", "message": "a <b>word</b>"},
    ]
    (path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [
        "step 1: loss 1.2500",
        "step 2: validation accuracy 0.5000 (best so far)",
        "step 2: no loss",
        "warning a <b>word</b>",
    ]
    assert told(rows) == lines
    app = open_view("runs", run=f"news/{path.name}", show="Log")
    (shown,) = [code.value for code in app.code if "loss" in code.value]
    assert sorted(shown.splitlines()) == sorted(lines)
    app = open_view("runs", run=f"news/{path.name}", show="Log", find="accuracy 0.5")
    assert "1 line found" in texts(app)


def test_a_printed_log_is_shown_as_it_is(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    (path / "log.txt").write_text("said by the run\n")
    said = texts(open_view("runs", run=f"news/{path.name}", show="Log"))
    assert "said by the run" in said and "printed nothing" not in said


def test_a_finished_run_does_not_wait_for_a_validation_or_a_step(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    steps = '{"kind": "step", "step": 1, "loss": 0.5}\n'
    (path / "events.jsonl").write_text(steps)
    said = texts(open_view("runs", run=f"news/{path.name}"))
    assert "This run was not validated." in said and "yet" not in said
    (path / "events.jsonl").write_bytes(b"\0" * 500)
    said = texts(open_view("runs", run=f"news/{path.name}"))
    assert "events.jsonl is missing or cannot be read." in said and "yet" not in said
    running = runs.add(news_recipe("full"), 0, "running")
    (running / "events.jsonl").write_text(steps)
    assert "Not validated yet." in texts(open_view("runs", run=f"news/{running.name}"))


def test_a_forecast_stands_beside_what_was_measured(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    result = read_run(path).result
    forecast = {"peak_memory_bytes": result["memory"]["peak_memory_bytes"] * 1.1, "note": "x"}
    write_json(path / "result.json", {**result, "forecast": forecast})
    app = open_view("runs", run=f"news/{path.name}")
    (table,) = [frame.value for frame in app.dataframe if "forecast" in frame.value.columns]
    assert list(table["error"]) == ["+10.0%"]


def test_a_forecast_that_no_run_has_is_no_column() -> None:
    row = {"peak_memory_bytes": (2e8, 3e8), "seconds_per_step": (None, 0.1),
           "adapter_bytes": (None, None)}  # fmt: skip
    headers = forecast_table([{"label": "lora", **row}]).headers
    assert [h for h in headers if "forecast" in h] == ["peak memory, forecast"]
