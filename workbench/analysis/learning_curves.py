"""Curves of several seeds taken together: their mean, and the lowest and highest of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from workbench.analysis.records import finite, part
from workbench.comparison.rows import Sample
from workbench.store import Run, read_run

LOSS = "loss"
"""The training loss, as a name beside those of the validation metrics."""
Across = Literal["step", "epoch", "seconds", "tokens"]
"""What a curve runs over; seconds and tokens are those of the training steps alone."""
X_TITLES: dict[Across, str] = {
    "step": "step",
    "epoch": "epoch",
    "seconds": "training time, seconds",
    "tokens": "tokens trained on",
}
MAX_POINTS = 400
_KEPT_FILES = 128


def validation_metrics(samples: Sequence[Sample]) -> list[str]:
    """Names of what was measured on validation while training, in the order of the first run."""
    names = [
        name
        for sample in samples
        for run in sample.runs
        for event in logged(run)
        if event.get("kind") == "validation"
        for name, value in part(event, "metrics").items()
        if finite(value)
    ]
    return list(dict.fromkeys(names))


def seed_bands(
    sample: Sample, quantity: str, across: Across = "step", smoothing: float = 0.0
) -> list[dict[str, Any]]:
    """Points of a curve over the seeds of a row: ``label, x, mean, low, high, seeds``.

    Only steps that every seed logged are in it, because a mean that loses a seed on the way would
    jump. Where seeds reach a step at different times, x is the mean of them.

    Args:
        sample: the runs of a row.
        quantity: ``loss`` or the name of a validation metric.
        across: what the curve runs over.
        smoothing: share of the running mean that is kept at each point, 0 for none.
    """
    curves = [c for run in sample.runs if (c := _curve(run, quantity, across, smoothing))]
    if not curves:
        return []
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    width = max(1, math.ceil(len(shared) / MAX_POINTS))
    points = []
    for i in range(0, len(shared), width):
        steps = shared[i : i + width]
        seeds = [_mean([curve[step][1] for step in steps]) for curve in curves]
        x = _mean([curve[steps[-1]][0] for curve in curves])
        points.append(
            {
                "label": sample.label,
                "x": x,
                "mean": _mean(seeds),
                "low": min(seeds),
                "high": max(seeds),
                "seeds": len(seeds),
            }
        )
    return points


def _curve(
    run: Run, quantity: str, across: Across, smoothing: float
) -> dict[float, tuple[float, float]]:
    """x and value by step."""
    kind = "step" if quantity == LOSS else "validation"
    value_of: Callable[[dict[str, Any]], object] = (
        (lambda event: event.get("loss"))
        if quantity == LOSS
        else (lambda event: part(event, "metrics").get(quantity))
    )
    seconds = tokens = total = weight = 0.0
    curve: dict[float, tuple[float, float]] = {}
    for event in logged(run):
        if event.get("kind") == "step":
            seconds += event["seconds"] if finite(event.get("seconds")) else 0.0
            tokens += event["tokens"] if finite(event.get("tokens")) else 0.0
        step, value = event.get("step"), value_of(event)
        if event.get("kind") != kind or not finite(step) or not finite(value):
            continue
        total, weight = smoothing * total + value, smoothing * weight + 1
        places = {"step": step, "epoch": event.get("epoch"), "seconds": seconds, "tokens": tokens}
        x = places[across]
        if finite(x):
            curve[step] = (x, total / weight)
    return curve


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def logged(run: Run) -> list[dict[str, Any]]:
    """What a run logged; kept until its file changes."""
    path = run.path / "events.jsonl"
    try:
        found = path.stat()
    except OSError:
        return []
    return _events(run.path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=_KEPT_FILES)
def _events(path: Path, changed: int, size: int) -> list[dict[str, Any]]:
    return [e for e in read_run(path).events()[0] if e.get("kind") in ("step", "validation")]
