"""``runs``, ``show`` and ``log``, on run folders in every state."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_runs_lists_states_and_progress(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("a-s0-1")
    progress = {"phase": "train", "step": 10, "steps": 100, "eta_seconds": 31.0}
    make_run("b-s0-1", "running", progress=progress)
    make_run("c-s0-1", "failed", reason="the loss\nwas nan")
    (make_run("d-s0-1") / "status.json").write_text('{"state": "fini')
    make_run("e-s0-1", "running", pid=2**22 + 1)
    make_run("f-s0-1", "stopped", started_at=1e300)
    answer = workbench("runs", "--runs", tmp_path / "runs")
    assert answer.code == 0
    lines = {line.split()[0]: line for line in answer.out.splitlines()[2:-1]}
    assert "finished" in lines["s/a-s0-1"] and "accuracy 0.9625" in lines["s/a-s0-1"]
    assert "train 10/100, 31.0 s left" in lines["s/b-s0-1"]
    assert "the loss was nan" in lines["s/c-s0-1"]
    assert "unreadable" in lines["s/d-s0-1"] and "interrupted" in lines["s/e-s0-1"]
    assert answer.out.splitlines()[-1] == "6 runs, 1 active"
    rows = workbench("runs", tmp_path / "runs", "--json").json["runs"]
    assert [row["state"] for row in rows][:3] == ["finished", "running", "failed"]
    assert rows[1]["progress"]["step"] == 10


def test_no_runs_is_no_error(workbench: Callable[..., Any]) -> None:
    answer = workbench("runs")
    assert answer.code == 0 and answer.out.startswith("no runs below runs")
    assert workbench("runs", "--json").json == {"runs": []}


def test_show_prints_the_record(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_run()
    out = workbench("show", path).out
    for text in (
        "s/lora-s0-12345678: finished", "A test.", "accuracy 0.9625", "measured fastest",
        "step 50, validation accuracy 0.95", "296,450 (0.27% of all)", "109,778,690",
        "1.19 MB", "2 GB", "2 min 05 s",
        "majority class", "duplicates removed", "! only one seed", str(path / "log.txt"), "VmHWM",
    ):  # fmt: skip
        assert text in out
    document = workbench("show", "lora-s0", "--runs", tmp_path / "runs", "--json").json
    assert document["result"]["adapter_bytes"] == 1190000


def test_show_of_another_task_leaves_out_what_it_has_not(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    path = make_run(task="question-answering")
    result = json.loads((path / "result.json").read_text())
    result |= {
        "metrics": {"test": {"answer_f1": 0.81, "exact_match": None}},
        "selected": {"step": 50, "metric": None, "value": None},
        "data": {"sizes": {"train": 800}, "features": {"train": 1312}, "labels": []},
        "references": {},
    }
    (path / "result.json").write_text(json.dumps(result))
    out = workbench("show", path).out
    for text in (
        "question-answering", "answer_f1 0.81  exact_match –", "step 50, the last", "train 800",
        "train 1312", "peft, reloads to the same outputs",
    ):  # fmt: skip
        assert text in out
    assert "labels" not in out and "majority" not in out
    result["data"]["features"] = {"train": 800}
    (path / "result.json").write_text(json.dumps(result))
    assert "features" not in workbench("show", path).out


def test_show_of_a_run_that_is_broken(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    path = make_run()
    (path / "result.json").write_text(
        '{"metrics": [1], "parameters": "x", "time": {"steps": null}}'
    )
    assert "finished" in workbench("show", path).out
    (path / "result.json").write_text("{")
    assert "unreadable" in workbench("show", path).out


@pytest.mark.parametrize("command", ["show", "log", "stop", "resume"])
def test_a_run_that_is_not_there_is_refused(workbench: Callable[..., Any], command: str) -> None:
    answer = workbench(command, "nothing")
    assert answer.code == 3 and "no run called 'nothing'" in answer.err


def test_log_prints_all_or_the_end(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    path = make_run()
    assert "is empty" in workbench("log", path).err
    lines = [f"line {i}" for i in range(30_000)]
    (path / "log.txt").write_text("\n".join(lines) + "\n")
    assert workbench("log", path).out.splitlines() == lines
    assert workbench("log", path, "-n", "2").out == "line 29998\nline 29999\n"
    assert workbench("log", path, "-n", "0").out == ""
    (path / "log.txt").write_bytes(b"ok \xff\n")
    assert workbench("log", path).out == "ok \ufffd\n"


def test_log_follows_until_the_run_ends(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    path = make_run(state="running")
    (path / "log.txt").write_text("first\n")

    def work() -> None:
        time.sleep(0.3)
        with open(path / "log.txt", "a") as file:
            file.write("last\n")
        status = (path / "status.json").read_text().replace('"running"', '"failed"')
        (path / "status.json").write_text(status)

    worker = threading.Thread(target=work)
    worker.start()
    answer = workbench("log", path, "-f")
    worker.join()
    assert answer.out == "first\nlast\n"
