"""Learning curves over the seeds of a recipe: their mean, and the lowest and highest of them."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from workbench.analysis.records import finite, get_section
from workbench.comparison.rows import Sample
from workbench.store import read_run, stat_key

LOG, LOSS = "events.jsonl", "loss"
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
_KEPT_FILES, _KEPT_CURVES = 128, 1024

Point = tuple[float, float]
Version = tuple[int, ...] | None
"""Of a file, by which what was read of it is kept."""


def validation_metrics(samples: Sequence[Sample]) -> list[str]:
    """Names of what was measured on validation while training, in the order of the first run."""
    runs = [run for sample in samples for run in sample.runs]
    names = [name for run in runs for name in _validated(run.path, stat_key(run.path / LOG))]
    return list(dict.fromkeys(names))


@lru_cache(maxsize=_KEPT_CURVES)
def _validated(path: Path, version: Version) -> tuple[str, ...]:
    """What one run measured on validation."""
    events = [event for event in _events(path, version) if event["kind"] == "validation"]
    pairs = (pair for event in events for pair in get_section(event, "metrics").items())
    return tuple(dict.fromkeys(name for name, value in pairs if finite(value)))


def seed_bands(
    sample: Sample, quantity: str, across: Across = "step", smoothing: float = 0.0
) -> list[dict[str, Any]]:
    """Points of a curve over the seeds of a row: ``label, x, mean, low, high, seeds``.

    Only steps that every seed logged are in it, because a mean that loses a seed on the way would
    jump. Where seeds reach a step at different times, x is the mean of them.

    Args:
        quantity: ``loss`` or the name of a validation metric.
        smoothing: share of the running mean that is kept at each point, 0 for none.
    """
    read = [
        _curve(run.path, stat_key(run.path / LOG), quantity, across, smoothing)
        for run in sample.runs
    ]
    curves = [curve for curve in read if curve]
    if not curves:
        return []
    shared = sorted(set.intersection(*map(set, curves)))
    thinned = [thin([curve[step] for step in shared], MAX_POINTS) for curve in curves]
    bands = []
    for points in zip(*thinned, strict=True):
        values = [value for _, value in points]
        band = {"label": sample.label, "x": fmean(x for x, _ in points), "mean": fmean(values)}
        bands.append(band | {"low": min(values), "high": max(values), "seeds": len(values)})
    return bands


@lru_cache(maxsize=_KEPT_CURVES)
def _curve(
    path: Path, version: Version, quantity: str, across: Across, smoothing: float
) -> dict[float, Point]:
    """x and value by step."""
    kind = "step" if quantity == LOSS else "validation"
    seconds = tokens = 0.0
    found: dict[float, Point] = {}
    for event in _events(path, version):
        if event.get("kind") == "step":
            seconds += event["seconds"] if finite(event.get("seconds")) else 0.0
            tokens += event["tokens"] if finite(event.get("tokens")) else 0.0
        values = event if quantity == LOSS else get_section(event, "metrics")
        step, value = event.get("step"), values.get(quantity)
        if event.get("kind") != kind or not finite(step) or not finite(value):
            continue
        places = {"step": step, "epoch": event.get("epoch"), "seconds": seconds, "tokens": tokens}
        x = places[across]
        if finite(x):
            found[step] = (x, value)
    means = running_mean([value for _, value in found.values()], smoothing)
    return {step: (x, m) for (step, (x, _)), m in zip(found.items(), means, strict=True)}


def running_mean(values: Sequence[float], keep: float) -> list[float]:
    """Exponential running mean without the pull towards zero at the start."""
    means, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        means.append(total / weight)
    return means


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most ``limit`` points: means of equally many neighbours, so that nothing is hidden."""
    width = max(1, math.ceil(len(points) / limit))
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], fmean(value for _, value in group)) for group in groups]


@lru_cache(maxsize=_KEPT_FILES)
def _events(path: Path, version: Version) -> list[dict[str, Any]]:
    """What a run logged in this version of its log."""
    return [e for e in read_run(path).events()[0] if e.get("kind") in ("step", "validation")]
