"""Detached processes: one per run however often one clicks, and no signal to a stranger."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench import jobs
from workbench.errors import RunRefused, UsageError
from workbench.jobs import Job, launching
from workbench.recipe import Recipe, load_recipe
from workbench.store import open_run, process_start_time, read_run, run_path, write_json

Script = Callable[[str], None]
Sleeper = Callable[..., subprocess.Popen[bytes]]
INTERPRETER = sys.executable


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "study": "news",
            "name": "lora-r4",
            "task": {"name": "text-classification"},
            "model": {"source": "asset:minilm-l6"},
            "data": {"source": "asset:bbc-news"},
            "method": {"name": "lora", "r": 4},
            "seeds": [0, 1],
        }
    )


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Makes a job's process run some Python instead of the workbench; ends what is left of it."""
    script = tmp_path / "child"
    before = {process.pid for process in psutil.Process().children()}

    def write(source: str) -> None:
        script.write_text(f"#!{INTERPRETER}\n{source}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    write("import time; time.sleep(60)")
    monkeypatch.setattr(launching.sys, "executable", str(script))
    yield write
    monkeypatch.setattr(launching.sys, "executable", INTERPRETER)
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have just ended by itself
            if process.pid not in before and str(script) in process.cmdline():
                process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def write_status(path: Path, process: subprocess.Popen[bytes], **fields: Any) -> None:
    path.mkdir(parents=True, exist_ok=True)
    started = process_start_time(process.pid)
    status = {
        "version": 1,
        "state": "running",
        "pid": process.pid,
        "started_at": time.time(),
        "process_started_at": started,
        "host": socket.gethostname(),
        "heartbeat_at": time.time(),
        **fields,
    }
    write_json(path / "status.json", status)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts processes that say when they are ready, and ends them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(before: str = "") -> subprocess.Popen[bytes]:
        source = f"import os, signal, subprocess, sys, time\n{before}\nprint('ready', flush=True)\n"
        process = subprocess.Popen(
            [INTERPRETER, "-c", source + "time.sleep(60)"], stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


# --- starting ------------------------------------------------------------------------------


def test_a_job_gets_the_resolved_recipes_and_the_options(
    recipe: Recipe, tmp_path: Path, child: Script
) -> None:
    child("import sys; print(' '.join(sys.argv[1:]))")
    other = recipe.model_copy(update={"name": "lora-r8"})
    job = jobs.start([recipe, other], tmp_path / "runs", seeds=[3], force=True, processes=2)
    wait_for(lambda: not job.alive)
    files = [job.folder / "news" / f"{name}.yaml" for name in ("lora-r4", "lora-r8")]
    supervised = ["-m", "workbench.jobs.supervising", str(job.folder), sys.executable]
    expected = [
        *supervised,
        "-m",
        "workbench",
        "run",
        *map(str, files),
        "--runs",
        str(tmp_path / "runs"),
    ]
    expected += ["--seeds", "3", "--force", "--processes", "2"]
    assert job.log_tail().split() == expected
    assert load_recipe(files[0]) == recipe
    assert load_recipe(files[0]).fingerprint == recipe.fingerprint
    assert job.runs == tuple(run_path(tmp_path / "runs", r, 3) for r in (recipe, other))
    assert jobs.read_job(job.folder) == job
    assert jobs.list_jobs(tmp_path / "runs") == [job]


def test_a_job_is_a_session_of_its_own_without_any_pipe(
    recipe: Recipe, tmp_path: Path, child: Script
) -> None:
    child(
        "import os, time\nprint('x' * 300_000, flush=True)\n"
        "print(os.getsid(0), os.readlink('/proc/self/fd/0'), flush=True)\ntime.sleep(60)"
    )
    job = jobs.start([recipe], tmp_path)
    wait_for(lambda: "/dev/null" in job.log_tail())
    assert job.alive
    assert job.log_tail().split()[-2:] == [str(job.pid), "/dev/null"]
    assert os.readlink(f"/proc/{job.pid}/fd/1") == str(job.folder / "log.txt")
    assert os.readlink(f"/proc/{job.pid}/fd/2") == str(job.folder / "log.txt")


def test_ten_clicks_start_one_job(recipe: Recipe, tmp_path: Path, child: Script) -> None:
    started: list[Job] = []
    refused: list[RunRefused] = []
    ready = threading.Barrier(10)

    def click() -> None:
        ready.wait()
        try:
            started.append(jobs.start([recipe], tmp_path))
        except RunRefused as error:
            refused.append(error)

    clicks = [threading.Thread(target=click) for _ in range(10)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(started) == 1
    assert len(refused) == 9
    assert jobs.list_jobs(tmp_path) == started
    assert started[0].pending == started[0].runs


def test_a_run_can_be_started_again_once_its_job_has_ended(
    recipe: Recipe, tmp_path: Path, child: Script
) -> None:
    child("")
    for _ in range(4):
        job = jobs.start([recipe], tmp_path)
        wait_for(lambda: not job.alive)  # noqa: B023
    claims = list((tmp_path / ".jobs" / "claims").iterdir())
    assert len(claims) == 4  # two runs, each with the newest claim and the one before


def test_a_run_that_its_job_has_finished_can_be_started_while_the_job_goes_on(
    recipe: Recipe, tmp_path: Path, child: Script, sleeper: Sleeper
) -> None:
    job = jobs.start([recipe], tmp_path, seeds=[0, 1])
    write_status(run_path(tmp_path, recipe, 0), sleeper(), state="failed", job=job.folder.name)
    assert jobs.start([recipe], tmp_path, seeds=[0]).runs == (run_path(tmp_path, recipe, 0),)
    with pytest.raises(RunRefused, match="just been started"):
        jobs.start([recipe], tmp_path, seeds=[1])


def test_an_active_run_is_not_started_and_leaves_no_job(
    recipe: Recipe, tmp_path: Path, child: Script
) -> None:
    writer = open_run(tmp_path, recipe, 1)
    try:
        with pytest.raises(RunRefused, match="queued already"):
            jobs.start([recipe], tmp_path)
    finally:
        writer.close("failed")
    assert jobs.list_jobs(tmp_path) == []
    assert [p.name for p in (tmp_path / ".jobs").iterdir()] == ["claims"]
    assert list((tmp_path / ".jobs" / "claims").iterdir()) == []  # seed 0 was given back
    assert jobs.start([recipe], tmp_path).alive


@pytest.mark.parametrize("arguments", [{"seeds": []}, {"processes": 0}])
def test_nothing_to_start_is_said(recipe: Recipe, tmp_path: Path, arguments: Any) -> None:
    with pytest.raises(UsageError, match="nothing to start"):
        jobs.start([recipe], tmp_path, **arguments)


def test_unreadable_jobs_are_left_out(recipe: Recipe, tmp_path: Path, child: Script) -> None:
    job = jobs.start([recipe], tmp_path)
    for name, text in (("20200101-000000-a", "{"), ("20200101-000000-b", '{"pid": "x"}')):
        (tmp_path / ".jobs" / name).mkdir()
        (tmp_path / ".jobs" / name / "job.json").write_text(text)
    assert jobs.list_jobs(tmp_path) == [job]


def test_the_child_finds_this_package_from_anywhere(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import workbench; print(workbench.__path__[0])"],
        cwd=tmp_path,
        env=jobs.child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()) == Path(jobs.__file__).resolve().parent.parent


# --- stopping and resuming -----------------------------------------------------------------


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
    assert not Job(tmp_path, process.pid, started, (), ()).alive
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
