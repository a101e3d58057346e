"""Going on from an adapter that was trained before, on the same task or another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS
from safetensors.torch import load_file
from torch import Tensor

from workbench.errors import MethodError
from workbench.inference import ABOUT, TRAINED_WEIGHTS
from workbench.methods import Adapted
from workbench.store import read_json
from workbench.tasks import AnyTask

KEY = "init_from"


def start_from(adapted: Adapted, task: AnyTask, source: str) -> str:
    """Loads the weights of a finished run (or export) of the same base and method.

    The task head comes along only where task and labels are the same; another task starts with
    a head of its own, as in a masked-lm adapter that goes on to classify.

    Returns:
        sha256 (hex) of the weights that were taken.

    Raises:
        MethodError: when there is no export there, or its base, method or shapes differ.
    """
    folder = Path(source)
    if (folder / "adapter" / ABOUT).is_file():
        folder = folder / "adapter"
    about = read_json(folder / ABOUT)
    if about is None:
        raise MethodError(
            f"{source} is neither a finished run nor an export",
            where=KEY,
            fix="name a run folder of `workbench runs` or a folder that `workbench export` wrote",
        )
    if about["base"] != adapted.base.public_name:
        raise MethodError(
            f"{source} was trained on {about['base']}, this recipe's model is "
            f"{adapted.base.public_name}",
            where=KEY,
            fix="go on from an adapter of the same base",
        )
    head = (about["auto_class"], about["labels"])
    same_head = head == (task.auto_class, list(task.label_names))
    path = _weights_file(folder)
    found = load_file(path)
    own = _state(adapted)
    wanted = {n: t for n, t in own.items() if same_head or not adapted.is_head(n)}
    if not isinstance(adapted.model, PeftModel):
        # Heads apart, architectures differ in parts such as BERT's pooler: these stay the base's.
        absent = [name for name in wanted if name not in found]
        wanted = {name: tensor for name, tensor in wanted.items() if name in found}
        if absent:
            adapted.base.notes.append(
                f"{len(absent)} trained tensors are not in {source} and start as the base has "
                f"them, e.g. {absent[0]}"
            )
    _check_fit(wanted, found, source)
    _refuse_dropped_networks(adapted)
    _load(adapted, {name: found[name] for name in wanted})
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_file(folder: Path) -> Path:
    for name in (WEIGHTS, TRAINED_WEIGHTS, "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise MethodError(
        "no weights in one *.safetensors file", where=str(folder), fix="export the run again"
    )


def _state(adapted: Adapted) -> dict[str, Tensor]:
    """The trained tensors under the names that an export gives them."""
    if isinstance(adapted.model, PeftModel):
        state: dict[str, Tensor] = get_peft_model_state_dict(
            adapted.model, save_embedding_layers=False
        )
        return state
    return {name: parameter.data for name, parameter in adapted.trainable().items()}


def _check_fit(wanted: dict[str, Tensor], found: dict[str, Tensor], source: str) -> None:
    missing = [name for name in wanted if name not in found]
    other = [n for n in wanted if n in found and wanted[n].shape != found[n].shape]
    if missing or other or not wanted:
        name = (missing or other or ["none of them"])[0]
        shape = (
            "" if not other else f": {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
        )
        raise MethodError(
            f"{len(missing)} of the {len(wanted)} tensors that this recipe trains are not in "
            f"{source}, {len(other)} have another shape, e.g. {name}{shape}",
            where=KEY,
            why="the adapter was trained with another method or other values",
            fix="copy the method section of the recipe that trained it",
        )


def _refuse_dropped_networks(adapted: Adapted) -> None:
    """PEFT stores what the network of a projection or of P-tuning puts out, not the network."""
    own = {name.split(".")[-2] for name in adapted.trainable() if "prompt_encoder" in name}
    if own - {"embedding"}:
        raise MethodError(
            "an adapter whose virtual tokens come out of a network cannot be gone on from",
            where=KEY,
            why="the network is dropped when the adapter is saved",
            fix="take prefix without projection, or prompt",
        )


def _load(adapted: Adapted, tensors: dict[str, Tensor]) -> None:
    if isinstance(adapted.model, PeftModel):
        # PEFT wants the head's tensors too, those of a new head as they are.
        set_peft_model_state_dict(adapted.model, {**_state(adapted), **tensors})
        return
    parameters = adapted.trainable()
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
