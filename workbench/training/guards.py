"""Checks that stop a run that looks fine and learns nothing."""

import math
from collections.abc import Callable

import torch
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from workbench.distributed.tensors import whole
from workbench.errors import TrainingError
from workbench.methods import AdaptedModel

Gradient = Callable[[nn.Parameter], Tensor | None]
"""The gradient of a trained parameter, where the processes do not leave it in the parameter."""


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
    """Checks that the method, each layer it adapts, and the head receive a gradient and change.

    PEFT and transformers can drop a method without an error: with gradient checkpointing a
    prefix on BERT gets no gradient at all, and only the head learns. Single tensors may start
    without one (LoRA's A, as long as B is zero), so layers are judged after ``STEPS`` steps.
    What stays silent and was not chosen by name (an unused pooler in full fine-tuning or in LoRA
    on all linear layers) is left to ``silent``.
    """

    STEPS = 2

    def __init__(self, adapted: AdaptedModel, gradient: Gradient | None = None) -> None:
        self._gradient = gradient or (lambda parameter: parameter.grad)
        self._groups: dict[str, dict[str, nn.Parameter]] = {}
        for name, parameter in adapted.trainable().items():
            group = "task head" if adapted.is_head(name) else "method"
            self._groups.setdefault(group, {})[name] = parameter
        self._layers = {} if adapted.layers_by_kind else _adapted_layers(adapted)
        self._before = {group: _checksum(ps) for group, ps in self._groups.items()}
        self._silent = {name for ps in self._groups.values() for name in ps}
        self._steps = 0

    @property
    def done(self) -> bool:
        """True once there is nothing more to watch."""
        return self._steps >= self.STEPS

    @property
    def silent(self) -> list[str]:
        """Trained tensors that have had no gradient in any step so far."""
        return sorted(self._silent)

    def see_gradients(self) -> None:
        """Call after backward and before the gradients are cleared."""
        for parameters in self._groups.values():
            for name, p in parameters.items():
                if name not in self._silent:
                    continue
                gradient = self._gradient(p)
                if gradient is not None and bool(whole(torch.any(gradient != 0))):
                    self._silent.discard(name)

    def check(self) -> None:
        """Call after each of the first optimizer steps.

        Raises:
            TrainingError: after the first step, naming the group that got no gradient or did
                not move; after the last one watched, naming the adapted layers without one.
        """
        self._steps += 1
        if self._steps == 1:
            self._check_groups()
        if self.done:
            self._check_layers()

    def _check_layers(self) -> None:
        dead = [name for name, held in self._layers.items() if self._silent.issuperset(held)]
        if dead:
            raise TrainingError(
                f"{len(dead)} of {len(self._layers)} adapted layers got no gradient in "
                f"{self._steps} steps: they are not being trained",
                where=", ".join(dead[:3]) + (", ..." if len(dead) > 3 else ""),
                why="what they compute does not reach the loss",
                fix="leave them out of method.target_modules, or switch "
                "training.gradient_checkpointing off",
            )

    def _check_groups(self) -> None:
        for group, parameters in self._groups.items():
            cut_off = self._silent.issuperset(parameters)
            if cut_off or _checksum(parameters) == self._before[group]:
                fault = "got no gradient" if cut_off else "did not move"
                raise TrainingError(
                    f"the {group} {fault} in the first step: it is not being trained",
                    where=f"{len(parameters)} tensors, e.g. {next(iter(parameters))}",
                    why="something between the method and the loss cuts it off (gradient "
                    "checkpointing does this to prefixes), or the learning rate is too small",
                    fix="switch training.gradient_checkpointing off, raise "
                    "training.learning_rate, or take another method",
                )


def _adapted_layers(adapted: AdaptedModel) -> dict[str, set[str]]:
    """The layers that PEFT has put an adapter into, each with the names of what it trains."""
    trained = adapted.trainable()
    layers = {
        name: {f"{name}.{own}" for own, _ in module.named_parameters()} & trained.keys()
        for name, module in adapted.model.named_modules()
        # New tokens may be in none of the first batches.
        if isinstance(module, BaseTunerLayer) and not isinstance(module, TrainableTokensLayer)
    }
    return {name: held for name, held in layers.items() if held}


def _checksum(parameters: dict[str, nn.Parameter]) -> tuple[float, ...]:
    with torch.no_grad():
        # Apple's GPUs have no float64.
        return tuple(
            float(whole(p.sum(dtype=torch.float32 if p.device.type == "mps" else torch.float64)))
            for p in parameters.values()
        )
