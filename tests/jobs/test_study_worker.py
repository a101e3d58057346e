"""The runs of one command at once: slots, failures, signals, and what others queue meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import PYTHON, Begin, named, wait_for
from workbench import jobs
from workbench.errors import RunRefused
from workbench.jobs import Wanted, study_worker, supervisor
from workbench.jobs.worker import MOST_ATTEMPTS
from workbench.jobs.worker_records import registered
from workbench.store import BESIDE_VARIABLE, Queue, Run, list_runs

pytestmark = pytest.mark.usefixtures("stand_in")
SLOTS = jobs.shared_slots("cpu", 2)


def nothing(*_: Any) -> None: ...


def run_at_once(
    root: Path, *names: str, look: Callable[[], None] = nothing, slots: tuple[str, ...] = SLOTS
) -> int | None:
    wanted = [Wanted(named(name), 0) for name in names]
    return jobs.run_at_once(wanted, root, slots, look=look, warn=nothing)


def runs_of(root: Path) -> dict[str, Run]:
    return {run.path.name.partition("-s0")[0]: run for run in list_runs(root)}


def states(root: Path) -> dict[str, str]:
    return {name: run.state for name, run in runs_of(root).items()}


def when(condition: Callable[[], object], *then: Callable[[], object]) -> threading.Thread:
    """Does something as soon as a condition holds, while the main thread waits for the runs."""

    def wait() -> None:
        wait_for(condition)
        for number, each in enumerate(then):
            time.sleep(number and study_worker.ECHO_SECONDS + 0.5)
            each()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_runs_go_on_beside_each_other_whatever_becomes_of_one(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run_at_once(tmp_path, "fail", "quick", "crash", "quick-b") is None
    ended = {"fail": "failed", "quick": "finished", "crash": "failed", "quick-b": "finished"}
    assert states(tmp_path) == ended
    assert Queue(tmp_path).list() == [] and jobs.list_workers(Queue(tmp_path)) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_two_run_at_the_same_time_on_one_device(tmp_path: Path) -> None:
    both = {"long": "running", "long-b": "running"}
    end = when(lambda: states(tmp_path) | both == states(tmp_path), interrupt)
    assert run_at_once(tmp_path, "long", "long-b", "quick") == signal.SIGINT
    end.join()
    assert states(tmp_path) == {"long": "stopped", "long-b": "stopped"}, "the rest is not begun"
    assert {run.status["devices"] for run in list_runs(tmp_path)} == {""}, "both see the CPU alone"
    assert Queue(tmp_path).list() == [], "nothing begins again by itself"


def test_a_second_ctrl_c_ends_what_does_not_stop(tmp_path: Path) -> None:
    end = when(lambda: states(tmp_path).get("stubborn") == "running", interrupt, interrupt)
    began = time.monotonic()
    assert run_at_once(tmp_path, "stubborn", "quick") == signal.SIGINT
    end.join()
    assert states(tmp_path)["stubborn"] == "stopped" and time.monotonic() - began < 30
    assert not any(job.alive for job in jobs.list_jobs(tmp_path))


def test_stopping_one_run_leaves_the_others(tmp_path: Path) -> None:
    def stop() -> None:
        jobs.stop(runs_of(tmp_path)["long"])

    end = when(lambda: states(tmp_path).get("long") == "running", stop)
    assert run_at_once(tmp_path, "long", "quick", "quick-b") is None
    end.join()
    assert states(tmp_path) == {"long": "stopped", "quick": "finished", "quick-b": "finished"}


def test_what_others_queue_meanwhile_is_left_to_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr(study_worker, "ensure_worker", started.append)
    jobs.enqueue([named("quick-old")], tmp_path, seeds=[0])

    def add() -> None:
        if not started and "quick-new" not in states(tmp_path):
            jobs.enqueue([named("quick-new")], tmp_path, seeds=[0])

    assert run_at_once(tmp_path, "quick", "quick-b") is None
    assert started == [], "what waited before waits for somebody to start a worker"
    assert run_at_once(tmp_path, "quick-c", "quick-d", look=add) is None
    assert started == [tmp_path]
    assert {name for name, state in states(tmp_path).items() if state == "queued"} == {
        *("quick-old", "quick-new"),
    }


def test_the_same_command_continues_one_that_was_killed(tmp_path: Path, worker: Begin) -> None:
    jobs.enqueue([named("long"), named("quick")], tmp_path, seeds=[0])
    killed = worker(tmp_path)
    wait_for(lambda: states(tmp_path)["long"] == "running")
    killed.kill()
    killed.wait()
    long = runs_of(tmp_path)["long"]

    def stop() -> None:
        assert runs_of(tmp_path)["long"].status["pid"] == long.status["pid"], "it ran on"
        jobs.stop(long)

    end = when(lambda: states(tmp_path).get("quick") == "finished", stop)
    assert run_at_once(tmp_path, "long", "quick", slots=("cpu", "0")) is None
    end.join()
    assert states(tmp_path) == {"long": "stopped", "quick": "finished"}


KILLED = """
import sys
from pathlib import Path
from tests.jobs.conftest import named
from workbench import jobs
from workbench.jobs import launch
launch.sys.executable = sys.argv[1]
wanted = [jobs.Wanted(named(name), 0) for name in sys.argv[3:]]
slots = jobs.shared_slots("cpu", 2)
jobs.run_at_once(wanted, Path(sys.argv[2]), slots, look=lambda: None, warn=print)
"""


def test_runs_end_with_a_killed_command_and_the_same_command_continues_them(
    tmp_path: Path, stand_in: Path
) -> None:
    names = ("long", "stubborn", "quick")
    command = [PYTHON, "-c", KILLED, str(stand_in), str(tmp_path), *names]
    killed = subprocess.Popen(command, start_new_session=True)
    both = {"long": "running", "stubborn": "running"}
    wait_for(lambda: states(tmp_path) | both == states(tmp_path))
    killed.kill()
    killed.wait()
    ended = {"long": "interrupted", "stubborn": "interrupted"}
    wait_for(lambda: states(tmp_path) == ended)
    wait_for(lambda: not any(job.alive for job in jobs.list_jobs(tmp_path)))
    for run in (runs_of(tmp_path)["long"], runs_of(tmp_path)["stubborn"]):
        assert run.reason.startswith("the command that it belongs to was killed"), run.reason
    queue = Queue(tmp_path)
    for entry in queue.list():  # their ends are no sign of a run that kills machines
        queue.update(entry, attempts=MOST_ATTEMPTS - 1)
    again = {"long": "finished", "stubborn": "running", "quick": "finished"}
    end = when(lambda: states(tmp_path) == again, interrupt, interrupt)
    assert run_at_once(tmp_path, *names) == signal.SIGINT
    end.join()
    assert runs_of(tmp_path)["long"].result["resumed"] is True


def test_what_a_killed_command_had_not_begun_leaves_the_queue(tmp_path: Path) -> None:
    marks: dict[str, dict[str, Any]] = {
        "opening": {"job": "ended", "command": "killed"},
        "waiting": {"command": "killed"},
        "begun": {"command": "killed", "begun": True},
        "running": {"command": "killed", "job": "another"},
        "taken": {"command": "next", "job": "ended"},
        "queued": {},
    }
    jobs.enqueue([named(name) for name in marks], tmp_path, seeds=[0])
    queue = Queue(tmp_path)
    opening, *_ = [queue.update(e, **m) for e, m in zip(queue.list(), marks.values(), strict=True)]
    assert opening is not None
    supervisor._record_orphan(queue.path_of(opening), "ended", "killed")
    left = {entry.name.partition("-s0")[0]: entry.job for entry in queue.list()}
    assert left == {"begun": "", "running": "another", "taken": "", "queued": ""}


def test_a_run_of_another_process_is_refused_and_none_is_begun(tmp_path: Path) -> None:
    job = jobs.start([named("long")], tmp_path, seeds=[0])
    wait_for(lambda: states(tmp_path).get("long") == "running")
    with pytest.raises(RunRefused, match="is running already"):
        run_at_once(tmp_path, "quick", "long")
    assert Queue(tmp_path).list() == [] and states(tmp_path) == {"long": "running"}
    jobs.stop(runs_of(tmp_path)["long"])
    wait_for(lambda: not job.alive)


def test_a_command_that_is_refused_takes_nothing_from_the_one_that_runs(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    jobs.enqueue([named("quick-b")], tmp_path, seeds=[0], command="the one that runs")
    with registered(queue, SLOTS), pytest.raises(RunRefused, match="works on this queue"):
        run_at_once(tmp_path, "quick", "quick-b")
    assert [entry.name.partition("-s0")[0] for entry in queue.list()] == ["quick-b"]


def test_runs_know_beside_how_many_others_they_are_measured(tmp_path: Path) -> None:
    def beside(slots: tuple[str, ...], *names: str) -> set[str | None]:
        wanted = [Wanted(named(name), 0) for name in names]
        worker = study_worker._StudyWorker(wanted, tmp_path, slots, nothing)
        return {worker._environment(slot).get(BESIDE_VARIABLE) for slot in slots}

    assert beside(jobs.shared_slots("all", 3), "a", "b", "c", "d") == {"2"}
    assert beside(jobs.shared_slots("all", 3), "a", "b") == {"1"}
    assert beside(("0", "1"), "a", "b") == {None}, "a card each"
    assert beside((*jobs.shared_slots("0", 2), "1"), "a", "b", "c") == {"1", None}


def test_slots_that_share_a_card_see_that_card() -> None:
    from workbench.jobs.worker_records import environment_of, size_of

    one, two = jobs.shared_slots("1", 2)
    assert environment_of(one)["CUDA_VISIBLE_DEVICES"] == "1" and one != two
    assert environment_of(jobs.shared_slots("all", 2)[0]) == {} and size_of(two) == 1
