"""The operators of a training step, each kind once: an operator with the shapes, strides and
precisions of its arguments. A step of BERT-base makes some 3,000 calls of some 150 kinds."""

import functools
import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorSpec:
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class OpSignature:
    operator: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()

    @functools.cached_property
    def key(self) -> str:
        """Names the kind in a file, whatever the learning rate and the like."""
        kwargs = [(name, "" if isinstance(value, float) else value) for name, value in self.kwargs]
        text = f"{self.operator} {self.args} {kwargs}"
        return f"{self.operator} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass
class OpCounts:
    counts: Counter[OpSignature] = field(default_factory=Counter)
    calls: int = 0
    """All calls, those that only look at a tensor in another way included."""

    def add(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls += 1
        if _computes_nothing(operator):
            return
        if operator is torch.ops.aten.native_layer_norm_backward.default:
            # Mean and deviation are fp32 where the weight is; fake tensors (torch 2.13) say bf16.
            args = (*args[:3], args[3].float(), args[4].float(), *args[5:])
        named = tuple((name, _blank(value)) for name, value in kwargs.items())
        self.counts[OpSignature(operator, _blank(args), named)] += 1


@functools.cache
def _computes_nothing(operator: Any) -> bool:
    returns = operator._schema.returns
    views = bool(returns) and all(r.alias_info and not r.alias_info.is_write for r in returns)
    return views or not operator.namespace.startswith("aten")


def _blank(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return TensorSpec(argument.dtype, tuple(argument.shape), _steps(argument))
    if isinstance(argument, list | tuple):
        return tuple(map(_blank, argument))
    return argument


def _steps(tensor: Tensor) -> tuple[int, ...]:
    """Strides; along an axis of one element, where any would do, that of adjacent elements."""
    steps: list[int] = []
    adjacent = 1
    for size, step in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        steps.append(adjacent if size == 1 else step)
        adjacent = size * steps[-1]
    return tuple(reversed(steps))
