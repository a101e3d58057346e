"""Stopping and resuming runs of other processes; no signal to a stranger."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.jobs.detached.conftest import Script, Sleeper, wait_for, write_status
from workbench import jobs
from workbench.errors import RunRefused
from workbench.jobs import Job
from workbench.recipe import Recipe
from workbench.store import process_start_time, read_run, run_path


def test_a_run_that_listens_is_only_asked(tmp_path: Path, sleeper: Sleeper) -> None:
    path = tmp_path / "news" / "run"
    process = sleeper("")
    write_status(path, process)
    answer = threading.Timer(0.3, write_status, (path, process), {"state": "stopped"})
    answer.start()
    assert jobs.stop(read_run(path), grace_seconds=5).state == "stopped"
    assert process.poll() is None


def test_a_run_that_does_not_listen_is_terminated(tmp_path: Path, sleeper: Sleeper) -> None:
    path = tmp_path / "news" / "run"
    process = sleeper("")
    write_status(path, process)
    stopped = jobs.stop(read_run(path), grace_seconds=0.3)
    assert (stopped.state, (path / "stop").exists()) == ("stopped", False)
    assert "by force" in stopped.reason
    assert process.wait(5) == -15


def test_a_run_that_ignores_that_too_is_killed_with_its_children(
    tmp_path: Path, sleeper: Sleeper
) -> None:
    path = tmp_path / "news" / "run"
    process = sleeper(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    (grandchild,) = psutil.Process(process.pid).children()
    write_status(path, process)
    assert jobs.stop(read_run(path), grace_seconds=0.2).state == "stopped"
    assert process.wait(5) == -9
    grandchild.wait(5)
    assert not grandchild.is_running()


def test_a_reused_pid_gets_no_signal(tmp_path: Path, sleeper: Sleeper) -> None:
    path = tmp_path / "news" / "run"
    stranger = sleeper("")
    write_status(path, stranger)
    run = read_run(path)
    assert run.state == "running"
    run.status["process_started_at"] -= 100  # it was another process that wrote the file
    jobs.stop(run, grace_seconds=0.1)
    assert stranger.poll() is None
    write_status(path, stranger, process_started_at=run.status["process_started_at"])
    with pytest.raises(RunRefused, match="nothing to stop"):
        jobs.stop(read_run(path))
    assert stranger.poll() is None


def test_a_run_on_another_machine_is_asked_and_not_signalled(
    tmp_path: Path, sleeper: Sleeper
) -> None:
    path = tmp_path / "news" / "run"
    process = sleeper("")
    write_status(path, process, host="elsewhere")
    assert jobs.stop(read_run(path), grace_seconds=0.1).state == "running"
    assert (path / "stop").exists()
    assert process.poll() is None


def test_a_zombie_is_not_alive(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = process_start_time(process.pid)
    assert started is not None
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    record = {"pid": process.pid, "process_started_at": started, "runs": [], "command": []}
    assert not Job(folder=tmp_path, record=record, **record).alive
    process.wait()


@pytest.mark.parametrize("state", ["stopped", "failed", "interrupted"])
def test_resume_names_the_run(
    recipe: Recipe,
    tmp_path: Path,
    child: Script,
    state: str,
    sleeper: Sleeper,
) -> None:
    child("import sys; print(' '.join(sys.argv[1:]))")
    path = run_path(tmp_path, recipe, 0)
    write_status(path, sleeper(""), state=state)
    job = jobs.resume(read_run(path))
    wait_for(lambda: not job.alive)
    assert job.log_tail().split()[-5:] == [
        "workbench", "resume", str(path), "--runs", str(tmp_path)
    ]  # fmt: skip
    assert job.runs == (path,)


@pytest.mark.parametrize("state", ["running", "finished"])
def test_what_is_running_or_finished_is_not_resumed(
    recipe: Recipe, tmp_path: Path, sleeper: Sleeper, state: str
) -> None:
    path = run_path(tmp_path, recipe, 0)
    write_status(path, sleeper(""), state=state)
    with pytest.raises(RunRefused, match="cannot be resumed"):
        jobs.resume(read_run(path))
    assert not (tmp_path / ".jobs").exists()


def test_tail_starts_at_a_line(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"first line\nsecond \xff line\nthird line\n")
    assert jobs.tail(file, 20) == "third line\n"
    assert jobs.tail(file).startswith("first line\nsecond \ufffd line")
    assert jobs.tail(tmp_path / "absent") == ""
