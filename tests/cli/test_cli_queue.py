"""``workbench queue`` and ``run --queue``, with the worker's process replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import jobs
from workbench.store import Queue, list_runs

Command = Callable[..., Any]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Notes the workers that would have been started."""
    calls: list[Any] = []

    def note(*given: Any) -> Any:
        calls.append(given)
        return SimpleNamespace(pid=4321)

    for name in ("start_worker", "ensure_worker"):
        monkeypatch.setattr(jobs, name, note)
    return calls


def seeds(root: Path = Path("runs")) -> list[int]:
    return [entry.seed for entry in Queue(root).list()]


def test_runs_are_added_listed_moved_and_cancelled(workbench: Command, started: list[Any]) -> None:
    answer = workbench("queue", "add", "quickstart/lora", "--seeds", "0,1,2", "--set", "method.r=4")
    assert answer.code == 0 and len(answer.out.splitlines()) == 3
    assert "3 runs added; `workbench queue start` executes them" in answer.err and started == []
    assert seeds() == [0, 1, 2]
    assert "r: 4" in Queue("runs").list()[0].recipe
    assert workbench("queue", "move", "3", "--first").code == 0
    assert workbench("queue", "move", "1", "--before", "3").code == 0
    assert seeds() == [0, 2, 1]
    assert workbench("queue", "move", "lora-s0", "--last").code == 0
    assert seeds() == [2, 1, 0]
    answer = workbench("queue", "cancel", "2")
    assert answer.code == 0 and "lora-s1" in answer.out
    listing = workbench("queue").out
    assert "2 runs waiting; no worker; `workbench queue start`" in listing
    rows = workbench("queue", "--json").json
    assert [row["state"] for row in rows["queue"]] == ["waiting"] * 2 and rows["workers"] == []
    lines = workbench("runs").out.splitlines()
    assert "2 runs, 2 active" in lines[-1] and "is queued" in lines[2]


def test_all_that_wait_are_cancelled_and_what_was_started_stays(workbench: Command) -> None:
    workbench("queue", "add", "quickstart/lora", "--seeds", "0,1,2")
    queue = Queue("runs")
    queue.update(queue.list()[1], job="started")
    answer = workbench("queue", "cancel", "--all")
    assert answer.code == 0 and answer.out == "2 runs removed\n" and seeds() == [1]
    assert workbench("queue", "cancel").code == 2
    assert workbench("queue", "cancel", "1", "--all").code == 2


def test_what_makes_no_sense_is_refused(workbench: Command) -> None:
    assert workbench("queue", "add", "quickstart/lora", "--seeds", "0").code == 0
    assert workbench("queue", "add", "quickstart/lora", "--seeds", "0").code == 3
    assert workbench("queue", "move", "1").code == 2
    assert workbench("queue", "move", "1", "--first", "--last").code == 2
    assert workbench("queue", "cancel", "absent").code == 3
    assert workbench("queue", "stop").code == 3
    assert workbench("queue", "add", "quickstart/lora", "--devices", ";").code == 2
    assert workbench("run", "quickstart/lora", "--queue", "--detach").code == 2
    queue = Queue("runs")
    queue.update(queue.list()[0], job="job", host="here")
    answer = workbench("queue", "cancel", "1")
    assert answer.code == 3 and "workbench stop" in answer.err


def test_run_with_queue_adds_and_sees_to_a_worker(workbench: Command, started: list[Any]) -> None:
    answer = workbench("run", "quickstart/lora", "--queue", "--seeds", "0", "--json")
    (name,) = answer.json["queued"]
    assert started == [(Path("runs"),)]
    (run,) = list_runs(Path("runs"))
    assert run.id == name and run.state == "queued"
    answer = workbench("stop", name)
    assert answer.code == 0 and answer.out == f"{name}: stopped\n" and seeds() == []


def test_start_says_who_works(workbench: Command, started: list[Any]) -> None:
    answer = workbench("queue", "start", "--devices", "0,1", "--devices", "2")
    assert answer.code == 0 and "process 4321 works on the queue" in answer.err
    assert started == [(Path("runs"), ["0,1", "2"])]


def test_work_in_the_foreground_is_told_its_devices(
    workbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(jobs, "work", lambda *given: calls.append(given[:2]))
    assert workbench("queue", "start", "--foreground", "--devices", "cpu").code == 0
    assert calls == [(Path("runs"), ["cpu"])]


def test_a_stop_may_wait_longer(workbench: Command, make_run: Any, monkeypatch: Any) -> None:
    path = make_run(state="running")
    given: list[float] = []

    def stop(run: Any, *, grace_seconds: float) -> Any:
        given.append(grace_seconds)
        return run

    monkeypatch.setattr(jobs, "stop", stop)
    assert workbench("stop", path).code == 0
    assert workbench("stop", path, "--wait-seconds", "600").code == 0
    assert given == [jobs.GRACE_SECONDS, 300.0]
