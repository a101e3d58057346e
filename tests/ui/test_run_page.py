"""What the page of a run says where the run has left little behind."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.parquet as pq
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

from runs.run_examples import predictions_csv
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


def test_each_test_example_is_shown_with_its_answer_and_can_be_downloaded(
    runs: RunsFolder,
) -> None:
    path = runs.add(news_recipe("lora"), 0)
    columns = {
        "id": ["a", "b", "c"],
        "text": ["goal", "=cmd()", "bank"],
        "label": ["sport", "tech", "tech"],
        "prediction": ["sport", "sport", "tech"],
        "score": [0.9, 0.6, 0.7],
    }
    pq.write_table(pa.table(columns), path / "predictions.parquet")
    at = {"run": f"news/{path.name}", "show": "Examples"}
    (table,) = [f.value for f in open_view("runs", **at).dataframe if "prediction" in f.value]
    assert list(table["right"]) == [True, False, True] and list(table["score"]) == [0.9, 0.6, 0.7]
    app = open_view("runs", **at, errors="true")
    (table,) = [f.value for f in app.dataframe if "prediction" in f.value]
    assert list(table["id"]) == ["b"] and "1 example of 3" in texts(app)
    rows = list(csv.reader(predictions_csv(read_run(path)).decode().splitlines()))
    assert rows[0] == ["id", "text", "label", "prediction", "score"]
    assert rows[2][:2] == ["b", "'=cmd()"], "no spreadsheet computes it"
    assert "cannot be read" in texts(open_view("runs", run=_broken(path), show="Examples"))


def _broken(path: Path) -> str:
    (path / "predictions.parquet").write_bytes(b"PAR1")
    return f"news/{path.name}"


def test_a_run_is_edited_and_run_again_from_its_page(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("runs", run=f"news/{path.name}")
    (link,) = [e.proto for e in app.get("page_link") if e.proto.label == "Edit and run again"]
    given = dict(parse_qsl(link.query_string))
    assert given == {"path": str(path / "recipe.yaml")}
    app = open_view("recipes", **given)
    assert texts(app).count("news / lora") and not app.error


def test_a_run_has_a_page_of_its_own(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    app = open_view("runs", run=f"news/{path.name}")
    assert [title.value for title in app.title] == ["lora, seed 0"]
    assert not app.dataframe, "the table of all runs is another page"
    app.button(key="all-runs").click().run()
    assert [title.value for title in app.title] == ["Runs"] and "run" not in app.query_params
