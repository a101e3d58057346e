"""What a run is said to be when its process cannot say it any more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.store.stored_recipes import news_recipe
from workbench.errors import RunRefused
from workbench.store import (
    RunWriter,
    SilentWriter,
    describe_process,
    exit_reasons,
    kill_reason,
    open_run,
    processes,
    read_run,
    record_death,
    write_json,
)

Change = Callable[..., Path]
GIB = 2**30


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    """A run that this process writes."""
    writer = open_run(tmp_path, news_recipe(), 0)
    writer.update(state="running")
    yield writer
    writer.close("stopped")


@pytest.fixture
def left(tmp_path: Path) -> Change:
    """Writes the status that a dead process has left: its pid is not there any more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = describe_process(process.pid)
    process.communicate(b"\n")

    def write(**changes: Any) -> Path:
        path = tmp_path / "news" / "left"
        path.mkdir(parents=True, exist_ok=True)
        status = {"state": "running", "host": socket.gethostname(), "heartbeat_at": time.time()}
        write_json(path / "status.json", {**status, **record, **changes})
        return path

    return write


def test_the_record_says_who_writes_and_how_full_the_memory_is(writer: RunWriter) -> None:
    status = read_run(writer.path).status
    assert status["pid"] == os.getpid() and status["launcher"] is None
    memory = status["memory"]
    assert 0 < memory["process_bytes"] < memory["total_bytes"]
    assert 0 <= memory["available_bytes"] <= memory["total_bytes"]


