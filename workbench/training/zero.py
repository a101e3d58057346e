"""Optimizer state and gradients cut over the processes: stages 1 and 2 of DeepSpeed's ZeRO.

Each process computes with the whole model. AdamW's two moments and an fp32 copy of what is trained
are laid end to end and cut into one piece per process; so are the gradients in stage 2. Each
process moves its piece, and the pieces are put together into the weights again.

DeepSpeed's engine is driven directly and not through accelerate, whose backward pass also steps:
here the loss and the gradients are looked at between the two.
"""

import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.distributed.accelerator import unwrap
from workbench.distributed.deepspeed import settings
from workbench.errors import MethodError
from workbench.methods import AdaptedModel
from workbench.recipe.methods import MethodSpec
from workbench.recipe.schema import TrainingSpec
from workbench.training.gradients import GradientSync

_MOMENTS = ("exp_avg", "exp_avg_sq")
_STEP = "step"


class ZeroSync(GradientSync):
    """Gradients, steps and optimizer state by DeepSpeed."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Optimizer,
        parameters: dict[str, nn.Parameter],
        *,
        training: TrainingSpec,
    ) -> None:
        trained = sum(p.numel() for p in parameters.values())
        self._settings = settings(training, accelerator.num_processes, trained)
        self._own = {name: set(vars(p)) for name, p in parameters.items()}
        super().__init__(accelerator, model, optimizer, parameters)

    def _take(self, model: nn.Module, optimizer: Optimizer) -> tuple[Any, Any]:
        deepspeed = _deepspeed(self.accelerator.device)
        # Autocast and nothing else: DeepSpeed's own bf16 would train the weights in bf16.
        model = self.accelerator.prepare_model(model, evaluation_mode=True)
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=self._settings)
        # A batch may be made of fewer micro-batches than the recipe's, so they are not counted.
        engine.set_gradient_accumulation_boundary(True)
        return engine, engine.optimizer

    # --- a step -----------------------------------------------------------------------------

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, which the processes average."""
        self.model.backward(loss, scale_wrt_gas=False)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Stage 1 keeps gradients to this process, stage 2 adds them up into the pieces."""
        self.model.set_gradient_accumulation_boundary(False)
        yield
        self.model.set_gradient_accumulation_boundary(True)

    def clip(self, limit: float | None) -> Tensor:
        """Euclidean norm of all gradients together; DeepSpeed clips them when it steps."""
        norm = float(self.optimizer.scaled_global_norm())
        return torch.tensor(norm if norm >= 0 else math.inf)  # -1: it is not finite

    def gradient(self, parameter: nn.Parameter) -> Tensor | None:
        """The whole gradient of a trained parameter."""
        from deepspeed.utils import safe_get_full_grad

        whole: Tensor | None = safe_get_full_grad(parameter)
        return whole

    def step(self) -> None:
        """Moves the weights and forgets the gradients."""
        self.model.step()

    def zero_grad(self) -> None:
        """The engine's step has dropped the gradients."""

    # --- what it holds ----------------------------------------------------------------------

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimizer's state as ``parameter|moment``, whole on the first process."""
        from deepspeed.utils import safe_get_full_optimizer_state

        found: dict[str, Tensor] = {}
        steps = [state[_STEP] for state in self.optimizer.state.values() if state]
        if not steps:
            return found
        self._link_moments()
        for name, parameter in self.parameters.items():
            for moment in _MOMENTS:
                whole = safe_get_full_optimizer_state(parameter, moment)
                if self.accelerator.is_main_process:
                    found[f"{name}|{moment}"] = whole.cpu()
            found[f"{name}|{_STEP}"] = steps[0].clone()
        return found

    def restore_optimizer(self, saved: dict[str, Tensor]) -> None:
        """Continues from saved moments and from the present values of the parameters."""
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        for parameter in self.parameters.values():
            safe_set_full_fp32_param(parameter, parameter.data)
        if not saved:
            return
        step = max(float(value) for name, value in saved.items() if name.endswith(f"|{_STEP}"))
        for piece in self._pieces():
            self.optimizer.state[piece] = {
                _STEP: torch.tensor(step, device=piece.device),
                **{moment: torch.zeros_like(piece) for moment in _MOMENTS},
            }
        self._link_moments()
        for name, parameter in self.parameters.items():
            for moment in _MOMENTS:
                value = saved.get(f"{name}|{moment}")
                if value is not None:  # without ZeRO, what never had a gradient has no moments
                    on_device = value.to(parameter.device)
                    safe_set_full_optimizer_state(parameter, on_device, moment)

    def _link_moments(self) -> None:
        """Lets DeepSpeed find the moments of each parameter.

        By itself it (0.19.8) looks once, after the first of several groups has stepped for the
        first time, and finds nothing for the others.
        """
        self.optimizer._hp_optimizer_states_linked = False
        self.optimizer._lazy_init_hp_params_optimizer_state()

    def extra_bytes(self) -> dict[str, int]:
        """Bytes of gradients, and of the moments and the fp32 copy, of this process."""
        pieces = sum(piece.nbytes for piece in self._pieces())
        states = [t for state in self.optimizer.state.values() for t in state.values()]
        partitioned = self.model.zero_optimization_partition_gradients()
        whole = sum(p.nbytes for p in self.parameters.values())
        return {
            "gradients_bytes": pieces if partitioned else whole,
            "optimizer_bytes": pieces + sum(t.nbytes for t in states),
        }

    def _pieces(self) -> list[Tensor]:
        """This process's piece of each group of parameters."""
        return [piece for group in self.optimizer.param_groups for piece in group["params"]]

    def finish(self) -> None:
        """Leaves the model as it was before it was prepared for training."""
        self.model.destroy()
        unwrap(self.model.module)
        for name, parameter in self.parameters.items():
            parameter.data = parameter.data.clone()  # one of many in a long row of numbers
            for attribute in vars(parameter).keys() - self._own[name]:
                delattr(parameter, attribute)


def check(adapted: AdaptedModel, method: MethodSpec) -> None:
    """Refuses, from shapes alone, a method whose gradients cannot be cut.

    Args:
        method: the recipe's section.

    Raises:
        MethodError: with the reason and what works instead.
    """
    single = [n for n, p in adapted.model.named_parameters() if p.ndim == 0]
    if adapted.base.loading.get("quantization_config"):
        what, why = "a quantised base", "DeepSpeed would cast its packed weights"
    elif adapted.after_step is not None:
        what = method.label
        why = "after each step it weighs gradients that no process has as a whole"
    elif single:
        what, why = single[0], "it is a single number, which DeepSpeed does not send"
    else:
        return
    raise MethodError(
        f"{what} cannot be trained with DeepSpeed",
        where="method",
        why=why,
        fix="leave DeepSpeed out: --processes alone, or the shipped ddp.yaml",
    )


def _deepspeed(device: torch.device) -> Any:
    """DeepSpeed, without compiling anything, and with its remarks where they are not output."""
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed
    import deepspeed.ops

    # It would compile a kernel for exchanges between CPU processes: a minute, the first time.
    deepspeed.ops.__compatible_ops__ = {}
    for handler in logging.getLogger("DeepSpeed").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.__stderr__ or sys.stderr  # a run's own log is closed after it
    # torch 2.13 has another name for it, which DeepSpeed 0.19 does not know.
    warnings.filterwarnings("ignore", "`?torch.distributed.all_gather_into_tensor", FutureWarning)
    return deepspeed
