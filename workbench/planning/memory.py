"""Peak training memory from a rehearsal, whether it fits, and the largest batch that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import torch

from workbench.planning.rehearsal import Rehearsal

CPU_FORWARD_BYTES, CPU_BACKWARD_BYTES = 22_000_000, 10_000_000
"""What a CPU process takes for its first steps beyond its tensors: pages of torch's and oneDNN's
code that are touched for the first time, compiled kernels, stacks of threads, Python objects. On
two x86 cores (torch 2.13) 20 to 25 MB where BERTs of 22M to 109M parameters train a head only, so
that no layer is passed backward, and 26 to 37 MB else; 32 to 49 MB for GPT-2."""
CPU_AGAIN_BYTES = 6_000_000
"""The same for a process that has trained before: oneDNN keeps what it has compiled, about half a
megabyte for each shape of a matrix product. 3 to 9 MB in 22 of 23 such runs of `bbc-news`, whatever
the method, and 21 MB where p-tuning brought shapes of its own."""

_CGROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Limit and use of a container, relative to /sys/fs/cgroup: version 2 and version 1."""

MOST_EXAMPLES = 4096
"""Where the search for a batch ends; a rehearsal makes rows for each of its examples. A plan says
of a batch found there that it is the least that fits (`largest_batch_is_lower_bound`)."""

MOST_PASSES = 3
"""Corrections after the first pass of the search for a batch; one is usual."""


def runtime_bytes(rehearsal: Rehearsal, device: torch.device, *, again: bool) -> int:
    """Memory that a training takes beyond its tensors, on devices where that was measured.

    Args:
        again: whether the process has trained before.
    """
    if device.type != "cpu":
        return 0
    if again:
        return CPU_AGAIN_BYTES
    adapted = rehearsal.session.adapted
    deep = any(not adapted.is_head(name) for name in adapted.trainable())
    return CPU_FORWARD_BYTES + (CPU_BACKWARD_BYTES if deep else 0)


def memory_of(rehearsal: Rehearsal, runtime: int) -> dict[str, Any]:
    """``peak_memory_bytes`` of all processes together, and what it is made of.

    Activations are, as in a run's record, what the peak holds beyond weights, gradients and
    optimizer state.

    Args:
        runtime: what `runtime_bytes` says.
    """
    processes = rehearsal.outline.policy.processes
    pieces = rehearsal.pieces
    parts = {
        **pieces,
        "activations_bytes": max(0, rehearsal.peak - sum(pieces.values())),
        "runtime_bytes": runtime,
    }
    parts = {name: processes * size for name, size in parts.items()}
    return {"peak_memory_bytes": sum(parts.values()), "memory": parts}


def free_memory(device: torch.device) -> int:
    """Bytes that a process could still take on a device; a container's limit counts."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for limit, used in _CGROUPS:
        try:
            room = [int((Path("/sys/fs/cgroup") / each).read_text()) for each in (limit, used)]
        except (OSError, ValueError):  # not in a container, or one without a limit ("max")
            continue
        free = min(free, max(0, room[0] - room[1]))
    return free


def largest_batch(rehearsal: Rehearsal, free: int) -> int | None:
    """Most examples per forward pass that fit, by the longest texts; None when not one does.

    Memory grows with the batch in a straight line once there is more of it than an optimizer
    step takes. What the rehearsal held per example leads near; from there on each pass is put
    where the line through the last two meets what is free, until it stays there.
    """
    held = _whole_step(rehearsal)
    if held > free:
        return None
    few, small = rehearsal.outline.at_once, rehearsal.peak
    many = _on_line(0, held, few, small, free)
    many = 2 * few if many == few else max(1, many)
    large = rehearsal.peak_with(many)
    for _ in range(MOST_PASSES):
        found = _on_line(few, small, many, large, free)
        if found in (0, many):
            return found or None
        few, small, many, large = many, large, found, rehearsal.peak_with(found)
    # With other texts in it a batch may be padded, and then has a mask: the line has a step.
    return many if large <= free else max(1, many - 1)


def _on_line(few: int, small: int, many: int, large: int, free: int) -> int:
    per_example = (large - small) / (many - few)
    if per_example <= 0:
        return MOST_EXAMPLES
    return min(max(0, int(few + (free - small) // per_example)), MOST_EXAMPLES)


def _whole_step(rehearsal: Rehearsal) -> int:
    """What an optimizer step holds whatever the batch."""
    return sum(rehearsal.pieces.values())
