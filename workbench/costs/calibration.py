"""What operators take on this device, measured and kept in the user's cache folder.

    <cache>/calibration/<device, threads, precision and torch as a hash>.json

Those of a training step that are not in the file are measured, which takes about as long as the
step. A training of minutes sees the mean pace of its processors; on a shared machine, where that
halves and doubles within a second, one moment says little of it. So plans measure a little of what
is known once more, until each kind was measured five times, and the mean counts. What was measured
beside other busy programs serves until it can be measured again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Self

import torch
from torch import nn

from workbench.assets import cache_dir, keep
from workbench.costs.cpu_load import BackgroundLoad
from workbench.costs.operations import OpCounts, OpSignature
from workbench.costs.stopwatch import Stopwatch
from workbench.distributed.policy import Policy
from workbench.store import read_json, write_json

OVERHEAD = "overhead"
"""Key of the seconds that a call takes beside its arithmetic: Python, autograd, dispatch."""
BUSY = 0.2
"""Share of the processors from which on other programs are in the way of measuring one."""
_AGAIN_SECONDS = 0.2
"""That a plan takes to measure what is known once more, or as long as a step does: in 0.2 s a model
whose products take 50 ms would have one kind measured, and its timings stay at one."""
_TIMES = 5
"""That a kind of operator is measured, each by another plan."""
_MOST, _OFTEN = 0.5, 3
"""Part of a step's time whose kinds speak for all of it, and the measurements from which on they
say how far apart these can be."""

Measured = dict[str, list[float]]  # seconds per call of each kind of operator
Choice = Callable[[list[float]], float]


@dataclass(frozen=True)
class StepTime:
    mean: float
    timings: int
    """How often at least the operators were measured that take half of it."""
    spread: tuple[float, float] | None
    """How much less and more it may be, as parts of the mean: with every operator as fast, and as
    slow, as it was measured. None below three timings."""


@dataclass(kw_only=True)
class Calibration:
    device: torch.device
    path: Path
    about: dict[str, Any]
    seconds: Measured = field(default_factory=dict)
    while_busy: Measured = field(default_factory=dict)
    """What could only be measured beside other programs, until it is measured without them."""
    others: BackgroundLoad = field(default_factory=BackgroundLoad)

    @classmethod
    def of(cls, policy: Policy, device: torch.device, *, anew: bool = False) -> Self:
        """What is known of a device under a policy; ``anew`` begins with nothing."""
        about = {
            "device": policy.device_name,
            "threads": torch.get_num_threads(),
            "precision": policy.precision,
            "torch": torch.__version__,
        }
        name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
        path = cache_dir() / "calibration" / f"{name}.json"
        kept = {} if anew else read_json(path) or {}
        return cls(
            device=device,
            path=path,
            about=about,
            seconds=_usable(kept, "seconds"),
            while_busy=_usable(kept, "while_busy"),
        )

    def lacks(self, operations: OpCounts) -> list[OpSignature]:
        return [kind for kind in operations.counts if kind.key not in self.seconds]

    def measure(self, *steps: OpCounts) -> None:
        busy = self._busy()
        known = self.seconds.keys() | (self.while_busy.keys() if busy else set())
        stopwatch = Stopwatch(self.device)
        measured = {
            kind.key: stopwatch.seconds(kind)
            for kind in {kind.key: kind for step in steps for kind in step.counts}.values()
            if kind.key not in known
        }
        if not busy:
            measured |= self._once_more(steps, stopwatch)
        if OVERHEAD not in known or not (busy or self._settled(OVERHEAD)):
            measured[OVERHEAD] = _overhead(self.device)
        if not measured:
            return
        kept = self.while_busy if self._busy() else self.seconds
        for key, seconds in measured.items():
            kept.setdefault(key, []).append(seconds)
        self.while_busy = {k: s for k, s in self.while_busy.items() if k not in self.seconds}
        values = {"seconds": self.seconds, "while_busy": self.while_busy}
        keep(self.path, lambda file: write_json(file, {**self.about, **values}))

    def _once_more(self, steps: Sequence[OpCounts], stopwatch: Stopwatch) -> dict[str, float]:
        """Seconds of kinds that were known; what weighs most and was measured least comes first."""
        weights: dict[OpSignature, float] = {}
        longest = 0.0
        for step in steps:
            taken = 0.0
            for kind, calls in step.counts.items():
                past = self.seconds.get(kind.key, [])
                taken += calls * fmean(past) if past else 0.0
                if past and not self._settled(kind.key):
                    weights[kind] = calls * fmean(past) / len(past)
            longest = max(longest, taken)
        measured: dict[str, float] = {}
        end = time.perf_counter() + _AGAIN_SECONDS * max(1.0, longest / 0.2)
        for kind in sorted(weights, key=weights.__getitem__, reverse=True):
            if time.perf_counter() > end:
                break
            measured[kind.key] = stopwatch.seconds(kind)
        return measured

    def _settled(self, key: str) -> bool:
        return len(self.seconds.get(key, [])) >= _TIMES

    def _busy(self) -> bool:
        return self.device.type == "cpu" and self.others.share() > BUSY

    def measured_while_busy(self, operations: OpCounts) -> bool:
        return any(kind.key in self.while_busy for kind in self.lacks(operations))

    def step_time(self, operations: OpCounts) -> StepTime | None:
        """The time of a step made of these operators; None while some are not measured."""
        measured = self.while_busy | self.seconds
        calls = {kind.key: number for kind, number in operations.counts.items()}
        if not measured.keys() >= {OVERHEAD, *calls}:
            return None
        computing = [_Part(measured[key], number) for key, number in calls.items()]
        waiting = [_Part(measured[OVERHEAD], operations.calls)]

        def together(choice: Choice) -> float:
            parts = [_seconds(part, choice) for part in (computing, waiting)]
            # A GPU computes while the CPU goes ahead; on a CPU both are the same thread.
            return max(parts) if self.device.type == "cuda" else sum(parts)

        mean, timings = together(fmean), _timings([*computing, *waiting])
        known = timings >= _OFTEN and mean > 0
        spread = (together(min) / mean, together(max) / mean) if known else None
        return StepTime(mean, timings, spread)


@dataclass(frozen=True)
class _Part:
    """The calls of a step that are of one kind."""

    times: list[float]  # seconds of one, as it was measured
    calls: int

    @property
    def seconds(self) -> float:
        return self.calls * fmean(self.times)


def _seconds(parts: Sequence[_Part], choice: Choice) -> float:
    """Seconds of some calls by one of the times that each was measured; what was measured seldom
    is as much faster or slower than its mean as the rest."""
    often = [part for part in parts if len(part.times) >= _OFTEN] or parts
    mean = sum(part.seconds for part in often)
    chosen = sum(part.calls * choice(part.times) for part in often)
    return sum(part.seconds for part in parts) * (chosen / mean if mean > 0 else 1.0)


def _timings(parts: Sequence[_Part]) -> int:
    """How often at least that was measured which makes up most of a step."""
    rest = _MOST * sum(part.seconds for part in parts)
    for part in sorted(parts, key=lambda part: -len(part.times)):
        rest -= part.seconds
        if rest <= 0:
            return len(part.times)
    return 0


def _usable(kept: Mapping[str, Any], name: str) -> Measured:
    found = kept.get(name)
    pairs = found.items() if isinstance(found, dict) else ()
    return {
        key: [float(s) for s in times]
        for key, times in pairs
        if isinstance(times, list) and times
        if all(isinstance(s, int | float) and s >= 0 for s in times)
    }


def _overhead(device: torch.device) -> float:
    """Seconds per call of what surrounds an operator, from layers too small to take any time."""
    layers = nn.Sequential(
        *(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU()) for _ in range(20))
    ).to(device)
    inputs = torch.ones(2, 8, device=device)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        layers(inputs).sum().backward()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2] / _CALLS


_CALLS = 20 * (3 + 2 + 8)
"""Calls of the 20 layers above, forward and backward, as a dispatch mode counts them."""
