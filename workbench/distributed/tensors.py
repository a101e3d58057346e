"""Tensors cut over processes: whole again, cut alike, sizes."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def without_gradients(model: nn.Module) -> AbstractContextManager[Any]:
    """``torch.inference_mode``; for a sharded model ``torch.no_grad``.

    What a sharded model puts together for the first time it keeps for the backward pass, which
    refuses tensors of the inference mode.
    """
    return torch.no_grad() if is_sharded(model) else torch.inference_mode()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; after the block the model is in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with without_gradients(model):
            yield
    finally:
        model.train(was_training)


@contextmanager
def whole_outside_layers(model: nn.Module) -> Iterator[None]:
    """Keeps the embeddings, the head and the prompts of a sharded model whole meanwhile.

    For callers that continue from a cache with the model inside a ``PeftModel``.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    model.set_reshard_after_forward(False, recurse=False)
    model.unshard()
    try:
        yield
    finally:
        model.reshard()
        model.set_reshard_after_forward(True, recurse=False)


def largest(model: nn.Module, number: int) -> int:
    """The largest of what the processes say that share a model: each layer needs all of them, so
    that they have to go through it equally often. The number itself where nothing is shared."""
    if not is_sharded(model):
        return number
    vote = torch.tensor(number, device=next(model.parameters()).device)
    torch.distributed.all_reduce(vote, torch.distributed.ReduceOp.MAX)
    return int(vote)


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from its parts, on every process; a plain one as it is."""
    with torch.no_grad():
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the CPU of the first process; the others give their parts for nothing.

    Plain tensors are returned as they are, everywhere.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        together = whole(tensor)
        if not isinstance(tensor, DTensor):
            found[name] = tensor
        elif torch.distributed.get_rank() == 0:
            found[name] = together.cpu()
    return found


def cut_like(parameter: Tensor, saved: Tensor) -> Tensor:
    """A whole tensor of the first process cut like a parameter; for a plain parameter as it is.

    Args:
        saved: on the other processes its shape is enough (meta device). What has no dimensions
            is not cut.
    """
    if not isinstance(parameter, DTensor) or saved.ndim == 0:
        return saved
    device = parameter.device
    values = torch.empty_like(saved, device=device) if saved.is_meta else saved.to(device)
    return distribute_tensor(values, parameter.device_mesh, parameter.placements)


def shapes_only(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the other processes need to know of tensors that the first one has."""
    return {
        name: torch.empty(t.shape, dtype=t.dtype, device="meta") if t.ndim else t
        for name, t in tensors.items()
    }
