"""Many processes at the same folders: one writer each, no row lost, nothing half read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.store.stored_recipes import at_once, news_recipe
from workbench.store import list_runs, open_run, read_run, run_path, write_json

OPEN = """
def BODY(number):
    try:
        writer = store.open_run(root, recipe, SEED)
    except RunRefused as error:
        (root.parent / f"refused-{number}").touch()
        return [error.exit_code, str(error)]
    ends = time.monotonic() + 60
    while len(list(root.parent.glob("refused-*"))) < REFUSED and time.monotonic() < ends:
        time.sleep(0.1)
    writer.close("stopped")
    return [0, str(os.getpid())]
"""


def test_a_hundred_starts_of_one_run_have_one_winner(tmp_path: Path) -> None:
    body = OPEN.replace("SEED", "0").replace("REFUSED", "99")
    started, runs = time.time(), tmp_path / "runs"
    answers = at_once(body, runs, 100)
    winners = [text for code, text in answers if code == 0]
    losers = [text for code, text in answers if code == 3]
    assert len(winners) == 1 and len(losers) == 99
    year = time.strftime("%Y-%m-%d", time.localtime(started))
    for text in losers:
        assert f"process {winners[0]}" in text, "the loser is told who owns the run"
        assert f"since {year}" in text
    assert len(list_runs(runs)) == 1


@pytest.mark.slow
def test_a_hundred_starts_of_a_hundred_runs_make_a_hundred_folders(tmp_path: Path) -> None:
    body = OPEN.replace("SEED", "number").replace("REFUSED", "0")
    assert {code for code, _ in at_once(body, tmp_path, 100)} == {0}
    runs = list_runs(tmp_path)
    assert len({run.path for run in runs}) == 100
    assert {run.state for run in runs} == {"stopped"}
    assert {run.status["seed"] for run in runs} == set(range(100))


def test_eight_runs_that_write_at_once_lose_no_row(tmp_path: Path) -> None:
    body = """
def BODY(number):
    writer = store.open_run(root, recipe, number)
    for step in range(500):
        writer.event("step", step=step, text="x" * (step % 300))
        writer.update(progress={"step": step}) if step % 50 == 0 else None
    writer.close("stopped")
"""
    at_once(body, tmp_path, 8)
    runs = list_runs(tmp_path)
    assert len(runs) == 8
    for run in runs:
        assert [row["step"] for row in run.events()[0]] == list(range(500))


def test_eight_processes_that_log_to_one_file_lose_no_row(tmp_path: Path) -> None:
    body = """
def BODY(number):
    run_path.mkdir(parents=True, exist_ok=True)
    class Writing(store.RunWriter):
        def __init__(self):
            self.path = run_path
    for step in range(300):
        Writing().event("step", step=step, rank=number)
"""
    at_once(body, tmp_path, 8)
    rows, _ = read_run(run_path(tmp_path, news_recipe(), 0)).events()
    seen = {(row["rank"], row["step"]) for row in rows}
    assert len(rows) == len(seen) == 8 * 300


def test_ten_thousand_reads_during_writes_see_no_half_file(tmp_path: Path) -> None:
    writer = open_run(tmp_path, news_recipe(), 0)
    ended = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not ended.is_set():
            writer.update(state="running", progress={"step": written, "text": "x" * 2000})
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        states = {read_run(writer.path).state for _ in range(5_000)}
        for _ in range(5_000):
            json.loads((writer.path / "status.json").read_text())
    finally:
        ended.set()
        thread.join()
        writer.close("stopped")
    assert states <= {"queued", "running"}
    assert written > 10


def test_a_lock_left_with_a_reused_pid_is_taken_over(tmp_path: Path) -> None:
    """The record names a pid that lives and is somebody else's; the lock file is still there."""
    recipe = news_recipe()
    writer = open_run(tmp_path, recipe, 0)
    writer.close("stopped")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        status = {**read_run(writer.path).status, "state": "running", "pid": stranger.pid}
        write_json(writer.path / "status.json", status)
        assert (writer.path.parent / ".locks" / writer.path.name).exists()
        assert read_run(writer.path).state == "interrupted"
        again = open_run(tmp_path, recipe, 0)
        assert again.path == writer.path and read_run(again.path).state == "queued"
        again.close("stopped")
        assert stranger.poll() is None
        stranger.communicate(b"\n")


@pytest.mark.perf
@pytest.mark.parametrize("queued", [0, 20])
def test_five_hundred_runs_are_listed_in_half_a_second(tmp_path: Path, queued: int) -> None:
    from workbench.store import Entry, Queue

    for number in range(500):
        path = tmp_path / "news" / f"lora-s{number}-12345678"
        path.mkdir(parents=True)
        (path / "recipe.yaml").write_text("study: news\n")
        write_json(path / "status.json", {"state": "finished", "seed": number, "method": "lora"})
        write_json(path / "result.json", {"metrics": {"test": {"accuracy": 0.9}}})
    entries = [
        Entry(study="news", name=f"later-s{n}-12345678", recipe="", fields={}, seed=n)
        for n in range(queued)
    ]
    Queue(tmp_path).add(entries)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert len(list_runs(tmp_path)) == 500 + queued
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1.0, "0.5 s, and twice that on a slow processor"
