"""Turns of runs at once on one device: who waits for whom, and what a killed run leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.jobs.conftest import wait_for
from workbench.store import turns
from workbench.store.turns import TURNS_VARIABLE, Turns, turns_of_this_run

pytest.importorskip("fcntl")


def test_others_wait_at_their_next_step_until_the_turn_is_over(tmp_path: Path) -> None:
    one, other = Turns(tmp_path / "cpu.turns"), Turns(tmp_path / "cpu.turns")
    steps, enough = [0], threading.Event()

    def train() -> None:
        while not enough.is_set():
            steps[0] += 1
            other.let_others()

    thread = threading.Thread(target=train)
    thread.start()
    assert one.take(30)
    before = steps[0]
    assert not enough.wait(0.3)
    assert steps[0] == before, "the other one waits"
    one.give()
    wait_for(lambda: steps[0] > before)
    enough.set()
    thread.join()


def test_nobody_waits_for_what_takes_longer_than_a_step(tmp_path: Path) -> None:
    one, other = Turns(tmp_path / "cpu.turns"), Turns(tmp_path / "cpu.turns")
    assert not one.take(0.05), "the other one is at something"
    assert not other.take(0.05), "and so is this one, which goes on"


def test_a_run_that_hangs_in_its_turn_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Turns(tmp_path / "cpu.turns").take(30)
    monkeypatch.setattr(turns, "LONGEST_SECONDS", 0.05)
    other = Turns(tmp_path / "cpu.turns")
    monkeypatch.setattr(turns, "LONGEST_SECONDS", 600.0)
    thread = threading.Thread(target=other.let_others, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and not other.take(0)


def test_a_killed_run_holds_nobody_up(tmp_path: Path) -> None:
    file = tmp_path / "cpu.turns"
    source = (
        "import sys, time; from pathlib import Path; from workbench.store.turns import Turns\n"
        "print(Turns(Path(sys.argv[1])).take(30), flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", source, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        thread = threading.Thread(target=lambda: Turns(file))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "it waits"
        holder.kill()
        thread.join(30)
        assert not thread.is_alive()


def test_a_run_by_itself_takes_no_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(turns, "_ours", [])
    monkeypatch.delenv(TURNS_VARIABLE, raising=False)
    assert turns_of_this_run() is None
    monkeypatch.setenv(TURNS_VARIABLE, str(tmp_path / "cpu.turns"))
    found = turns_of_this_run()
    assert found is not None and turns_of_this_run() is found
    assert TURNS_VARIABLE not in os.environ, "what this process starts has no turns of its own"
