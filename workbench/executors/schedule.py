"""When the runs of a study would be done on given devices: the queue, played on forecasts.

Each run begins on whatever is free first, as the queue's worker and Ray do it. It takes the time of
its steps, of its evaluations and of its process.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import UsageError
from workbench.executors.packing import START_SECONDS, ends_of

FP32 = 1.6
"""Time of a forward pass in fp32 by that in bf16: of a step with head alone, 1.7 (MiniLM)."""
GB = 10**9
EXAMPLE = "8xH100:80GB, 4 (runs at once on this machine) or ray"


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What runs are scheduled on."""

    name: str
    slots: int
    """Runs at once."""
    per_device: int = 1
    """Of these, how many share a device and its memory."""
    memory_bytes: int | None = None
    """Of a device; None where that is not known."""
    slowdown: float = 1.0
    """How much longer a run takes than alone."""
    longest_first: bool = True
    """As `run --parallel` begins them; else in the order of the command, as Ray does."""


def parse_devices(text: str) -> Devices | int | None:
    """The devices of ``8xH100:80GB``; a number of runs at once on this machine; None for ``ray``.

    Raises:
        UsageError: when it is none of these.
    """
    if text == "ray":
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 1024:
        return int(text)
    found = re.fullmatch(r"(\d{1,4})x([\w.-]{1,40})(?::(\d{1,5}(?:\.\d)?)GB)?", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= 1024 or (found[3] and not float(found[3])):
        raise UsageError(f"--devices {text}", why="it names no devices", fix=EXAMPLE)
    memory = int(float(found[3]) * GB) if found[3] else None
    return Devices(name=found[2], slots=int(found[1]), memory_bytes=memory)


def run_seconds(plan: Mapping[str, Any], batch_size: int, evaluated: int) -> float | None:
    """What a run takes by its plan; None where the plan has no time.

    Args:
        evaluated: examples that it predicts, over all validations and the test.
    """
    step, train = plan.get("seconds_per_step"), plan.get("train_seconds")
    if step is None or train is None:
        return None
    forward = step / batch_size / _passes(plan)
    wider = FP32 if plan.get("precision") == "bf16" else 1.0
    return float(START_SECONDS + train + evaluated * forward * wider)


def _passes(plan: Mapping[str, Any]) -> int:
    """How many forward passes a step takes: one for the gradients of what comes after the body,
    two with those of activations, three with those of weights."""
    trained, head = plan.get("trainable_parameters", 0), plan.get("head_parameters")
    if trained == head:
        return 1
    return 3 if 2 * trained > plan.get("total_parameters", 0) else 2


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    name: str
    seconds: float | None
    needed_bytes: int | None
    """Of the device that it runs on."""


def schedule(runs: Sequence[PlannedRun], devices: Devices) -> dict[str, Any]:
    """Makespan, device hours and memory as plain values; None where a forecast is missing.

    ``reserved_hours`` count every device until the last run is done, ``busy_hours`` what runs take
    of them.
    """
    needed = [run.needed_bytes for run in runs if run.needed_bytes is not None]
    largest = sum(sorted(needed)[-devices.per_device :]) if len(needed) == len(runs) else None
    memory = devices.memory_bytes
    fits = None if memory is None or largest is None else largest <= memory
    fitting = memory // max(needed) if devices.per_device == 1 and memory and largest else None
    seconds = [run.seconds * devices.slowdown for run in runs if run.seconds is not None]
    known = len(seconds) == len(runs)
    if devices.longest_first:
        seconds.sort(reverse=True)
    makespan = max(ends_of(seconds, [0.0] * devices.slots), default=0.0) if known else None
    count = -(-devices.slots // devices.per_device)
    return {
        "devices": count,
        "device": devices.name,
        "runs": len(runs),
        "runs_at_once": min(devices.slots, len(runs)),
        "makespan_seconds": makespan,
        "reserved_hours": None if makespan is None else count * makespan / 3600,
        "busy_hours": sum(seconds) / devices.per_device / 3600 if known else None,
        "peak_memory_bytes": largest,
        "device_memory_bytes": memory,
        "fits": fits,
        "fit_on_one_device": fitting,
    }
