"""From the loss of a micro-batch to moved weights, over all processes that train together.

The loop goes through this one place, however the processes share what they hold. Here is what
accelerate and torch do: one process alone, copies of the model (DistributedDataParallel), weights
cut over the processes (``sharding``). ``zero`` does the same by DeepSpeed.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.distributed import tensors
from workbench.distributed.accelerator import unwrap, wrap
from workbench.training import state_dicts
from workbench.training.optimizer import norm_of


class GradientSync:
    """Gradients, steps and optimizer state of the trained parameters.

    Whatever gathers or sums has to be called by every process.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Optimizer,
        parameters: dict[str, nn.Parameter],
    ) -> None:
        self.accelerator, self.parameters = accelerator, parameters
        self.model: Any
        """What forward passes go through."""
        self.optimizer: Any
        """What learning rates are given to."""
        self.model, self.optimizer = self._take(model, optimizer)

    def _take(self, model: nn.Module, optimizer: Optimizer) -> tuple[Any, Any]:
        return wrap(self.accelerator, model, optimizer)

    # --- a step -----------------------------------------------------------------------------

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, which the processes average."""
        self.accelerator.backward(loss)

    def no_sync(self) -> AbstractContextManager[Any]:
        """Keeps gradients to this process; a sharded model has no full gradient
        buffers."""
        if tensors.is_sharded(self.model):
            return nullcontext()
        apart: AbstractContextManager[Any] = self.accelerator.no_sync(self.model)
        return apart

    def all_reduce(self) -> None:
        """Sums gradients that were kept apart, in place: no second copy when memory is short."""
        if self.accelerator.num_processes == 1:
            return
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)

    def clip(self, limit: float | None) -> Tensor:
        """Euclidean norm of all gradients together, before they are clipped to ``limit``; ()."""
        if limit is None:
            return norm_of(self.parameters)
        clipped = self.accelerator.clip_grad_norm_(list(self.parameters.values()), limit)
        return tensors.whole(clipped)

    def gradient(self, parameter: nn.Parameter) -> Tensor | None:
        """The gradient of a trained parameter, or this process's part of it."""
        return parameter.grad

    def step(self) -> None:
        """Moves the weights."""
        self.optimizer.step()

    def zero_grad(self) -> None:
        """Drops the gradients."""
        self.optimizer.zero_grad()

    # --- what it holds ----------------------------------------------------------------------

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimizer's state as ``parameter|moment``, whole on the first process."""
        return tensors.gather(state_dicts.optimizer_tensors(self.optimizer, self.parameters))

    def restore_optimizer(self, saved: dict[str, Tensor]) -> None:
        """Continues from saved moments and from the present values of the parameters."""
        state_dicts.restore_optimizer(self.optimizer, self.parameters, saved)

    def extra_bytes(self) -> dict[str, int]:
        """Bytes in the memory of this process that the model and its optimizer do not show."""
        return {}

    def finish(self) -> None:
        """Leaves the model as it was before it was prepared for training."""
        unwrap(self.model)
