"""Exporting an adapter: a folder for plain transformers + PEFT, or merged weights."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer

from workbench.adapters.folder import ABOUT, find_export, load_exported, local_base
from workbench.adapters.model_card import model_card
from workbench.adapters.plain_load import RELATIVE_TOLERANCE, PlainLoader, compare_outputs
from workbench.adapters.save import building
from workbench.assets import hub
from workbench.data.encode import Encoded
from workbench.errors import ExportError, RunRefused
from workbench.store import Run, read_json, write_json
from workbench.tasks import AnyTask, Predicted

CHECKED = 16
"""Test features whose outputs a plain load has to reproduce."""
OF_ROUNDED = 0.05
"""The same, relative to the largest output, of weights that are rounded otherwise: merged ones are
no longer quantised, and in bf16 what is added to a weight may be less than its last digit."""
CARD = "README.md"
EXPECTED = "expected.json"
"""File of a run with these features and outputs."""


def export_run(
    run: Run,
    to: Path,
    *,
    merge: bool = False,
    card: str | None = None,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Copies a finished run's adapter, or its merged model, after checking that it loads.

    The check is made again on what is handed out: plain transformers + PEFT, in a fresh process,
    have to give the outputs that the run recorded.

    Args:
        run: a finished run.
        to: the folder to write.
        merge: write the whole model with the adapter merged in.
        card: the model card of the copy; None for the one that the workbench writes.
        note: told where the outputs of merged weights are not those of the adapter.

    Raises:
        RunRefused: when the run has not finished or the target exists.
        ExportError: when the method cannot be merged, or the check fails.
    """
    _refuse_export(run, to)
    _, about = find_export(run.path)
    expected = read_expected(run.path)
    with building(to) as folder, PlainLoader() as loader:
        if merge:
            about = _write_merged(run, about, folder)
        else:
            shutil.copytree(run.adapter, folder, dirs_exist_ok=True)
        rounded = merge and about.get("merged_from")
        device = run.result.get("policy", {}).get("device")
        allowed = OF_ROUNDED if rounded else tolerance(about, device)
        difference = check_folder(loader, folder, about, expected, allowed)
        if merge and card is None:  # with the lines that load the merged model
            export = {**run.result["export"], "kind": "full", "max_logit_difference": difference}
            result = {**run.result, "export": export}
            card = model_card(result, about, run.recipe_text(), merged=True)
        if card is not None:
            (folder / CARD).write_text(card, encoding="utf-8")
    if rounded and note:
        note(_of_rounding(rounded, difference, expected["outputs"]))
    return to


def _refuse_export(run: Run, to: Path) -> None:
    if run.state != "finished":
        raise RunRefused(
            f"this run is {run.state}, only finished runs have an adapter",
            where=run.id,
            fix=f"`workbench show {run.id}` says why",
        )
    if to.exists():
        raise RunRefused("the target exists already", where=str(to), fix="name a new folder")
    _refuse_links(run.adapter)


def _of_rounding(loading: dict[str, Any], difference: float, outputs: list[list[float]]) -> str:
    largest = max((abs(number) for row in outputs for number in row), default=0.0)
    return (
        f"merged weights are rounded to {loading['dtype']}: their outputs differ from those of "
        f"the adapter by up to {difference:.1e}, where the largest output is {largest:.2g} "
        f"({len(outputs)} test examples)"
    )


def _refuse_links(folder: Path) -> None:
    """An export hands out what the run wrote, and no other file of this machine."""
    for path in (folder, *sorted(folder.rglob("*"))):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            what = "a link" if path.is_symlink() else "not a regular file"
            raise RunRefused(
                what,
                where=str(path),
                why="an export holds only files that lie in the run's own folder",
                fix="put the file itself there, or train again",
            )


