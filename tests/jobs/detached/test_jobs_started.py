"""Detached processes: one per run however often one clicks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.detached.conftest import Script, Sleeper, wait_for, write_status
from workbench import jobs
from workbench.errors import RunRefused, UsageError
from workbench.jobs import Job, launch
from workbench.recipe import Recipe, load_recipe
from workbench.store import open_run, run_path


def test_a_job_gets_the_resolved_recipes_and_the_options(
    recipe: Recipe, tmp_path: Path, child: Script
) -> None:
    child("import sys; print(' '.join(sys.argv[1:]))")
    other = recipe.model_copy(update={"name": "lora-r8"})
    job = jobs.start([recipe, other], tmp_path / "runs", seeds=[3], force=True, processes=2)
    wait_for(lambda: not job.alive)
    files = [job.folder / "news" / f"{name}.yaml" for name in ("lora-r4", "lora-r8")]
    isolated = ["-P", "-m"]
    supervised = [*isolated, "workbench.jobs.supervisor", str(job.folder), sys.executable]
    expected = [
        *supervised,
        *isolated,
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


def test_a_search_is_a_job_that_has_no_runs(recipe: Recipe, tmp_path: Path, child: Script) -> None:
    child("import sys; print(' '.join(sys.argv[1:]))")
    job = jobs.start_search([recipe], 5, tmp_path / "runs")
    wait_for(lambda: not job.alive)
    file = job.folder / "news" / "lora-r4.yaml"
    said = job.log_tail().split()
    expected = ["tune", str(file), "--trials", "5", "--runs", str(tmp_path / "runs")]
    assert said[said.index("workbench") + 1 :] == expected
    assert load_recipe(file) == recipe and not job.runs
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
    assert len([claim for claim in claims if not claim.name.startswith(".")]) == 2


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
    assert not list((tmp_path / ".jobs" / "claims").glob("[!.]*"))  # seed 0 was given back
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


def test_a_job_that_ended_before_it_was_looked_at_is_found(
    recipe: Recipe, tmp_path: Path, child: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"pid": 2**22 + 1, "process_started_at": None}
    monkeypatch.setattr(launch, "describe_process", lambda pid: ended)
    job = jobs.start([recipe], tmp_path, seeds=[0])
    found = jobs.read_job(job.folder)
    assert found is not None and found.record == job.record
