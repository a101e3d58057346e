"""The state of a training as named tensors, and back: parameters, optimizer, random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import TrainingError

Tensors = dict[str, dict[str, Tensor]]
_SEPARATOR = "|"


def optimizer_tensors(optimizer: Any, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state of each parameter as ``parameter|moment``."""
    return {
        f"{name}{_SEPARATOR}{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    optimizer: Any, parameters: dict[str, nn.Parameter], saved: dict[str, Tensor]
) -> None:
    """Puts saved moments back beside their parameters; step counts stay where AdamW keeps them."""
    for name, parameter in parameters.items():
        prefix = f"{name}{_SEPARATOR}"
        optimizer.state[parameter] = {
            key.removeprefix(prefix): value.to(parameter.device) if value.ndim else value
            for key, value in saved.items()
            if key.startswith(prefix)
        }


def restore_parameters(
    parameters: dict[str, nn.Parameter], saved: dict[str, Tensor], where: Path
) -> None:
    """Copies saved values into the trained parameters.

    Raises:
        TrainingError: when the checkpoint holds other parameters than this method trains.
    """
    if saved.keys() != parameters.keys():
        raise TrainingError(
            "the checkpoint holds other parameters than this method trains",
            where=str(where),
            fix="`workbench run` starts the run from the beginning",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of torch's generators. The order of the examples needs none: it has its own seed."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(saved: dict[str, Tensor], device: torch.device) -> None:
    """Sets torch's generators back."""
    torch.set_rng_state(saved["cpu"])
    if device.type == "cuda" and "cuda" in saved:
        torch.cuda.set_rng_state(saved["cuda"], device)
