"""Reading an exported folder, which anybody may have written: nothing in it is run."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from peft.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig

from workbench.adapters.code_keys import names_code
from workbench.assets import ASSETS, fetch
from workbench.assets.hub import why_unreachable
from workbench.errors import ExportError
from workbench.models.quantized import (
    are_safe,
    as_arguments,
    check_package,
    copy_dequantized,
)
from workbench.recipe.renamed import as_today
from workbench.store import read_json
from workbench.tasks import TASKS

TRAINED_WEIGHTS = "trained_weights.safetensors"
"""File of an export that holds the trained tensors alone (head, bitfit)."""
ABOUT = "workbench.json"
"""File of an export that says what it is: base, task, labels, how to load it."""

# Never True, and never None either: transformers would ask on the terminal.
_SAFELY: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}


def find_export(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """An export, or that of a run folder, and what its ``workbench.json`` says.

    Raises:
        ExportError: when there is none, or the file does not say all that is needed.
    """
    path = Path(folder)
    if (path / "adapter" / ABOUT).is_file():
        path = path / "adapter"
    about = read_json(path / ABOUT)
    if about is None or not _is_whole(about):
        raise not_an_export(Path(folder))
    return path, as_today(about)


def _is_whole(about: dict[str, Any]) -> bool:
    """Whether it says all that is needed, in values that an export has: names are looked up."""
    match about:
        case {
            "kind": "full" | "delta" | "peft",
            "base": str(),
            "revision": None | str(),
            "auto_class": str(auto_class),
            "task": {"name": str(task)},
            "labels": list(labels),
            "max_length": int(),
            "virtual_tokens": int(),
            "output": "logits" | "spans" | "log_probs",
            "per_position": bool(),
        }:
            known = task in TASKS and TASKS[task].auto_class == auto_class
            known = known and are_safe(about.get("loading", {}))
            return known and all(isinstance(label, str) for label in labels)
    return False


def not_an_export(folder: Path) -> ExportError:
    """The refusal of a folder that no export has written."""
    return ExportError(
        f"no {ABOUT} here, or a damaged one: this is not an export of the workbench",
        where=str(folder),
        fix="name a finished run or a folder that `workbench export` wrote; an adapter of "
        "somebody else is imported with `workbench import`",
    )


def load_exported(
    folder: Path, about: dict[str, Any], base: str | None = None, *, in_fp32: bool = False
) -> nn.Module:
    """The model of an exported folder, ready to predict.

    Args:
        folder: the export.
        about: what its ``workbench.json`` says.
        base: another place of the base model; by default the one that ``about`` names.
        in_fp32: the same weights as fp32 numbers, where they are quantised or rounded.

    Raises:
        ExportError: when the base cannot be loaded, does not fit, or the weights are damaged,
            incomplete or not finite.
    """
    kind = about["kind"]
    check_weights(folder)
    if kind == "full":
        auto = getattr(transformers, about["auto_class"])
        config = read_model_config(folder)
        return _fitting(lambda: auto.from_pretrained(folder, config=config, **_SAFELY), folder)
    model, _ = load_base_of(folder, about, base)
    if in_fp32 and (told := about.get("loading")):
        rounded = load_base_of(folder, about | {"loading": {"dtype": told["dtype"]}}, base)[0]
        plain = rounded.float()
        copy_dequantized(model, plain)
        model = plain
    if kind == "peft":
        _refuse_code(folder)
        with warnings.catch_warnings():
            # Quantised layers of GPT-2 lie the other way round than its own, and PEFT sees to it.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
            return _fitting(lambda: PeftModel.from_pretrained(model, folder), folder)
    weights = folder / TRAINED_WEIGHTS
    return _fitting(lambda: _with_tensors(model, load_file(weights)), folder)


def load_base_of(
    folder: Path, about: dict[str, Any], base: str | None = None
) -> tuple[Any, tuple[str, ...]]:
    """The base model of an export with the task's head, nothing of what was trained on it.

    Returns:
        The model, and the names of weights that the base does not have: they are at random.

    Raises:
        ExportError: when the base cannot be loaded.
    """
    auto = getattr(transformers, about["auto_class"])
    base, revision = base or local_base(about["base"]), about["revision"] or "main"
    config = read_model_config(folder)
    trouble = None if Path(base).is_dir() else why_unreachable()
    told = about.get("loading", {})
    check_package(told)
    try:
        model, loading = auto.from_pretrained(
            base,
            revision=revision,
            config=config,
            output_loading_info=True,
            ignore_mismatched_sizes=about.get("other_head", False),
            **_SAFELY,
            **as_arguments(told),
        )
    except (OSError, ValueError) as error:
        raise ExportError(
            f"its base model {base!r} cannot be loaded: {str(error).splitlines()[0]}",
            where=str(folder),
            why=trouble or "",
            fix="connect once so that it is cached, or pass the folder that holds it",
        ) from error
    if rows := about.get("embedding_rows"):  # for new tokens; what was trained brings their values
        model.resize_token_embeddings(rows, mean_resizing=False)
    resized = (name for name, *_ in loading["mismatched_keys"])
    return model.eval(), tuple(sorted({*loading["missing_keys"], *resized}))


def read_model_config(folder: Path) -> Any:
    """The config.json of an export, with the attention that transformers itself would choose.

    A config may name a repository of the Hub there, whose code transformers (5.23) would run as a
    kernel where the package `kernels` is installed.

    Raises:
        ExportError: when it is not readable, or of a model that is code of its own.
    """
    config = in_words(
        lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False),
        folder,
        "its config.json cannot be read",
    )
    config._attn_implementation = None
    return config


def _fitting(load: Callable[[], Any], folder: Path) -> nn.Module:
    """The model that ``load`` returns, in evaluation mode."""
    model: nn.Module = in_words(load, folder, "the weights do not fit the base model")
    return model.eval()


def _refuse_code(folder: Path) -> None:
    """Refuses an adapter that PEFT would have to import something for, or read a pickle of."""
    for key, _, why, _ in names_code(read_json(folder / ADAPTER_CONFIG, links=True) or {}):
        raise _not_taken(f"{key} names code to load", folder / ADAPTER_CONFIG, why)
    if not (folder / WEIGHTS).is_file():
        raise _not_taken(f"there is no {WEIGHTS}", folder, "no pickle of an adapter is read")


def _not_taken(what: str, where: Path, why: str) -> ExportError:
    fix = "export it again, or import an adapter of somebody else with `workbench import`"
    return ExportError(what, where=str(where), why=why, fix=fix)


def _with_tensors(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise KeyError(unexpected[0])
    return model


def check_weights(folder: Path) -> None:
    """Refuses weight files that are missing, cut off or contain NaN or inf.

    Raises:
        ExportError: naming the file, and the tensor.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ExportError("no *.safetensors file here", where=str(folder), fix="export it again")
    for path in files:
        try:
            with safe_open(path, framework="pt") as tensors:
                finite = {n: torch.isfinite(tensors.get_tensor(n)).all() for n in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ExportError(
                f"the file is damaged: {error}", where=str(path), fix="export it again"
            ) from error
        if not all(finite.values()):
            name = next(name for name, good in finite.items() if not good)
            raise ExportError(
                f"{name} holds NaN or infinite numbers",
                where=str(path),
                why="every answer would be NaN",
                fix="train again with a lower learning rate, and export that run",
            )


def in_words(load: Callable[[], Any], folder: Path, failed: str) -> Any:
    """What ``load`` returns; the complaints of libraries after ``failed``, in our words.

    Raises:
        ExportError: when they complain.
    """
    try:
        return load()
    except (KeyError, RuntimeError, ValueError, TypeError, OSError) as error:
        lines = str(error).strip().splitlines() or [""]
        missing = f"it has no tensor {lines[0]}" if isinstance(error, KeyError) else lines[0]
        raise ExportError(
            f"{failed}: {missing}",
            where=str(folder),
            why=" ".join(line.strip() for line in lines[1:3]),
            fix="load it on the base model that workbench.json names, or export it again",
        ) from error


def local_base(name: str) -> str:
    """Where a base model lies on this machine: an asset's own folder, else the name itself."""
    for asset in ASSETS.values():
        if name in (asset.hub_id, asset.name) and asset.kind == "model":
            return str(fetch(asset.name))
    return name
