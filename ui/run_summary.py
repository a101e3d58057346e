"""What the views say of a run, from records that may be incomplete."""

import time
from collections.abc import Mapping
from typing import Any, Literal

from workbench.analysis.records import finite, get_section, number
from workbench.formatting import ABSENT, duration, score
from workbench.store import ACTIVE, Run

# "starting" is the page's own: a job that is there, for a run whose folder is not.
Color = Literal["green", "blue", "orange", "gray", "red"]
STATES: dict[str, tuple[Color, str]] = {
    "running": ("blue", "#2f7fc1"),
    "queued": ("gray", "#7d868c"),
    "starting": ("gray", "#7d868c"),
    "stopping": ("orange", "#d07a26"),
    "finished": ("green", "#7d868c26"),
    "stopped": ("gray", "#7d868c"),
    "failed": ("red", "#c2504a"),
    "interrupted": ("red", "#c2504a"),
    "unreadable": ("red", "#c2504a"),
}
"""Each state's colour: of a badge, and in a table."""


def title_of(run: Run) -> str:
    """The name that people gave a run, or its recipe and seed."""
    seed, recipe = run.status.get("seed"), str(run.status.get("recipe") or run.path.name)
    return run.notes.name or (recipe if seed is None else f"{recipe}, seed {seed}")


def decimal(value: object) -> str:
    """A score as the comparison writes it."""
    return score(value) if finite(value) else ABSENT


def state_of(run: Run) -> str:
    """The state that a reader should see: an active run that was asked to stop is stopping."""
    asked = run.state in ACTIVE and (run.path / "stop").exists()
    return "stopping" if asked else run.state


def progress_of(run: Run) -> dict[str, Any]:
    """Step, steps, loss and time left, as far as they are known."""
    return get_section(run.status, "progress")


def share_done(run: Run) -> float | None:
    """How much of the training is done, 0 to 1."""
    if run.state == "finished":
        return 1.0
    progress = progress_of(run)
    step, steps = number(progress, "step"), number(progress, "steps")
    if step is None or not steps or steps < 0:
        return None
    return min(1.0, max(0.0, step / steps))


def time_of(run: Run) -> str:
    """Time left of an active run, time taken of an ended one."""
    if run.state in ACTIVE:
        left = number(progress_of(run), "eta_seconds")
        return ABSENT if left is None else f"{duration(left)} left"
    started, ended = number(run.status, "started_at"), number(run.status, "ended_at")
    return ABSENT if started is None or ended is None else duration(max(0.0, ended - started))


def scored(metrics: Mapping[str, Any], first: object = None) -> list[str]:
    """Names of the metrics that have a value, ``first`` before the others; all if none has one."""
    names = [name for name, value in metrics.items() if finite(value)] or list(metrics)
    return sorted(names, key=lambda name: name != first)


def score_of(run: Run) -> tuple[float | None, str]:
    """The test score on the metric that selected the adapter, and the metric's name."""
    test = get_section(get_section(run.result, "metrics"), "test")
    names = scored(test, get_section(run.result, "selected").get("metric"))
    score = number(test, names[0]) if names else None
    return None if score is None else float(score), names[0] if names else ""


def minutes_of(run: Run) -> tuple[float | None, float | None]:
    """Minutes that a run has taken so far, and those that an active one has left."""
    started, ended = number(run.status, "started_at"), number(run.status, "ended_at")
    active, left = run.state in ACTIVE, number(progress_of(run), "eta_seconds")
    until = time.time() if active else ended
    taken = None if started is None or until is None else max(0.0, until - started) / 60
    return taken, left / 60 if active and left is not None else None
