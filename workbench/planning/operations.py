"""The operators of a training step, each kind once, and what one of a kind takes on a device.

A kind is an operator with the shapes, strides and precisions of its arguments: a step of BERT-base
makes some 3,000 calls of some 150 kinds, because its layers are alike.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

_LARGE_BYTES = 64 * 2**20
"""More than a processor's caches hold. Lists of tensors (an optimizer step over all parameters)
beyond this are timed in part."""
_SMALL_BYTES = 2**20
"""From here on arguments are made several times, as many as fill the above, and take turns: a
training does not find its weights in a cache either. What is smaller is soon there."""
_MOST_TENSORS = 2000
"""Of all copies: long lists of small tensors take longer to make than to time."""
_SECONDS, _ROUNDS = 0.005, 3
"""A kind is called until both are reached, after one call to warm up; the median counts."""


@dataclass(frozen=True)
class Blank:
    """A tensor without its numbers."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def filled(self, device: torch.device, below: int) -> Tensor:
        """A real tensor of this form; whole numbers are random and smaller than ``below``."""
        single = [
            1 if step == 0 else size for size, step in zip(self.shape, self.stride, strict=True)
        ]
        made = torch.empty_strided(single, self.stride, dtype=self.dtype, device=device)
        if self.dtype.is_floating_point:
            made.fill_(0.5)
        else:
            made.random_(0, below) if below > 1 else made.zero_()
        return made.expand(self.shape)  # repeated along the axes that have no stride


@dataclass(frozen=True)
class Kind:
    """An operator with arguments of certain forms."""

    operator: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()

    @functools.cached_property
    def key(self) -> str:
        """Names the kind in a file, whatever the learning rate and the like."""
        kwargs = [(name, "" if isinstance(value, float) else value) for name, value in self.kwargs]
        text = f"{self.operator} {self.args} {kwargs}"
        return f"{self.operator} {hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def seconds(self, device: torch.device) -> float:
        """What a call takes; the median of some."""
        arguments = (self.args, dict(self.kwargs))
        blank, part = _in_part(arguments)
        # Whole numbers are rows of a table or labels; few enough of them are always valid.
        below = self.args[0].shape[0] if "embedding" in str(self.operator) else 1
        size = _bytes(blank)
        most = min(_LARGE_BYTES // max(size, 1), _MOST_TENSORS // len(tree_leaves(blank)))
        copies = max(1, most) if size >= _SMALL_BYTES else 1
        made = [
            tree_map(
                lambda leaf: leaf.filled(device, below) if isinstance(leaf, Blank) else leaf, blank
            )
            for _ in range(copies)
        ]
        try:
            return self._median(made, device) / part
        # Some operators only take what others have prepared. They move their arguments about.
        except (RuntimeError, IndexError, NotImplementedError):
            moved = torch.zeros(_bytes(arguments), dtype=torch.uint8, device=device)
            clone = Kind(torch.ops.aten.clone.default, ())
            return clone._median([((moved,), {})], device)

    def _median(self, made: Sequence[tuple[Any, Any]], device: torch.device) -> float:
        taken: list[float] = []
        begin = time.perf_counter()
        for args, kwargs in itertools.cycle(made):
            started = time.perf_counter()
            self.operator(*args, **kwargs)
            _wait(device)
            taken.append(time.perf_counter() - started)
            if len(taken) > _ROUNDS and time.perf_counter() - begin > _SECONDS:
                break
        return statistics.median(taken[1:])


@dataclass
class Operations:
    """The operators of a step."""

    counts: Counter[Kind] = field(default_factory=Counter)
    """Calls of each kind."""
    calls: int = 0
    """All calls, those that only look at a tensor in another way included."""

    def add(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Notes a call."""
        self.calls += 1
        if _computes_nothing(operator):
            return
        if operator is torch.ops.aten.native_layer_norm_backward.default:
            # Mean and deviation are fp32 where the weight is; fake tensors (torch 2.13) say bf16.
            args = (*args[:3], args[3].float(), args[4].float(), *args[5:])
        named = tuple((name, _blank(value)) for name, value in kwargs.items())
        self.counts[Kind(operator, _blank(args), named)] += 1


@functools.cache
def _computes_nothing(operator: Any) -> bool:
    """True for views, and for what is no operator on tensors."""
    returns = operator._schema.returns
    views = bool(returns) and all(r.alias_info and not r.alias_info.is_write for r in returns)
    return views or not operator.namespace.startswith("aten")


def _blank(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return Blank(argument.dtype, tuple(argument.shape), argument.stride())
    if isinstance(argument, list | tuple):
        return tuple(map(_blank, argument))
    return argument


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
    return sum(leaf.nbytes for leaf in tree_leaves(arguments) if isinstance(leaf, Blank))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