def push(folder: Path, repository: str) -> str:
    """Uploads an exported folder to a Hub repository, made private if it is new.

    Returns the address of the commit. The token is huggingface_hub's own (``hf auth login`` or
    HF_TOKEN) and is neither stored nor shown.

    Raises:
        ExportError: when the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    api, fix = HfApi(), "connect and push again"
    try:
        if trouble := hub.why_unreachable():
            raise ConnectionError(trouble)
        fix = "log in with `hf auth login` and check the name"
        api.create_repo(repository, private=True, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=folder).commit_url)
    # The Hub's own errors, those of files, and whatever its HTTP client raises.
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        raise ExportError(
            f"the Hub did not take the upload: {said.splitlines()[0]}",
            where=repository,
            fix=f"{fix}; the export is in {folder}",
        ) from error


def tolerance(about: dict[str, Any], device: Any) -> float:
    """Largest relative difference that the check allows: it is made on the CPU, and bf16 that was
    computed on another device is rounded at other places."""
    return OF_ROUNDED if about.get("loading") and device != "cpu" else RELATIVE_TOLERANCE


def check_folder(
    loader: PlainLoader,
    folder: Path,
    about: dict[str, Any],
    expected: dict[str, Any],
    allowed: float = RELATIVE_TOLERANCE,
) -> float:
    """Largest difference between what a plain load of a folder says and what was recorded.

    Args:
        allowed: of it, relative to the largest output.

    Raises:
        ExportError: when the folder does not load or says something else.
    """
    request = load_request(folder, about) | {
        "output": about["output"],
        "skip": about["virtual_tokens"] if about["per_position"] else 0,
        "max_length": about["max_length"],
        "inputs": expected["inputs"],
    }
    return compare_outputs(expected["outputs"], loader.outputs(request), folder, allowed)


def load_request(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What the process of a plain load has to know to load a folder."""
    return {
        "folder": str(folder),
        "base": local_base(about["base"]),
        "revision": about["revision"],
        "offline": os.environ.get(hub.VARIABLE) == "1",
        "auto_class": about["auto_class"],
        "kind": about["kind"],
        "other_head": about.get("other_head", False),
        "embedding_rows": about.get("embedding_rows"),
        "loading": about.get("loading", {}),
    }


def write_expected(
    run: Path, task: AnyTask, encoded: Encoded, predicted: Predicted
) -> dict[str, Any]:
    """Keeps the first test features with what the run made of them, for every later check.

    Returns what was written: ``inputs`` and, a row of numbers for each, ``outputs``.
    """
    count = min(CHECKED, len(encoded))
    content = {
        "inputs": [task.plain_request(encoded, index) for index in range(count)],
        "outputs": [task.checked(predicted.values[index]).tolist() for index in range(count)],
    }
    write_json(run / EXPECTED, content)
    return content


def read_expected(run: Path) -> dict[str, Any]:
    """What ``write_expected`` has kept.

    Raises:
        ExportError: when the file is missing or damaged.
    """
    match content := read_json(run / EXPECTED):
        case {"inputs": list(inputs), "outputs": list(outputs)} if len(inputs) == len(outputs):
            return dict(content or {})
    raise ExportError(
        f"{EXPECTED} is missing or damaged, so the export cannot be checked",
        where=str(run),
        fix="run the recipe again with --force",
    )


def _write_merged(run: Run, about: dict[str, Any], folder: Path) -> dict[str, Any]:
    loading = about.get("loading") or {}
    model = load_exported(run.adapter, about, in_fp32=True)
    merged: Any = merged_model(model, run.result.get("method", "this method"))
    if loading:
        merged.to(getattr(torch, loading["dtype"]))
    merged.save_pretrained(folder)
    AutoTokenizer.from_pretrained(run.adapter, trust_remote_code=False).save_pretrained(folder)
    merged_about = {**about, "kind": "full", "virtual_tokens": 0, "loading": {}}
    if loading:
        merged_about["merged_from"] = loading
    write_json(folder / ABOUT, merged_about)
    return merged_about


def merged_model(model: nn.Module, method: str) -> nn.Module:
    """A model with its adapter's update added into its own weights.

    Raises:
        ExportError: when there is nothing that could be merged, with the reason.
    """
    config = getattr(model, "active_peft_config", None)
    if config is None:
        return model
    if config.is_prompt_learning:
        reason = "virtual tokens are inputs, not weights: there is nothing to add them to"
    else:
        try:
            return model.merge_and_unload(safe_merge=True)  # type: ignore[no-any-return,operator]
        except (ValueError, NotImplementedError, AttributeError) as error:
            reason = f"PEFT: {error}"
    raise ExportError(
        f"{method} cannot be merged into plain weights",
        where="--merge",
        why=reason,
        fix="export the adapter itself, without --merge",
    )
