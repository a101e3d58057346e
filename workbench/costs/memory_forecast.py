"""Peak training memory from a dry run, whether it fits, and the largest batch that does."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from workbench.costs.dry_run import DryRun

CPU_RUNTIME_BYTES = 2_000_000
"""What a CPU process takes for its first steps beyond its tensors, once it is warm
(`warm_up`): 1 to 4 MB for four methods on MiniLM."""


MOST_EXAMPLES = 4096
"""Where the search for a batch ends; a dry makes rows for each of its examples. A plan says
of a batch found there that it is the least that fits (`largest_batch_is_lower_bound`)."""

MOST_PASSES = 3
"""Corrections after the first pass of the search for a batch; one is usual."""


def runtime_bytes(device: torch.device) -> int:
    """Memory that a training takes beyond its tensors, on devices where that was measured."""
    return CPU_RUNTIME_BYTES if device.type == "cpu" else 0


def memory_of(dry: DryRun, runtime: int) -> dict[str, Any]:
    """``peak_memory_bytes`` of all processes together and, in ``memory``, what it is made of;
    activations are what the peak holds beyond weights, gradients and optimizer state."""
    processes = dry.run.policy.processes
    pieces = dry.pieces
    parts = {
        **pieces,
        "activations_bytes": max(0, dry.peak - sum(pieces.values())),
        "runtime_bytes": runtime,
    }
    parts = {name: processes * size for name, size in parts.items()}
    return {"peak_memory_bytes": sum(parts.values()), "memory": parts}


def largest_batch(dry: DryRun, free: int) -> int | None:
    """Most examples per forward pass that fit, by the longest texts; None when not one does.

    Two steps of different batches make and drop the same tensors in the same order, and so say what
    is held at each moment with any other batch: each is a straight line. Where only one of them
    has a mask for padding, the peaks lead to the next batch to dry_run.
    """
    held = sum(dry.pieces.values())  # what an optimizer step holds whatever the batch
    if held > free:
        return None
    few = dry.with_examples(dry.run.at_once)
    near = max(1, _most(0, [held], few.examples, [few.peak], free))
    many = dry.with_examples(2 * near if near == few.examples else near)
    for _ in range(MOST_PASSES):
        # Whether both have made and dropped the same tensors, whatever their sizes.
        one, other = (np.sign(np.diff(step.live_bytes)) for step in (few, many))
        alike = np.array_equal(one, other)
        less, more = (few.live_bytes, many.live_bytes) if alike else ([few.peak], [many.peak])
        found = _most(few.examples, less, many.examples, more, free)
        certain = alike and dry.unpadded(found) == dry.unpadded(many.examples)
        if certain or found in (0, many.examples):
            return found or None
        few, many = many, dry.with_examples(found)
    return max((step.examples for step in (few, many) if step.peak <= free), default=None)


def _most(few: int, less: ArrayLike, many: int, more: ArrayLike, free: int) -> int:
    """Examples with which nothing takes more than is free, from the bytes held at each moment."""
    less, growth = np.asarray(less), (np.asarray(more) - np.asarray(less)) * np.sign(many - few)
    if (less[growth <= 0] > free).any():
        return 0
    grows = growth > 0
    room = (free - less[grows]) * abs(many - few) // growth[grows]
    return int(np.clip(few + room.min(initial=MOST_EXAMPLES), 0, MOST_EXAMPLES))
