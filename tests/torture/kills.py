"""K1 to K5 and K13: a SIGKILL at any time, and at every point where something is written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.killed_runs import in_backward
from tests.torture.cells import STEPS, STEPS_PER_EPOCH
from tests.torture.trials import Trial
from tests.training.killing import die_at_syscall, dying_at, nth, wrap
from workbench.pipeline import pipeline
from workbench.store import count_oom_kills, kill_reason, record_death, run_writer
from workbench.training import checkpoint_folder
from workbench.training.checkpoint_folder import CheckpointFolder

SAVE_POINTS = 60
"""Changes on the disk while a best state and a checkpoint are saved and old ones go, and a few."""
DROP_POINTS = 12
EXPORT_POINTS = 40


def at_any_time(trial: Trial) -> None:
    """K1: uniform over the run, as long as it took when nothing happened."""
    child = trial.begin()
    time.sleep(trial.draw.uniform(0, trial.cell.seconds))
    os.kill(child, signal.SIGKILL)
    trial.end(child)
    trial.check()
    trial.go_on()


def then_at_point(call: int, point: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Arms a kill at the ``point``-th change on the disk from a function's ``call``-th call on."""

    def armed(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        die_at_syscall(point)
        return function(*arguments, **options)

    return nth(call, armed)


def in_a_save(trial: Trial) -> None:
    """K2: each point in turn; a validation's save is of the best state and the checkpoint."""
    name = trial.draw.choice(["save_best", "save_step"])
    call, point = trial.one_of(1, 2), 1 + trial.index % SAVE_POINTS
    trial.event(lambda: wrap(CheckpointFolder, name, then_at_point(call, point)))
    trial.go_on()


def twice_in_an_epoch(trial: Trial) -> None:
    """K3: in the middle of accumulating a step each time; resumed twice."""
    first = trial.one_of(STEPS_PER_EPOCH + 1, STEPS - 1)
    code = trial.event(in_backward(first, trial.one_of(1, 3)))
    trial.expect(code == -signal.SIGKILL, f"it was not killed in step {first}")
    # Counted from the checkpoint that it continues from, which is at most two steps back.
    trial.event(in_backward(trial.one_of(1, 2), trial.one_of(1, 3)))
    trial.expect(trial.kills == 2, f"{trial.kills} kills instead of two")
    trial.go_on()


def in_the_rotation(trial: Trial) -> None:
    """K4: while an old checkpoint is renamed and deleted, file by file."""
    call, point = trial.one_of(1, 3), 1 + trial.index % DROP_POINTS
    trial.event(lambda: wrap(checkpoint_folder, "drop_folder", then_at_point(call, point)))
    trial.go_on()


def in_the_export(trial: Trial) -> None:
    """K5: while the best state is copied, the adapter written, checked or put in its place."""
    call, point = trial.one_of(1, 2), 1 + (trial.index // 4) % EXPORT_POINTS
    ways: list[Callable[[], object]] = [
        lambda: wrap(CheckpointFolder, "save_best", then_at_point(call, point)),
        lambda: wrap(pipeline, "write_weights", then_at_point(1, point)),
        lambda: wrap(pipeline, "check_folder", then_at_point(1, point)),
        lambda: wrap(pipeline, "check_folder", lambda check: dying_at(1, check)),
    ]
    trial.event(ways[trial.index % len(ways)])
    trial.go_on()


def by_the_kernel(trial: Trial) -> None:
    """K13: the memory was nearly full at the last heartbeat; told with and without a supervisor."""
    memory = {"process_bytes": 7 * 2**30, "available_bytes": 2**20, "total_bytes": 8 * 2**30}

    def full() -> None:
        wrap(run_writer, "memory_now", lambda _: lambda: memory)
        in_backward(trial.one_of(1, STEPS))()

    before = count_oom_kills()
    code = trial.event(full)
    trial.expect("probably for memory" in trial.run.reason, trial.run.reason)
    if trial.index % 2:
        record_death(trial.path, kill_reason(code, trial.run.status, before))
        trial.expect("likely out of memory" in trial.run.reason, trial.run.reason)
    trial.go_on()
