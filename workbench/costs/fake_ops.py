"""What operators make of fake tensors, worked out once for arguments of each form.

Layers are alike, so nine of ten calls of a step repeat an earlier one. torch's own cache describes
the arguments of each call so thoroughly that a dry run takes twice as long with it. What is new is
asked of the operator's kernel for shapes (``Meta``), five times as fast as torch's way of letting
it fall apart into simpler ones.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_impls import has_meta, op_implementations_checks
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
    in_kernel_invocation_manager,
)
from torch.utils._pytree import tree_leaves, tree_map_only

Form = tuple[Any, ...]
"""All of an argument that decides a result: not its numbers, and not whose storage it has."""


class _Unknown(Exception):
    """An argument or a result of a kind that is left to torch."""


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A tensor that a call made: with a storage of its own, or with that of an argument."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    device: torch.device
    offset: int
    shared_with: int | None = None
    """Position of the argument whose storage it has."""


_Part = _Made | int | None
"""What a call made, or the position of an argument that it gave back, as those in place do."""
_Parts = _Part | list[_Part] | tuple[_Part, ...]


class FakeResults:
    """Calls operators on the tensors of one mode; answers itself what it has seen before."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._known: dict[Form, _Parts] = {}

    def __call__(self, operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What the operator returns; raises what it raises."""
        if operator is torch.ops.aten._local_scalar_dense.default and args[0].constant is None:
            raise DataDependentOutputException(operator)  # as torch does, after a long way
        if not _repeatable(operator):
            return operator(*args, **kwargs)
        try:
            key = (operator, _form(args), _form(tuple(kwargs.items())) if kwargs else ())
        except _Unknown:
            return operator(*args, **kwargs)
        if key in self._known:
            known = self._known[key]
            if isinstance(known, list | tuple):
                return type(known)(self._again(part, args) for part in known)
            return self._again(known, args)
        result = self._first(operator, args, kwargs)
        try:
            if _form(args) == key[1]:  # not where an argument has another form now
                self._known[key] = _parts(result, args)
        except _Unknown:
            pass  # the result is right; the next such call is torch's again
        return result

    def _first(self, operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        devices = {leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        if len(devices) != 1 or "device" in kwargs or not _by_kernel(operator):
            return operator(*args, **kwargs)
        (device,) = devices
        try:
            with in_kernel_invocation_manager(self._mode):
                made = operator(*args, **kwargs)
        except NotImplementedError:  # it has one for other arguments
            return operator(*args, **kwargs)
        return tree_map_only(
            Tensor,
            lambda t: t if isinstance(t, FakeTensor) else FakeTensor(self._mode, t, device),
            made,
        )

    def _again(self, part: _Part, args: Sequence[Any]) -> Any:
        if part is None:
            return None
        if isinstance(part, int):
            return args[part]
        with in_kernel_invocation_manager(self._mode):
            made = torch.empty_strided(part.shape, part.stride, dtype=part.dtype, device="meta")
            if part.shared_with is not None:
                storage = args[part.shared_with].untyped_storage()
                made.set_(storage, part.offset, part.shape, part.stride)
        return FakeTensor(self._mode, made, part.device)


@functools.cache
def _repeatable(operator: Any) -> bool:
    """Whether arguments of the same form always give results of the same form: what writes does so
    where it writes into its first argument and gives that back."""
    if not isinstance(operator, torch._ops.OpOverload) or operator.namespace != "aten":
        return False
    tag = torch.Tag
    if {tag.data_dependent_output, tag.dynamic_output_shape, tag.inplace_view} & {*operator.tags}:
        return False
    schema = operator._schema
    written = [a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write]
    return not written or (written == [schema.arguments[0].name] and len(schema.returns) == 1)


@functools.cache
def _by_kernel(operator: Any) -> bool:
    """Whether an operator's kernel for shapes says all; not where torch has a rule of its own,
    which for views is about sizes that are not known yet."""
    view = operator is torch.ops.aten._unsafe_view.default or any(
        returned.alias_info and not returned.alias_info.is_write
        for returned in operator._schema.returns
    )
    special = any(applies(operator) for applies, _ in op_implementations_checks)
    return has_meta(operator) and (view or not special)


def _form(value: Any) -> Any:
    if isinstance(value, FakeTensor):
        if value.constant is not None or value.dtype.is_complex or value.layout != torch.strided:
            raise _Unknown
        place = value.stride(), value.storage_offset(), value.fake_device
        return (value.dtype, value.shape, *place)
    if isinstance(value, Tensor):
        raise _Unknown
    if isinstance(value, list | tuple):
        return tuple(map(_form, value))
    return type(value), value  # 1, 1.0 and True are equal


def _parts(result: Any, args: Sequence[Any]) -> _Parts:
    # Once for all parts: a split into thousands is given as many sizes, none of which is a tensor.
    tensors = [leaf for leaf in tree_leaves(list(args)) if isinstance(leaf, Tensor)]
    if isinstance(result, list | tuple):
        return type(result)(_part(each, args, tensors) for each in result)
    return _part(result, args, tensors)


def _part(result: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> _Part:
    if result is None:
        return None
    for position, argument in enumerate(args):
        if argument is result:
            return position
    if not isinstance(result, FakeTensor) or result.requires_grad:
        raise _Unknown
    dtype, shape, stride, offset, device = _form(result)
    made = _Made(dtype=dtype, shape=shape, stride=stride, device=device, offset=offset)
    storage = result.untyped_storage()
    for tensor in tensors:
        if tensor.untyped_storage()._cdata == storage._cdata:
            positions = [i for i, argument in enumerate(args) if argument is tensor]
            if not positions:
                raise _Unknown
            return replace(made, shared_with=positions[0])
    last = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    needed = 0 if 0 in shape else (last + 1) * dtype.itemsize
    if offset or storage.nbytes() != needed:
        raise _Unknown
    return made