# --- clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_was_set_changes_no_state_here(
    writer: RunWriter, left: Change, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Where the wall clock is set, the start time that the system tells moves with it."""
    started = read_run(writer.path).status["process_started_at"]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    monkeypatch.setattr(processes, "process_start_time", lambda _pid: started + jump)
    run = read_run(writer.path)
    assert (run.state, run.reason) == ("running", ""), "nothing is said of a silence either"
    assert read_run(left()).state == "interrupted"


@pytest.mark.parametrize(
    ("age", "state"), [(5.0, "running"), (-5.0, "running"), (120.0, "interrupted"),
                       (-120.0, "interrupted"), (-3600.0, "interrupted")]
)  # fmt: skip
def test_elsewhere_only_a_heartbeat_of_about_now_is_one(
    left: Change, age: float, state: str
) -> None:
    path = left(host="elsewhere")
    at = time.time() - age
    os.utime(path / "status.json", (at, at))
    run = read_run(path)
    assert run.state == state
    if state == "interrupted":
        assert "no heartbeat from elsewhere" in run.reason
        assert ("for 2 min" in run.reason) == (age == 120.0)


@pytest.mark.parametrize("skew", [-7200.0, -61.0, 61.0, 7200.0])
def test_elsewhere_a_heartbeat_counts_whatever_the_two_clocks_say(
    left: Change, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    """What counts is the clock of the file system that both machines share."""
    path = left(host="elsewhere", heartbeat_at=time.time() + skew)
    assert read_run(path).state == "running", "the writer's clock is wrong"
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - skew)
    assert read_run(path).state == "running", "the reader's clock is wrong"
    at = real() - 120
    os.utime(path / "status.json", (at, at))
    assert read_run(path).state == "interrupted", "a dead one is dead by any clock"
    assert not list(path.glob(".*")), "nothing is left of looking at the clock"


def test_elsewhere_a_heartbeat_counts_also_where_nothing_may_be_written(
    left: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.store import files

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = left(host="elsewhere", heartbeat_at=0.0)
    monkeypatch.setattr(files, "TemporaryFile", refuse)
    assert read_run(path).state == "running"


def test_a_silent_process_that_exists_is_running_and_said_to_be_silent(writer: RunWriter) -> None:
    status = {**read_run(writer.path).status, "heartbeat_at": time.time() - 600}
    status["uptime"] -= 600
    path = writer.path.with_name("silent")
    path.mkdir()
    write_json(path / "status.json", status)
    run = read_run(path)
    assert run.state == "running"
    assert f"no sign of life for 10 min, though process {os.getpid()} exists" in run.reason


# --- reasons ---------------------------------------------------------------------------------


def test_a_process_that_is_gone_is_said_to_be(left: Change) -> None:
    run = read_run(left())
    assert run.state == "interrupted" and "gone without saying why" in run.reason


def test_a_restarted_machine_is_the_reason(left: Change) -> None:
    identity = f"{'0' * 8}-0000-0000-0000-{'0' * 12}:1234"
    path = left(process_identity=identity)
    at = time.time() - 300
    os.utime(path / "status.json", (at, at))
    assert "the machine was restarted" in read_run(path).reason


def test_a_full_memory_is_the_reason(left: Change) -> None:
    memory = {"process_bytes": GIB, "available_bytes": GIB // 4, "total_bytes": 16 * GIB}
    reason = read_run(left(memory=memory)).reason
    assert "probably for memory: 16.9 of 17.2 GB were in use" in reason
    assert "training.micro_batch_size" in reason


def test_a_stop_that_had_to_be_forced_reads_as_stopped(left: Change) -> None:
    path = left()
    (path / "stop").touch()
    run = read_run(path)
    assert run.state == "stopped" and "by force" in run.reason


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGTERM, "killed by SIGTERM (signal 15)"),
        (128 + signal.SIGKILL, "killed by SIGKILL (signal 9)"),
        (1, "ended with exit code 1 and no ending; what it printed is in log.txt"),
    ],
)
def test_who_waited_knows_how_it_ended(code: int, words: str) -> None:
    assert words in kill_reason(code, {}, None, "log.txt")


def test_a_kill_is_put_down_to_memory_when_the_kernel_counted_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exit_reasons, "count_oom_kills", lambda: 4)
    assert "out of memory" in kill_reason(-9, {}, 3)
    assert kill_reason(-9, {}, 4).startswith("killed by SIGKILL")
    memory = {"available_bytes": 1, "total_bytes": GIB}
    assert "likely out of memory: 1.1 of 1.1 GB" in kill_reason(-9, {"memory": memory}, 4)


def test_a_death_is_written_down_once_and_never_over_an_ending(
    left: Change, writer: RunWriter
) -> None:
    assert not record_death(writer.path, "no"), "it is alive"
    path = left()
    assert record_death(path, "killed by SIGKILL (signal 9)")
    run = read_run(path)
    assert (run.state, run.reason) == ("interrupted", "killed by SIGKILL (signal 9)")
    assert run.status["ended_at"] == pytest.approx(time.time(), abs=5)
    said = (path / "log.txt").read_text().splitlines()[-1]
    assert said[19:] == " interrupted: killed by SIGKILL (signal 9)"
    assert not record_death(path, "something else")
    assert not record_death(left(state="failed", reason="why"), "killed")
    assert read_run(path).reason == "why"
    assert record_death(path, "process 1 of 2 was killed", caused="failed")
    run = read_run(path)
    assert (run.state, run.reason) == ("interrupted", "process 1 of 2 was killed\nwhy")
    assert not record_death(path.with_name("absent"), "killed")
    assert not path.with_name("absent").exists()


def test_the_first_failure_of_several_processes_is_the_reason(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    SilentWriter(writer.path).close("failed", "bad data in row 7")
    monkeypatch.delenv("RANK")
    writer.close("failed", "connection closed by peer")
    run = read_run(writer.path)
    assert run.reason == "process 1: bad data in row 7\nconnection closed by peer"
    assert not list(writer.path.glob(".failure*"))


def test_a_failure_of_all_processes_alike_is_said_once(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    SilentWriter(writer.path).close("failed", "bad data")
    writer.close("failed", "bad data")
    assert read_run(writer.path).reason == "bad data"


def test_a_full_disk_costs_a_heartbeat_and_not_the_heart(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    from workbench.store import run_writer

    monkeypatch.setattr(run_writer, "HEARTBEAT_SECONDS", 0.05)
    other = open_run(writer.path.parents[1], news_recipe(), 1)
    with monkeypatch.context() as patch:
        patch.setattr(run_writer, "write_json", full)
        time.sleep(0.3)
    before = read_run(other.path).status["heartbeat_at"]
    time.sleep(0.3)
    assert read_run(other.path).status["heartbeat_at"] > before
    other.close("stopped")


def test_a_request_to_stop_that_cannot_be_removed_does_not_hide_the_end(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, **options: Any) -> None:
        if path.name == "stop" or path.name.startswith(".failure"):
            raise OSError(30, "Read-only file system")
        unlink(path, **options)

    other = open_run(writer.path.parents[1], news_recipe(), 1)
    (other.path / "stop").touch()
    (other.path / ".failure-1.json").write_text('{"rank": 1, "reason": "bad data"}')
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        other.close("failed", "no more data")
    run = read_run(other.path)
    assert (run.state, run.reason) == ("failed", "process 1: bad data\nno more data")
    open_run(writer.path.parents[1], news_recipe(), 1).close("stopped")


def test_who_is_refused_learns_who_owns_the_run(writer: RunWriter) -> None:
    with pytest.raises(RunRefused, match=rf"process {os.getpid()} on .*, running since 20") as info:
        open_run(writer.path.parents[1], news_recipe(), 0)
    assert info.value.exit_code == 3
