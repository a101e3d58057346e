"""``init_from``: continue from an adapter that was trained before, on the same task or another."""

import hashlib
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from peft.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS
from safetensors.torch import load_file
from torch import Tensor

from workbench.adapters.folder import TRAINED_WEIGHTS, check_weights, find_export, read_model_config
from workbench.errors import ExportError, MethodError
from workbench.methods import AdaptedModel
from workbench.models.attention import class_of, plain_attention
from workbench.store import read_json
from workbench.tasks import AnyTask

KEY = "init_from"

_HOLDS = {
    "full": "a whole model",
    "delta": "some of the model's own weights",
    "peft": "an adapter of PEFT",
}
_SCALES = ("lora_alpha", "alpha", "use_rslora", "alpha_pattern")
"""Fields of PEFT's configs that scale an update and leave no trace in its shapes."""


def start_from(adapted: AdaptedModel, task: AnyTask, source: str) -> str:
    """Loads the weights of a finished run (or export) of the same base and method.

    The task head comes along only where task and labels are the same; another task starts with
    a head of its own, as in a masked-lm adapter that learns to classify. Layers that only one of
    the two architectures has (BERT's pooler) are left out, with a note.

    Returns:
        sha256 (hex) of the weights that were taken.

    Raises:
        MethodError: when there is no export there, or its base, method or shapes differ.
        ExportError: when its weights are damaged.
    """
    try:
        folder, about = find_export(source)
    except ExportError as error:
        raise MethodError(
            f"{source} is neither a finished run nor an export",
            where=KEY,
            fix="name a run folder of `workbench runs` or a folder that `workbench export` wrote",
        ) from error
    _check_base(adapted, about, source)
    _check_method(adapted, about, folder, source)
    check_weights(folder)
    path = _weights_in(folder)
    if path is None:
        what = "no weights in one *.safetensors file"
        raise MethodError(what, where=str(folder), fix="export the run again")
    found = load_file(path)
    same_head = (about["auto_class"], about["labels"]) == (task.auto_class, list(task.label_names))
    wanted = {n: t for n, t in _state(adapted).items() if same_head or not adapted.is_head(n)}
    extra = [n for n in found if n not in wanted and not adapted.is_head(n)]
    missing = [n for n in wanted if n not in found]
    if missing or extra:
        here = _layers(task.auto_class, adapted.base.config)
        there = _layers(about["auto_class"], read_model_config(folder))
        absent = [name for name in missing if _layer_of(name, here) in here - there]
        missing = [name for name in missing if name not in absent]
        extra = [name for name in extra if _layer_of(name, there) not in there - here]
        wanted = {name: tensor for name, tensor in wanted.items() if name not in absent}
        if absent and wanted:
            adapted.base.notes.append(
                f"{len(absent)} trained tensors are of layers that the model of {source} does not "
                f"have, and start as they would without it, e.g. {absent[0]}"
            )
    _check_fit(wanted, found, missing, extra, source)
    _load(adapted, {name: found[name] for name in wanted})
    return _digest(path)


def start_digest(source: str) -> str | None:
    """sha256 (hex) of the weights that a run would continue from now.

    None while there are none, e.g. because the run that makes them is being trained again.
    """
    folders = (Path(source) / "adapter", Path(source))
    path = next((found for folder in folders if (found := _weights_in(folder))), None)
    return None if path is None else _digest(path)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_base(adapted: AdaptedModel, about: dict[str, Any], source: str) -> None:
    theirs = _named(about["base"], about["revision"])
    ours = _named(adapted.base.public_name, adapted.base.revision)
    if theirs != ours:
        raise MethodError(
            f"{source} was trained on {theirs}, this recipe's model is {ours}",
            where=KEY,
            fix="continue from an adapter of the same base",
        )


def _named(base: str, revision: str | None) -> str:
    return f"{base} at {revision}" if revision else base


