"""Optimizer and learning rate, as the transformers Trainer sets them up."""

import math

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from workbench.distributed.tensors import whole
from workbench.recipe.schema import TrainingSpec


def make_optimizer(
    parameters: dict[str, nn.Parameter], spec: TrainingSpec, rate: float
) -> Optimizer:
    """AdamW over the trainable parameters; biases and norms are not decayed."""
    decayed = [p for name, p in parameters.items() if _is_decayed(name, p)]
    others = [p for name, p in parameters.items() if not _is_decayed(name, p)]
    groups = [
        {"params": decayed, "weight_decay": spec.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters.values())
    return AdamW([g for g in groups if g["params"]], lr=rate, fused=fused)


def _is_decayed(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not name.endswith("bias") and "norm" not in name.lower()


def learning_rate(step: int, steps: int, spec: TrainingSpec, peak: float) -> float:
    """Rate of optimizer step ``step`` (from 0) of ``steps``: linear warm-up, then the schedule.

    The warm-up ends on the peak and never starts at 0, so that the first step moves every group.
    """
    warmup = math.ceil(spec.warmup_ratio * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    left = (steps - step) / max(1, steps - warmup)
    if spec.lr_scheduler == "constant":
        return peak
    if spec.lr_scheduler == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (1 - left)))
    return peak * left


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Gives every parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def total_steps(spec: TrainingSpec, examples: int) -> int:
    """Optimizer steps of a run over ``examples`` training examples."""
    if spec.max_steps is not None:
        return spec.max_steps
    per_epoch = math.ceil(examples / spec.batch_size)
    return max(1, round(spec.epochs * per_epoch))


def norm_of(parameters: dict[str, nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, ()."""
    grads = [p.grad for p in parameters.values() if p.grad is not None]
    return whole(torch.nn.utils.get_total_norm(grads))
