"""K6 to K8: asked to stop, once and twice, and a terminal that goes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.torture.cells import STEPS
from tests.torture.trials import Trial
from tests.training.killing import nth, wrap
from workbench import jobs
from workbench.jobs import Job
from workbench.pipeline.signals import ECHO_SECONDS
from workbench.training import launched

HANGS_SECONDS = 60.0
STARTS_SECONDS = 90.0


def term(trial: Trial) -> None:
    """K6: 143 with everything saved; a second TERM ends a step that hangs."""
    _asked(trial, signal.SIGTERM)


def interrupt(trial: Trial) -> None:
    """K7: 130 with everything saved; a second Ctrl-C ends a step that hangs."""
    _asked(trial, signal.SIGINT)


def _asked(trial: Trial, number: signal.Signals) -> None:
    twice = trial.index % 2 == 1
    at, reached = trial.one_of(1, STEPS - 1), trial.root / "reached"
    child = trial.begin(lambda: _pausing(at, reached, HANGS_SECONDS if twice else 0.3))
    _wait_for(reached)
    os.kill(child, number)
    sent = time.monotonic()
    if twice:
        time.sleep(ECHO_SECONDS + 0.1)
        os.kill(child, number)
    code = trial.end(child)
    trial.expect(time.monotonic() - sent < 10, "it took more than ten seconds")
    if twice:
        trial.expect(code in (128 + number, -number), f"exit code {code}")
        trial.expect(trial.run.state == "interrupted", f"it is {trial.run.state}", "I3")
    else:
        trial.expect(code == 128 + number, f"exit code {code}")
        trial.expect(trial.run.state == "stopped", f"it is {trial.run.state}", "I3")
        saved = trial.path / "checkpoints" / f"step-{at:06}"
        trial.expect(saved.is_dir(), f"step {at} was not saved", "I2")
    trial.check()
    trial.go_on()


def _pausing(step: int, reached: Path, seconds: float) -> None:
    """Makes the child's ``step``-th step take some time more, which a signal cuts short."""

    def slowly(made: Callable[..., object], **values: object) -> object:
        reached.touch()
        time.sleep(seconds)
        return made(**values)

    wrap(launched, "Step", nth(step, slowly))


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + STARTS_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} did not come")
        time.sleep(0.002)


def closed_terminal(trial: Trial) -> None:
    """K8: SIGHUP to a job and everything it started; it goes on to its end, and logs."""
    job: Job = jobs.start([trial.cell.recipe], trial.root, seeds=[0])
    _wait_for(trial.path / "status.json")
    time.sleep(trial.draw.uniform(0, trial.cell.seconds))
    before = len(trial.run.events()[0])
    os.killpg(job.pid, signal.SIGHUP)
    deadline = time.monotonic() + STARTS_SECONDS
    while job.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    trial.expect(trial.run.state == "finished", trial.run.reason or trial.run.state, "I3")
    trial.expect(len(trial.run.events()[0]) >= before, "the log did not grow")
    # The whole run made no forecast, and what its export differs by was left out.
    trial.compare(saved=False, but=("forecast", "export", "README.md"))
    trial.check(checkpoints=False)
