"""The queue's worker, as real processes: order, errors, a kill, a reboot, two at once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.jobs.conftest import Begin, named, wait_for
from workbench import jobs
from workbench.errors import RunRefused, UsageError
from workbench.jobs import worker as queue_worker
from workbench.store import Queue, Run, list_runs, read_run, run_path

pytestmark = pytest.mark.usefixtures("stand_in")


def runs_of(root: Path) -> dict[str, Run]:
    return {run.path.name.partition("-s0")[0]: run for run in list_runs(root)}


def states(root: Path) -> dict[str, str]:
    return {name: run.state for name, run in runs_of(root).items()}


def enqueue(root: Path, *names: str, **options: object) -> None:
    jobs.enqueue([named(name) for name in names], root, seeds=[0], **options)  # type: ignore[arg-type]


def kill_jobs(root: Path) -> None:
    """What a power cut does to everything but the files."""
    for job in jobs.list_jobs(root):
        if job.alive:
            process = psutil.Process(job.pid)
            for each in [process, *process.children(recursive=True)]:
                each.kill()
    wait_for(lambda: not any(job.alive for job in jobs.list_jobs(root)))


def test_the_worker_goes_on_after_every_kind_of_end(tmp_path: Path, worker: Begin) -> None:
    enqueue(tmp_path, "quick", "fail", "crash", "die", "quick-last")
    queue = Queue(tmp_path)
    queue.move(queue.named("quick-last"), "first")
    process = worker(tmp_path)
    assert process.wait(60) == 0, "it ends when nothing waits"
    assert queue.list() == []
    runs = runs_of(tmp_path)
    assert states(tmp_path) == {
        "quick": "finished", "fail": "failed", "crash": "failed", "die": "interrupted",
        "quick-last": "finished",
    }  # fmt: skip
    assert runs["fail"].reason == "the loss was nan"
    assert "ended before the run began\nno such module" in runs["crash"].reason
    assert runs["die"].reason.startswith("killed by SIGKILL (signal 9)")
    begun = [runs[name].status["started_at"] for name in ("quick-last", "quick", "fail", "die")]
    assert begun == sorted(begun)


def test_a_run_outlives_its_worker_and_the_next_one_waits_for_it(
    tmp_path: Path, worker: Begin
) -> None:
    enqueue(tmp_path, "long", "quick")
    first = worker(tmp_path)
    wait_for(lambda: states(tmp_path)["long"] == "running")
    first.kill()
    pid = runs_of(tmp_path)["long"].status["pid"]
    for process in (pid, os.getsid(pid)):
        os.kill(process, signal.SIGHUP)  # a closed terminal
    second = worker(tmp_path)
    wait_for(lambda: jobs.list_workers(Queue(tmp_path)))
    time.sleep(3 * queue_worker.LOOK_SECONDS)
    assert states(tmp_path) == {"long": "running", "quick": "queued"}
    assert runs_of(tmp_path)["long"].status["pid"] == pid, "it was not started again"
    assert jobs.stop(runs_of(tmp_path)["long"]).state == "stopped"
    assert second.wait(60) == 0
    assert states(tmp_path) == {"long": "stopped", "quick": "finished"}, "a stop stays one"


def test_what_died_with_its_worker_is_resumed(tmp_path: Path, worker: Begin) -> None:
    enqueue(tmp_path, "long", "quick")
    process = worker(tmp_path)
    wait_for(lambda: states(tmp_path)["long"] == "running")
    process.kill()
    kill_jobs(tmp_path)
    wait_for(lambda: states(tmp_path) == {"long": "interrupted", "quick": "queued"})
    assert worker(tmp_path).wait(60) == 0
    assert states(tmp_path) == {"long": "finished", "quick": "finished"}
    assert runs_of(tmp_path)["long"].result["resumed"] is True


def test_what_keeps_dying_with_its_worker_is_given_up(tmp_path: Path, worker: Begin) -> None:
    enqueue(tmp_path, "stubborn")
    queue = Queue(tmp_path)
    queue.update(queue.list()[0], attempts=queue_worker.MOST_ATTEMPTS - 1)
    process = worker(tmp_path)
    wait_for(lambda: states(tmp_path)["stubborn"] == "running")
    process.kill()
    kill_jobs(tmp_path)
    assert worker(tmp_path).wait(60) == 0
    assert states(tmp_path) == {"stubborn": "interrupted"} and queue.list() == []


def test_a_device_has_one_worker_and_is_free_when_it_is_killed(
    tmp_path: Path, worker: Begin
) -> None:
    enqueue(tmp_path, "long")
    first = worker(tmp_path, "0,1")
    wait_for(lambda: states(tmp_path)["long"] == "running")
    second = worker(tmp_path, "1")
    assert second.wait(60) == 3
    assert (
        f"process {first.pid} works on this queue with device 1"
        in (tmp_path / "said.txt").read_text()
    )
    jobs.stop_workers(tmp_path, now=True)
    assert first.wait(60) == 0
    assert jobs.list_workers(Queue(tmp_path)) == []
    assert [entry.begun for entry in Queue(tmp_path).list()] == [True], "it waits again"
    assert states(tmp_path) == {"long": "queued"}
    assert worker(tmp_path, "1").wait(60) == 0
    assert runs_of(tmp_path)["long"].result["resumed"] is True
    with pytest.raises(RunRefused, match="has no worker"):
        jobs.stop_workers(tmp_path)


@pytest.mark.slow  # nine processes
def test_each_slot_has_a_run_that_sees_its_devices_alone(tmp_path: Path, worker: Begin) -> None:
    enqueue(tmp_path, "long-a", "long-b", "long-c")
    enqueue(tmp_path, "long-d", devices="2, 3")
    enqueue(tmp_path, "long-e", processes=3)
    process = worker(tmp_path, "0", "2,3")
    wait_for(lambda: list(states(tmp_path).values()).count("running") == 2)
    runs = runs_of(tmp_path)
    assert runs["long-a"].status["devices"] == "0" and runs["long-b"].status["devices"] == "2,3"
    jobs.stop(runs["long-a"])
    wait_for(lambda: states(tmp_path)["long-c"] == "running")
    jobs.stop(runs["long-b"])
    wait_for(lambda: states(tmp_path)["long-d"] == "running")
    assert runs_of(tmp_path)["long-d"].status["devices"] == "2,3"
    jobs.stop_workers(tmp_path)
    assert process.poll() is None, "what runs is waited for"
    for name in ("long-c", "long-d"):
        jobs.stop(runs_of(tmp_path)[name])
    assert process.wait(60) == 0
    assert states(tmp_path)["long-e"] == "queued", "no slot has three devices"


def test_only_what_makes_sense_is_queued(tmp_path: Path) -> None:
    job = jobs.start([named("long")], tmp_path, seeds=[0])
    wait_for(lambda: states(tmp_path).get("long") == "running")
    with pytest.raises(RunRefused, match="is running already"):
        enqueue(tmp_path, "quick", "long")
    assert jobs.stop(runs_of(tmp_path)["long"]).state == "stopped"
    wait_for(lambda: not job.alive)
    for devices in ("", "0,0", "0;rm"):
        with pytest.raises(UsageError, match="--devices"):
            enqueue(tmp_path, "quick", devices=devices)
    with pytest.raises(UsageError, match="nothing to queue"):
        jobs.enqueue([], tmp_path)
    enqueue(tmp_path, "quick")
    with pytest.raises(RunRefused, match="queued already"):
        jobs.start([named("quick")], tmp_path, seeds=[0])
    assert jobs.stop(runs_of(tmp_path)["quick"]).reason == "removed from the queue"
    assert Queue(tmp_path).list() == []
    done = jobs.start([named("quick")], tmp_path, seeds=[0])
    wait_for(lambda: not done.alive)
    assert read_run(run_path(tmp_path, named("quick"), 0)).state == "finished"
    added, finished = jobs.enqueue([named("quick")], tmp_path, seeds=[0])
    assert added == [] and [run.state for run in finished] == ["finished"]
