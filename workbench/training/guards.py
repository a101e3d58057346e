"""Checks that stop a run that looks fine and learns nothing."""

from __future__ import annotations

import math

import torch
from torch import nn

from workbench.errors import TrainingError
from workbench.methods import Adapted


def check_finite(loss: float, grad_norm: float, step: int, rate: float) -> None:
    """Stops before the optimizer would write a non-finite number into the weights.

    Raises:
        TrainingError: naming the step, the loss, the gradient norm and the learning rate.
    """
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    raise TrainingError(
        f"the loss is {loss} and the gradient norm {grad_norm} (learning rate {rate:g})",
        where=f"step {step}",
        why="the weights would be lost; the last good state is kept and nothing was updated",
        fix="lower training.learning_rate, set training.precision: fp32, or look at the examples "
        "of this step",
    )


class MovementGuard:
    """Sees to it that the adapter and the head each get a gradient and move in the first step.

    PEFT and transformers can drop a method without an error: with gradient checkpointing a
    prefix on BERT gets no gradient at all, and only the head learns.
    """

    def __init__(self, adapted: Adapted) -> None:
        self._groups: dict[str, dict[str, nn.Parameter]] = {}
        for name, parameter in adapted.trainable().items():
            group = "task head" if adapted.is_head(name) else "method"
            self._groups.setdefault(group, {})[name] = parameter
        self._before = {group: _checksum(ps) for group, ps in self._groups.items()}
        self._without_gradient: dict[str, set[str]] = {g: set() for g in self._groups}

    def see_gradients(self) -> None:
        """Call after backward and before the gradients are cleared."""
        for group, parameters in self._groups.items():
            self._without_gradient[group] = {
                name
                for name, p in parameters.items()
                if p.grad is None or not bool(torch.any(p.grad != 0))
            }

    def check(self) -> None:
        """Call after the first optimizer step.

        Raises:
            TrainingError: naming the group that got no gradient or did not move.
        """
        for group, parameters in self._groups.items():
            missing = self._without_gradient[group]
            moved = _checksum(parameters) != self._before[group]
            if len(missing) == len(parameters) or not moved:
                fault = "got no gradient" if len(missing) == len(parameters) else "did not move"
                raise TrainingError(
                    f"the {group} {fault} in the first step: it is not being trained",
                    where=f"{len(parameters)} tensors, e.g. {next(iter(parameters))}",
                    why="something between the method and the loss cuts it off (gradient "
                    "checkpointing does this to prefixes), or the learning rate is too small",
                    fix="switch training.gradient_checkpointing off, raise "
                    "training.learning_rate, or take another method",
                )


def _checksum(parameters: dict[str, nn.Parameter]) -> tuple[float, ...]:
    with torch.no_grad():
        return tuple(float(p.sum(dtype=torch.float64)) for p in parameters.values())
