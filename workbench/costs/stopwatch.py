"""What a call of an operator takes on a device: a few calls with arguments of its forms."""

import bisect
import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from workbench.costs.operations import OpSignature, TensorSpec

_LARGE_BYTES = 64 * 2**20
"""More than a processor's caches hold. Lists of tensors (an optimizer step over all parameters)
beyond this are timed in part."""
_SMALL_BYTES = 2**20
"""From here on arguments are there several times, as many as fill the above, and take turns: a
training does not find its weights in a cache either. What is smaller is soon there."""
_MOST_TENSORS = 2000
"""Of all copies: long lists of small tensors take longer to make than to time."""
_SECONDS, _CALLS = 0.002, 2
"""An operator is called until both are reached, after one call to warm up; the median counts."""
_NUMBER = 0.5
_ALIGNMENT = 64
"""Bytes; where the C library's and torch's own blocks begin."""


class Stopwatch:
    """Times operators on one device. Numbers are cut from memory that is written once: a page that
    is used for the first time takes longer than most operators do."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._memory: dict[torch.dtype, Tensor] = {}
        self._used: dict[torch.dtype, int] = {}

    def seconds(self, kind: OpSignature) -> float:
        arguments = (kind.args, dict(kind.kwargs))
        blank, part = _in_part(arguments)
        # Whole numbers are rows of a table or labels; few enough of them are always valid.
        below = kind.args[0].shape[0] if "embedding" in str(kind.operator) else 1
        size = _bytes(blank)
        most = min(_LARGE_BYTES // max(size, 1), _MOST_TENSORS // len(tree_leaves(blank)))
        copies = max(1, most) if size >= _SMALL_BYTES else 1
        self._used.clear()
        made = [
            tree_map(
                lambda leaf: self._filled(leaf, below) if isinstance(leaf, TensorSpec) else leaf,
                blank,
            )
            for _ in range(copies)
        ]
        try:
            return self._median(kind.operator, made) / part
        # Some operators only take what others have prepared. They move their arguments about.
        except (RuntimeError, IndexError, NotImplementedError):
            moved = torch.zeros(_bytes(arguments), dtype=torch.uint8, device=self._device)
            return self._median(torch.ops.aten.clone.default, [((moved,), {})])
        finally:
            if kind.operator._schema.is_mutable:
                for dtype, end in self._used.items():
                    self._memory[dtype][:end].fill_(_NUMBER)

    def _median(self, operator: Any, made: Sequence[tuple[Any, Any]]) -> float:
        taken: list[float] = []
        begin = time.perf_counter()
        for args, kwargs in itertools.cycle(made):
            started = time.perf_counter()
            operator(*args, **kwargs)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            taken.append(time.perf_counter() - started)
            if len(taken) > _CALLS and time.perf_counter() - begin > _SECONDS:
                break
        return statistics.median(taken[1:])

    def _filled(self, blank: TensorSpec, below: int) -> Tensor:
        """A real tensor of a form; whole numbers are random and smaller than ``below``."""
        single = [
            1 if step == 0 else size for size, step in zip(blank.shape, blank.stride, strict=True)
        ]
        if blank.dtype.is_floating_point:
            made = self._cut(blank, single)
        else:
            made = torch.empty_strided(single, blank.stride, dtype=blank.dtype, device=self._device)
            made.random_(0, below) if below > 1 else made.zero_()
        return made.expand(blank.shape)  # repeated along the axes that have no stride

    def _cut(self, blank: TensorSpec, shape: Sequence[int]) -> Tensor:
        steps = zip(shape, blank.stride, strict=True)
        elements = 1 + sum((size - 1) * step for size, step in steps) if 0 not in shape else 0
        start = self._used.get(blank.dtype, 0)
        aligned = _ALIGNMENT // blank.dtype.itemsize
        self._used[blank.dtype] = end = start + -(-elements // aligned) * aligned
        memory = self._memory.get(blank.dtype)
        if memory is None or len(memory) < end:
            # What was cut before keeps the memory that it was cut from.
            needed = max(end, _LARGE_BYTES // blank.dtype.itemsize)
            memory = torch.full((needed,), _NUMBER, dtype=blank.dtype, device=self._device)
            self._memory[blank.dtype] = memory
        return memory.as_strided(shape, blank.stride, start)


def _in_part(arguments: Any) -> tuple[Any, float]:
    """Arguments whose lists are cut short where they are large, and the share that is left."""
    args, kwargs = arguments
    lists = [each for each in args if isinstance(each, list | tuple) and each]
    shortest = min(map(len, lists), default=0)
    whole = _bytes(arguments)
    if whole <= _LARGE_BYTES or shortest < 2:
        return arguments, 1.0
    rows = zip(*(each for each in lists if len(each) == shortest), strict=True)
    # From the end, because models begin with their one largest tensor.
    totals = list(itertools.accumulate(_bytes(row) for row in reversed(list(rows))))
    kept = min(1 + bisect.bisect_left(totals, _LARGE_BYTES), shortest)

    def cut(each: Any) -> Any:
        return each[-kept:] if isinstance(each, list | tuple) and len(each) == shortest else each

    cut_args = tuple(cut(each) for each in args)
    return (cut_args, kwargs), _bytes((cut_args, kwargs)) / whole


def _bytes(arguments: Any) -> int:
    return sum(leaf.nbytes for leaf in tree_leaves(arguments) if isinstance(leaf, TensorSpec))
