"""K16 to K20: several processes at one run or at one folder, and a clock that is set back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.killed_runs import after_step
from tests.torture.cells import STEPS
from tests.torture.trials import Trial
from tests.training.killing import nth, wrap
from workbench.errors import RunRefused
from workbench.store import describe_process, open_run, read_run, run_path, write_json
from workbench.training import launched

STARTS, WRITERS, ROWS, READS = 100, 8, 300, 200
JUMP_SECONDS = -3600.0


def two_starts(trial: Trial) -> None:
    """K16: one wins, the other ends with 3 and names it; also over a lock with a reused pid."""
    goes_on = trial.index % 2 == 1
    if goes_on:
        stranger = describe_process(os.getpid())
        stranger["process_identity"] += "0"  # the pid lives, and started at another time
        open_run(trial.root, trial.cell.recipe, 0).close("stopped")
        status = {**trial.run.status, **stranger, "state": "running"}
        write_json(trial.path / "status.json", status)
        trial.expect(trial.run.state == "interrupted", f"it is {trial.run.state}", "I3")
    children = [trial.begin(), trial.begin()]
    codes = {child: trial.end(child) for child in children}
    trial.expect(sorted(codes.values()) == [0, RunRefused.exit_code], f"codes {codes}")
    said = trial.said.read_text()
    winner = next((child for child, code in codes.items() if code == 0), None)
    trial.expect(goes_on or f"process {winner}" in said, "the loser was not told who owns the run")
    trial.go_on()


def hundred_starts(trial: Trial) -> None:
    """K17: a hundred runs at one moment make a hundred folders; of one run, one wins."""
    same = trial.index % 2 == 1
    begin = time.monotonic() + 1.5

    def start(number: int) -> int:
        time.sleep(max(0.0, begin - time.monotonic()))
        try:
            writer = open_run(trial.root, trial.cell.recipe, 0 if same else number)
        except RunRefused as error:
            return error.exit_code
        time.sleep(3.0 if same else 0.1)
        writer.close("stopped")
        return 0

    children = [trial.fork(lambda number=n: start(number)) for n in range(STARTS)]  # type: ignore[misc]
    codes = [trial.end(child) for child in children]
    folders = list(trial.path.parent.glob(f"{trial.cell.name}-s*"))
    trial.expect(codes.count(0) == (1 if same else STARTS), f"{codes.count(0)} of {STARTS} won")
    trial.expect(len(folders) == (1 if same else STARTS), f"{len(folders)} folders")
    states = {read_run(each).state for each in folders}
    trial.expect(states == {"stopped"}, f"they are {states}", "I3")
    trial.go_on()


def writers_at_once(trial: Trial) -> None:
    """K18: eight runs log at once, half of them are killed at it: no row is lost or torn."""

    def write(number: int) -> None:
        writer = open_run(trial.root, trial.cell.recipe, number)
        for step in range(ROWS):
            writer.event("step", step=step, text="x" * (step % 300))
            writer.mark() if step % 50 == 0 else None
        writer.close("stopped")

    children = [trial.fork(lambda n=n: write(n)) for n in range(WRITERS)]  # type: ignore[misc]
    time.sleep(trial.draw.uniform(0.0, 0.15))
    for child in children[::2]:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    codes = [trial.end(child) for child in children]
    for number, code in enumerate(codes):
        run = read_run(run_path(trial.root, trial.cell.recipe, number))
        steps = [row["step"] for row in run.events()[0]]
        gaps = steps != list(range(len(steps)))
        trial.expect(not gaps, f"the log of run {number} has gaps", "I6")
        trial.expect(code != 0 or len(steps) == ROWS, f"run {number}: {len(steps)} rows", "I6")
    trial.go_on()


def reader_while_writing(trial: Trial) -> None:
    """K19: a run is read all the time while it is trained, killed and resumed."""
    for prepare in (after_step(trial.one_of(1, STEPS)), lambda: None):
        child, reads = trial.begin(prepare), 0
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            reads += _read(trial)
        trial.end(child)
        trial.expect(reads > READS, f"only {reads} reads")
        trial.check()
    trial.go_on()


def _read(trial: Trial) -> int:
    status: Path = trial.path / "status.json"
    if not status.exists():
        return 0
    try:
        json.loads(status.read_text())
    except ValueError as error:
        trial.expect(False, f"half of status.json was read: {error}", "I1")
    state = trial.run.state
    trial.expect(state != "unreadable", "a run that is written reads unreadable", "I3")
    return 1


def clock_set_back(trial: Trial) -> None:
    """K20: by an hour, in the middle of a run that is killed later; no time is negative."""
    at = trial.one_of(1, STEPS - 2)

    def jump() -> None:
        def step(made: Callable[..., object], **values: object) -> object:
            wrap(time, "time", lambda real: lambda: real() + JUMP_SECONDS)
            return made(**values)

        wrap(launched, "Step", nth(at, step))
        after_step(trial.one_of(at + 1, STEPS))()

    trial.event(jump)
    trial.go_on()
    times = trial.run.result.get("time", {})
    negative = {k: v for k, v in times.items() if isinstance(v, int | float) and v < 0}
    trial.expect(not negative, f"negative times: {negative}")
