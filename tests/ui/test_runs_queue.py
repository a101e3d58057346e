"""The Runs page: filters, the queue and the machine."""

from __future__ import annotations

import os
import socket

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

from runs import hardware
from workbench import jobs
from workbench.errors import StorageError
from workbench.store import Queue, describe_process, read_run, write_json


def test_filters_leave_the_runs_that_go_with_them(runs: RunsFolder) -> None:
    runs.add_study()
    runs.add(news_recipe("lora", study="other"), 0, "failed", reason="x")
    assert len(open_view("runs").dataframe[0].value) == 13
    app = open_view("runs", state="failed")
    assert list(app.dataframe[0].value.study) == ["other"]
    app = open_view("runs", search="LORA news")
    assert set(app.dataframe[0].value.recipe) == {"lora"}
    assert len(app.dataframe[0].value) == 3
    assert "No runs match these filters" in texts(open_view("runs", search="nothing at all"))


def test_the_queue_is_moved_and_thinned_out(runs: RunsFolder) -> None:
    jobs.enqueue([news_recipe("lora"), news_recipe("full")], runs.path, seeds=[0, 1])
    queue = Queue(runs.path)
    ids = [entry.id for entry in queue.list()]
    app = open_view("runs")
    assert "No worker is running." in texts(app)
    app.button(key=f"down:{ids[0]}").click().run()
    assert [e.id for e in queue.list()] == [ids[1], ids[0], ids[2], ids[3]]
    app.button(key=f"up:{ids[3]}").click().run()
    assert [e.id for e in queue.list()] == [ids[1], ids[0], ids[3], ids[2]]
    app.button(key=f"first:{ids[2]}").click().run()
    assert [e.id for e in queue.list()] == [ids[2], ids[1], ids[0], ids[3]]
    app.button(key=f"down:{ids[0]}").click().run()
    assert [e.id for e in queue.list()] == [ids[2], ids[1], ids[3], ids[0]]
    assert app.button(key=f"down:{ids[0]}").disabled
    app.button(key=f"cancel:{ids[1]}").click().run()
    assert [e.id for e in queue.list()] == [ids[2], ids[3], ids[0]]
    assert f"cancel:{ids[1]}" not in {button.key for button in app.button}


def test_what_a_button_of_the_queue_cannot_do_stays_until_it_is_read(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.enqueue([news_recipe("lora")], runs.path, seeds=[0, 1])

    def fail(*_: object) -> None:
        raise StorageError("the disk is full", where="queue", fix="make space")

    monkeypatch.setattr(Queue, "move", fail)
    app = open_view("runs")
    (first,) = [each.id for each in Queue(runs.path).list()][1:]
    app.button(key=f"first:{first}").click().run()
    (said,) = app.toast
    assert "the disk is full" in said.value and "make space" in said.value
    assert said.proto.duration == 0, "the panel is drawn again every other second"


def test_the_queue_says_how_long_it_takes_and_is_emptied(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 2)  # took 75 s and, seed by seed, a minute more
    jobs.enqueue([news_recipe("lora"), news_recipe("full")], runs.path, seeds=[0, 1])
    app = open_view("runs")
    (title,) = [e.label for e in app.expander if e.label.startswith("Queue")]
    assert title == "Queue: 4 waiting · about 6 min left, and 2 of which no run has finished yet"
    app.button(key="cancel-all").click().run()
    assert not Queue(runs.path).list() and not app.exception


def test_the_title_counts_the_runs_that_the_page_has_seen_at_work(runs: RunsFolder) -> None:
    paths = [runs.add(news_recipe("lora"), seed, "running") for seed in range(2)]
    runs.add(news_recipe("full"), 0)
    app = open_view("runs")
    assert not app.toast
    write_json(paths[0] / "status.json", read_run(paths[0]).status | {"state": "finished"})
    app.run()
    assert not app.toast
    assert app.session_state["run-seen"] == {f"news/{path.name}" for path in paths}
    write_json(paths[1] / "status.json", read_run(paths[1]).status | {"state": "failed"})
    app.run()
    assert [toast.value for toast in app.toast] == ["2 runs ended, 2 failed"]
    app.run()
    assert not app.toast, "it is said once"


def test_the_queue_is_started_and_stopped(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.enqueue([news_recipe("lora")], runs.path, seeds=[0])
    done: list[str] = []
    monkeypatch.setattr(jobs, "ensure_worker", lambda root: done.append("started"))
    monkeypatch.setattr(jobs, "stop_workers", lambda root: done.append("stopped"))
    open_view("runs").button(key="queue-start").click().run()
    queue = Queue(runs.path)
    record = {"host": socket.gethostname(), **describe_process(os.getpid()), "slots": ["all"]}
    (queue.folder / "workers").mkdir()
    write_json(queue.folder / "workers" / f"{record['host']}-{os.getpid()}.json", record)
    app = open_view("runs")
    assert "works on the queue (the whole machine)" in texts(app)
    app.button(key="queue-stop").click().run()
    assert done == ["started", "stopped"]


def test_the_machine_is_shown(runs: RunsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["0", "37", "10240", "81559"], ["1", "[N/A]", "[N/A]", "81559"], ["no such thing"]]
    assert hardware.describe_gpus(rows) == [
        ("GPU 0", "37%, 10.7 GB of 85.5 GB"),
        ("GPU 1", "–, – of 85.5 GB"),
    ]
    said = texts(open_view("runs"))
    assert "CPU " in said and "disk free" in said
