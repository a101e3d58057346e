"""Checkpoints that are whole or not there.

A checkpoint is a folder of safetensors files, a ``state.json`` and, written last, a
``MANIFEST.json`` with the sha256 of each file. It is made under a temporary name, fsynced and
renamed, so a killed process never leaves something that looks finished. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from workbench.errors import TrainingError
from workbench.store import read_json, write_json

MANIFEST, STATE = "MANIFEST.json", "state.json"


def save(folder: Path, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
    """Writes one checkpoint; an older one of the same name goes only when this one is complete.

    Args:
        folder: final place of the checkpoint.
        tensors: file stem -> tensors of that file.
        state: plain values: step, best so far, and the like.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for stem, values in tensors.items():
        path = temporary / f"{stem}.safetensors"
        save_file({k: v.detach().contiguous().cpu() for k, v in values.items()}, path)
        _sync(path)
    write_json(temporary / STATE, state)
    hashes = {p.name: _sha256(p) for p in sorted(temporary.iterdir())}
    write_json(temporary / MANIFEST, hashes)
    _sync(temporary)
    _swap(temporary, folder)
    _sync(folder.parent)


def _swap(new: Path, final: Path) -> None:
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def exists(folder: Path) -> bool:
    """True when there is a checkpoint; puts back one whose replacement was cut short.

    A kill between the two renames of ``save`` leaves the complete older one under another name.
    """
    if not folder.exists():
        older = sorted(folder.parent.glob(f".{folder.name}.*.old"))
        if older:
            older[-1].rename(folder)
    return folder.is_dir()


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Reads a checkpoint after checking every byte of it.

    Raises:
        TrainingError: when it is incomplete or a file differs from its hash.
    """
    damage = find_damage(folder)
    if damage:
        raise TrainingError(
            damage,
            where=str(folder),
            why="a damaged checkpoint would train on silently",
            fix="`workbench run` starts the run from the beginning",
        )
    tensors = {p.stem: load_file(p) for p in sorted(folder.glob("*.safetensors"))}
    return tensors, json.loads((folder / STATE).read_text(encoding="utf-8"))


def find_damage(folder: Path) -> str:
    """What is wrong with a checkpoint, in words; empty when nothing is."""
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        return "the checkpoint has no manifest: it was never finished"
    for name, digest in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing from the checkpoint"
        if _sha256(path) != digest:
            return f"{name} differs from the hash it was written with"
    return ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
