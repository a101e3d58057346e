"""How many runs a device takes at once: the one rule, for running and for planning.

A GPU takes as many as its free memory holds, each with what its process takes beside the forecast
of its training, and at most one for each core that the machine has for this GPU. A CPU takes as
many as its cores hold threads of a run, within free memory too: a run has as many threads alone as
beside others, because their number decides in which order numbers are added up.

Several at once are processes of their own, which each load libraries, data and forecast anew; runs
one after the other share them. So short runs are quicker one after the other.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CPU_PROCESS_BYTES = 700 * 2**20
"""Python with torch, transformers and PEFT, of a run and of the process that checks its adapter,
beside what either loads: resident 330 MB each, and the data."""
GPU_PROCESS_BYTES = 600 * 2**20
"""CUDA's context and kernels of a process; not measured here."""
START_SECONDS, SHARED_SECONDS = 12.0, 1.0
"""Of a core, that a run takes beside its steps: in a process of its own, and after another one in
the same process. Eight runs of quickstart at six steps took 130 and 50 s of processor time, most
of it imports, baselines, forecast and retention."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What runs are packed on."""

    cards: Sequence[str]
    """Its GPUs; empty for a machine that computes on its CPU."""
    free_bytes: int | None
    """Free memory: of the fullest GPU, or the main memory. None where that is not known."""
    cores: int
    threads: int
    """That one run computes with on a CPU."""

    @property
    def takes_several(self) -> bool:
        """Whether more than one run may be begun at once."""
        return bool(self.cards) or self.cores >= 2 * self.threads


def needed_bytes(plan: Mapping[str, Any]) -> int | None:
    """What a run takes of a device's memory by its plan; None where that is not forecast."""
    peak, weights = plan.get("peak_memory_bytes"), (plan.get("memory") or {}).get("weights_bytes")
    if peak is None:
        return None
    if plan.get("device") == "cuda":
        return int(peak) + GPU_PROCESS_BYTES
    return int(peak) + int(weights or 0) + CPU_PROCESS_BYTES


def at_once_each(machine: Machine, needed: Sequence[int | None]) -> int:
    """How many runs one device of a machine takes at the same time, by what each of them needs.

    One where a forecast is missing: nothing says then that two fit.
    """
    if machine.cards:
        most = max(1, machine.cores // len(machine.cards))
    else:
        most = max(1, machine.cores // machine.threads)
    if most == 1 or machine.free_bytes is None or None in needed or not needed:
        return 1
    return max(1, min(most, int(at_most_each(machine, needed))))


def at_most_each(machine: Machine, needed: Sequence[int | None]) -> float:
    """How many runs the free memory of a device holds, as far as that is forecast."""
    known = [each for each in needed if each is not None]
    return machine.free_bytes // max(known) if known and machine.free_bytes else math.inf


def pays(seconds: Sequence[float | None], at_once: int) -> bool:
    """Whether runs of so many seconds of training are done sooner ``at_once`` than one by one.

    True where a forecast is missing.
    """
    known = [each for each in seconds if each is not None]
    if len(known) < len(seconds):
        return True
    one_by_one = sum(known) + len(known) * SHARED_SECONDS
    return (sum(known) + len(known) * START_SECONDS) / at_once < one_by_one


def ends_of(seconds: Sequence[float], free_at: Sequence[float]) -> list[float]:
    """When runs end that are begun in their order, each on whatever is free first.

    Args:
        seconds: that each takes.
        free_at: when each of the slots is free.
    """
    slots, ends = list(free_at), []
    heapq.heapify(slots)
    for taken in seconds:
        ends.append(slots[0] + taken)
        heapq.heapreplace(slots, ends[-1])
    return ends
