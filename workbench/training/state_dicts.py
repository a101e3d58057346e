"""The state of a training as named tensors, and back: parameters, optimizer, random numbers."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.distributed.tensors import cut_like
from workbench.errors import TrainingError

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
    """Gives the optimizer its saved moments; it puts each where it keeps it."""
    moments: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}
    for key, value in saved.items():
        name, _, moment = key.rpartition(_SEPARATOR)
        moments[name][moment] = value
    names = {parameter: name for name, parameter in parameters.items()}
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        i: {moment: cut_like(p, value) for moment, value in moments[names[p]].items()}
        for i, p in enumerate(ordered)
        if moments[names[p]]
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def restore_parameters(
    parameters: dict[str, nn.Parameter], saved: dict[str, Tensor], where: Path
) -> None:
    """Copies saved values into the trained parameters.

    Raises:
        TrainingError: when the checkpoint holds other parameters than this method trains.
    """
    shapes = [{name: t.shape for name, t in each.items()} for each in (saved, parameters)]
    if shapes[0] != shapes[1]:
        raise TrainingError(
            "the checkpoint holds other parameters than this method trains",
            where=str(where),
            fix="`workbench run` starts the run from the beginning",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(cut_like(parameter, saved[name]))


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of this process's generators: torch's, numpy's and Python's own.

    The order of the examples needs none: it is a function of seed and epoch.
    """
    legacy: Any = np.random.get_state(legacy=True)
    _, words, position, *gauss = legacy
    _, numbers, pending = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([*words.tolist(), position]),
        "numpy-gauss": torch.tensor(gauss, dtype=torch.float64),
        "python": torch.tensor(numbers),
        "python-gauss": torch.tensor([] if pending is None else [pending], dtype=torch.float64),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def of_all_processes(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The states of several processes under one set of names."""
    return {
        f"{process}{_SEPARATOR}{name}": value
        for process, state in enumerate(states)
        for name, value in state.items()
    }


def of_process(states: dict[str, Tensor], process: int) -> dict[str, Tensor]:
    """One process's part of ``of_all_processes``."""
    prefix = f"{process}{_SEPARATOR}"
    return {k.removeprefix(prefix): v for k, v in states.items() if k.startswith(prefix)}


def restore_random_state(saved: dict[str, Tensor], device: torch.device) -> None:
    """Sets this process's generators back.

    Raises:
        TrainingError: when a state is missing or is none.
    """
    try:
        torch.set_rng_state(saved["torch"].cpu())
        *words, position = saved["numpy"].tolist()
        pending, gauss = saved["numpy-gauss"].tolist()
        keys = np.array(words, dtype=np.uint32)
        np.random.set_state(("MT19937", keys, position, int(pending), gauss))
        own = saved["python-gauss"].tolist()
        random.setstate((3, tuple(saved["python"].tolist()), own[0] if own else None))
        if device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda"].cpu(), device)
    except (LookupError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        missing = isinstance(error, KeyError)
        raise TrainingError(
            f"the random state {error} is missing"
            if missing
            else f"the random state cannot be restored: {error}",
            why="a training resumed with other random numbers is another training",
            fix="`workbench run` starts the run from the beginning",
        ) from error
