"""Weights, gradients and optimizer state cut over the processes: FSDP2, torch's ``fully_shard``.

Each process keeps its part of every tensor, cut along the first dimension (a DTensor). The layers
are whole one after the other while they compute, what lies outside of them (embeddings, head,
prompts) during a forward and a backward pass, and between two passes nothing is. Gradients are
added up into the parts after each micro-batch, so that they are never whole either.

What leaves the training is whole again: checkpoints and exports are those of any other run. They
are put together tensor by tensor, and only in the main memory of the first process.
"""

from copy import deepcopy
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from workbench.distributed.tensors import gather
from workbench.errors import MethodError
from workbench.methods import AdaptedModel
from workbench.recipe.methods import MethodSpec
from workbench.training.frozen_weights import FrozenWeights


class ShardedWeights:
    """The weights of an adapted model as several processes share them.

    As with ``FrozenWeights`` frozen matrices are in bf16 while the training computes in it. The
    fp32 originals wait in main memory, on each process its own part.
    """

    def __init__(self, adapted: AdaptedModel, mixed_precision: str, device: torch.device) -> None:
        self._adapted, self._device = adapted, device
        self._blank = _without_weights(adapted)
        names = {id(p): name for name, p in adapted.model.named_parameters()}
        frozen = FrozenWeights(adapted.model, mixed_precision)
        originals = {names[id(p)]: original for p, original in frozen.originals}
        shard(adapted.model, adapted.base.model, device)
        parts = dict(adapted.model.named_parameters())
        self._originals = {n: _own_part(original, parts[n]) for n, original in originals.items()}

    @property
    def kept_bytes(self) -> int:
        """Bytes of this process's originals that lie on the device of the copies."""
        originals = self._originals.values()
        return sum(t.nbytes for t in originals if t.device.type == self._device.type)

    def restore(self) -> None:
        """Replaces the model by one of the same parts whose frozen matrices are the fp32 ones."""
        if not self._originals:
            return
        parts = dict(self._adapted.model.named_parameters())
        for name, original in self._originals.items():
            local, cut = original.to(self._device), _sharded(parts[name])
            part = DTensor.from_local(
                local,
                cut.device_mesh,
                cut.placements,
                run_check=False,
                shape=cut.shape,
                stride=cut.stride(),
            )
            parts[name] = nn.Parameter(part, requires_grad=False)
        self._originals.clear()
        # torch (2.13) remembers the precision that a tensor was first put together in.
        model, base = deepcopy(self._blank)
        shard(model, base, self._device)
        _assign(model, parts)
        self._adapted.model, self._adapted.base.model = model, base

    def gather_on_main(self, *, everything: bool) -> None:
        """Gives the first process a plain model on the CPU, with the trained weights in it.

        Every process has to call it, and keeps what it has.

        Args:
            everything: the frozen weights too, which otherwise stay without values.
        """
        wanted = {
            name: parameter
            for name, parameter in self._adapted.model.named_parameters()
            if everything or parameter.requires_grad
        }
        whole = gather(wanted)
        if torch.distributed.get_rank() > 0:
            return
        model, base = self._blank
        _assign(
            model,
            {n: nn.Parameter(t, requires_grad=wanted[n].requires_grad) for n, t in whole.items()},
        )
        self._adapted.model, self._adapted.base.model = model, base


def shard(model: nn.Module, base: nn.Module, device: torch.device) -> None:
    """Cuts a model over all processes, in place; it moves to the device part by part.

    Args:
        base: the model of transformers inside, whose layers are put together one at a time.
    """
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for module in (*layers_of(base), model):
        fully_shard(module, mesh=mesh, reshard_after_forward=True)


def layers_of(base: Any) -> list[nn.Module]:
    """The layers of a model of transformers; none where they are not plainly one after another.

    ALBERT goes through one layer again and again: it has fewer than its config counts.
    """
    count = getattr(base.config.get_text_config(), "num_hidden_layers", None)
    lists = [m for m in base.modules() if isinstance(m, nn.ModuleList)]
    stacks = [list(each) for each in lists if len(set(each)) == count]
    return max(stacks, key=lambda stack: sum(_size(m) for m in stack), default=[])


def check(adapted: AdaptedModel, method: MethodSpec) -> None:
    """Refuses, from shapes alone, a method whose tensors cannot be cut.

    Args:
        method: the recipe's section.

    Raises:
        MethodError: with the reason and what works instead.
    """
    units = [{id(p) for p in layer.parameters()} for layer in layers_of(adapted.base.model)]
    inside = [p for unit in units for p in unit]
    single = [n for n, p in adapted.model.named_parameters() if p.ndim == 0]
    if adapted.base.loading.get("quantization_config"):
        what = "a quantised base"
        why = "its weights are packed with scales of their own"
    elif adapted.changes_base:
        what = "a start that is taken out of the base's weights"
        why = "every process would decompose the whole base for itself, and not to the same bit"
    elif adapted.after_step is not None:
        what = method.label
        why = "after each step it weighs whole gradients against each other"
    elif len(set(inside)) < len(inside):
        what = method.label
        why = "its layers share tensors, and each layer is cut for itself"
    elif single:
        what = single[0]
        why = "it is a single number, which cannot be cut"
    else:
        return
    raise MethodError(
        f"{what} cannot be sharded",
        where="method",
        why=why,
        fix="take lora with its default start, full, prefix or prompt; or leave --shard out, so "
        "that each process holds the whole model",
    )


def _without_weights(adapted: AdaptedModel) -> tuple[Any, Any]:
    """The modules of an adapted model once more, without values; tied weights stay tied."""
    blank: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in adapted.model.parameters()
    }
    return deepcopy((adapted.model, adapted.base.model), blank)


def _assign(model: nn.Module, values: dict[str, nn.Parameter]) -> None:
    """Puts parameters into a model by name; tied ones have one name."""
    first = {id(p): name for name, p in model.named_parameters()}
    named = model.named_parameters(remove_duplicate=False)
    state = {n: values[first[id(p)]] for n, p in named if first[id(p)] in values}
    model.load_state_dict(state, strict=False, assign=True)


def _own_part(original: Tensor, parameter: Tensor) -> Tensor:
    cut = _sharded(parameter)
    parts = original.chunk(cut.device_mesh.size())
    rank = cut.device_mesh.get_local_rank()
    return (parts[rank] if rank < len(parts) else original[:0]).clone()


def _sharded(parameter: Tensor) -> DTensor:
    assert isinstance(parameter, DTensor)
    return parameter


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