def _check_method(adapted: AdaptedModel, about: dict[str, Any], folder: Path, source: str) -> None:
    """Refuses what the names and shapes of the tensors do not tell apart."""
    kind = _kind(adapted)
    if about["kind"] != kind:
        raise MethodError(
            f"{source} holds {_HOLDS[about['kind']]}, this recipe trains {_HOLDS[kind]}",
            where=KEY,
            why="what one has learned has no place in the other",
            fix="copy the method section of the recipe that trained it",
        )
    if not isinstance(adapted.model, PeftModel):
        return
    _refuse_dropped_networks(adapted)
    if adapted.starting_adapter is not None:
        raise MethodError(
            "a LoRA that starts from the base's own components cannot continue from another one",
            where="method.init",
            why="PiSSA and OLoRA take their start out of the frozen weights",
            fix="set method.init: default",
        )
    theirs = read_json(folder / ADAPTER_CONFIG, links=True)
    if theirs is None:
        raise MethodError(
            f"{ADAPTER_CONFIG} is missing or damaged", where=str(folder), fix="export the run again"
        )
    ours = adapted.model.peft_config["default"].to_dict()
    for name in _SCALES:
        if name in theirs and name in ours and theirs[name] != ours[name]:
            raise MethodError(
                f"{source} was trained with {name} {theirs[name]}, this recipe has {ours[name]}",
                where=KEY,
                why="its update would be added in another strength than it was trained with",
                fix="copy the method section of the recipe that trained it",
            )


def _kind(adapted: AdaptedModel) -> str:
    if isinstance(adapted.model, PeftModel):
        return "peft"
    return "full" if all(p.requires_grad for p in adapted.model.parameters()) else "delta"


def _refuse_dropped_networks(adapted: AdaptedModel) -> None:
    """PEFT stores what the network of a projection or of P-tuning puts out, not the network."""
    own = {name.split(".")[-2] for name in adapted.trainable() if "prompt_encoder" in name}
    if own - {"embedding"}:
        raise MethodError(
            "cannot continue from a prompt-encoder adapter: the encoder is not saved",
            where=KEY,
            why="PEFT saves the virtual tokens that it put out",
            fix="take prefix without projection, or prompt: they continue from its virtual tokens",
        )


def _check_fit(
    wanted: dict[str, Tensor],
    found: dict[str, Tensor],
    missing: list[str],
    extra: list[str],
    source: str,
) -> None:
    if not wanted:
        raise MethodError(
            f"nothing of {source} is of use here: it holds a head of another task or labels",
            where=KEY,
            fix="leave init_from out, or continue from an adapter that changes more than the head",
        )
    other = [n for n in wanted if n in found and wanted[n].shape != found[n].shape]
    if not (missing or extra or other):
        return
    name = (other or missing or extra)[0]
    shapes = f": {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}" if other else ""
    faults = [
        (len(missing), "tensors that this recipe trains are not in it"),
        (len(extra), "of its tensors are not trained here"),
        (len(other), "have another shape"),
    ]
    told = ", ".join(f"{count} {fault}" for count, fault in faults if count)
    raise MethodError(
        f"{source} does not fit: {told}, e.g. {name}{shapes}",
        where=KEY,
        why="the adapter was trained with another method or other values",
        fix="copy the method section of the recipe that trained it",
    )


def _weights_in(folder: Path) -> Path | None:
    paths = (folder / name for name in (WEIGHTS, TRAINED_WEIGHTS, "model.safetensors"))
    return next((path for path in paths if path.is_file()), None)


def _state(adapted: AdaptedModel) -> dict[str, Tensor]:
    """The trained tensors under the names that an export gives them."""
    if isinstance(adapted.model, PeftModel):
        state: dict[str, Tensor] = get_peft_model_state_dict(
            adapted.model, save_embedding_layers=False
        )
        return state
    return {name: parameter.data for name, parameter in adapted.trainable().items()}


def _layers(auto_class: str, config: Any) -> set[str]:
    """Names of all modules of a plain model."""
    with torch.device("meta"):
        model = getattr(transformers, auto_class).from_config(
            config,
            attn_implementation=plain_attention(class_of(auto_class, config)),
            trust_remote_code=False,
        )
    return {name for name, _ in model.named_modules() if name}


def _layer_of(tensor: str, layers: set[str]) -> str:
    """The layer that a tensor belongs to, or an update of it; empty when there is none."""
    parts = tensor.removeprefix("base_model.model.").split(".")
    paths = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((path for path in paths if path in layers), "")


def _load(adapted: AdaptedModel, tensors: dict[str, Tensor]) -> None:
    if isinstance(adapted.model, PeftModel):
        # PEFT wants the head's tensors too, those of a new head as they are.
        set_peft_model_state_dict(adapted.model, {**_state(adapted), **tensors})
        return
    parameters = adapted.trainable()
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
