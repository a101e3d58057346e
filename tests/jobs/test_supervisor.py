"""A job's own process: a closed terminal, a kill from outside, a stop that has to be forced."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.jobs.conftest import named, wait_for
from workbench import jobs
from workbench.errors import RunRefused
from workbench.jobs import Job
from workbench.jobs.stop_run import GRACE_SECONDS, KILLED_SECONDS
from workbench.store import Run, open_run, read_run, run_path

pytestmark = pytest.mark.usefixtures("stand_in")


def begin(root: Path, name: str) -> tuple[Job, Run]:
    job = jobs.start([named(name)], root, seeds=[0])
    path = run_path(root, named(name), 0)
    wait_for(lambda: read_run(path).state == "running", job.log_tail())
    return job, read_run(path)


def test_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    job, run = begin(tmp_path, "long")
    assert os.getsid(job.pid) == os.getsid(run.status["pid"]) == job.pid
    os.killpg(job.pid, signal.SIGHUP)
    beat = run.status["heartbeat_at"]
    wait_for(lambda: read_run(run.path).status["heartbeat_at"] > beat)
    assert job.alive and read_run(run.path).state == "running"
    assert jobs.stop(run).state == "stopped"
    with pytest.raises(RunRefused, match="nothing to stop"):
        jobs.stop(read_run(run.path))
    wait_for(lambda: not job.alive)


def test_a_killed_run_says_so_within_ten_seconds(tmp_path: Path) -> None:
    job, run = begin(tmp_path, "stubborn")
    os.kill(run.status["pid"], signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: read_run(run.path).state == "interrupted", "at once, if not yet why", 5)
    wait_for(lambda: not job.alive)
    assert time.monotonic() - killed < 10
    assert read_run(run.path).reason.startswith("killed by SIGKILL (signal 9)")
    open_run(tmp_path, named("stubborn"), 0).close("stopped")  # the lock is free


def test_a_run_that_does_not_listen_is_ended_in_time(tmp_path: Path) -> None:
    assert 2 * GRACE_SECONDS + KILLED_SECONDS < 10
    job, run = begin(tmp_path, "stubborn")
    stopped = jobs.stop(run, grace_seconds=0.5)
    assert stopped.state == "stopped" and "by force" in stopped.reason
    assert not psutil.pid_exists(run.status["pid"]) or not jobs.tail(run.path / "stop")
    wait_for(lambda: not job.alive)
    assert read_run(run.path).reason == stopped.reason, "the supervisor does not say otherwise"
    open_run(tmp_path, named("stubborn"), 0).close("stopped")


def test_a_term_to_the_job_reaches_the_run(tmp_path: Path) -> None:
    job, run = begin(tmp_path, "long")
    os.kill(job.pid, signal.SIGTERM)
    wait_for(lambda: not job.alive)
    assert read_run(run.path).state == "stopped"
    assert not psutil.pid_exists(run.status["pid"])


def test_what_a_run_leaves_behind_ends_with_its_job(tmp_path: Path, stand_in: Path) -> None:
    text = stand_in.read_text(encoding="utf-8")
    leave = "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    stand_in.write_text(text.replace('if behaviour == "die"', leave + 'if behaviour == "die"'))
    job, run = begin(tmp_path, "stubborn")
    wait_for(lambda: psutil.Process(run.status["pid"]).children())
    (left,) = psutil.Process(run.status["pid"]).children()
    os.kill(run.status["pid"], signal.SIGKILL)
    wait_for(lambda: not job.alive)
    assert not left.is_running()
