"""Checkpoints that are whole or not there.

A checkpoint is a folder whose name never changes its content: safetensors files, a ``state.json``
and, written last, a ``MANIFEST.json`` with the sha256 of each file as it was in memory. It is made
under a temporary name, every file and folder is fsynced, and then it is renamed, so a killed
process or a lost power supply never leaves something that looks finished. No pickle anywhere.

Checkpoints are written between optimizer steps and never in the middle of one: gradients that are
still being accumulated belong to no checkpoint, and a resumed run computes that step again whole.
"""

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from workbench.errors import StorageError, TrainingError
from workbench.store import make_folder, publish, read_json, sync
from workbench.store.disk import explain

Tensors = dict[str, dict[str, Tensor]]
"""What a file holds -> its tensors by name."""

MANIFEST, STATE = "MANIFEST.json", "state.json"
FILE_BYTES = 512 * 2**20
"""Tensors per file: what is copied to the CPU and hashed at once."""
BLOCK = 4096
"""Bytes of a disk that a file takes at least, on most file systems."""


def save(folder: Path, tensors: Tensors, state: dict[str, Any]) -> int:
    """Writes one checkpoint and reads it back; returns its bytes.

    Raises:
        StorageError: when it cannot be written (nothing is left of it), or verification fails.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folder(folder.parent)
        temporary.mkdir()
        hashes = {
            name: _write(temporary / name, content) for name, content in _files(tensors, state)
        }
        _write(temporary / MANIFEST, _json(hashes))
        written = sum(path.stat().st_size for path in temporary.iterdir())
        sync(temporary)
        publish(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        files, needed = len(tensors) + len((STATE, MANIFEST, temporary)), _size(tensors)
        raise explain(error, folder, needed, "the checkpoint", files=files) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if damage := find_damage(folder):
        raise StorageError(
            f"verification failed: written data differs: {damage}",
            where=str(folder),
            why="the disk or the memory is failing",
            fix="`workbench resume` continues from the checkpoint before, on a disk that works",
        )
    return written


def _files(tensors: Tensors, state: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for stem, values in tensors.items():
        for number, part in enumerate(_parts(values), 1):
            yield f"{stem}-{number}.safetensors", bytes_of(part)
    yield STATE, _json(state)


def _parts(values: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors on the CPU, as many at a time as one file holds; at least one file."""
    part: dict[str, Tensor] = {}
    size = 0
    for name, value in values.items():
        if part and size + value.nbytes > FILE_BYTES:
            yield part
            part, size = {}, 0
        part[name] = value.detach().contiguous().cpu()
        size += value.nbytes
    yield part


def _size(tensors: Tensors) -> int:
    """About what a checkpoint takes; a file starts a block of its own."""
    values = sum(value.nbytes for values in tensors.values() for value in values.values())
    return values + BLOCK * (len(tensors) + len((STATE, MANIFEST)))


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _write(path: Path, content: bytes) -> str:
    """Writes a file through to the disk; the sha256 of what it ought to hold."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def load(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """Reads a checkpoint; every byte that is used has been checked.

    Raises:
        TrainingError: when it is incomplete or a file differs from its hash.
    """
    tensors: Tensors = defaultdict(dict)
    state: dict[str, Any] = {}
    for name, content in _checked(folder):
        if name == STATE:
            state = json.loads(content)
        elif name.endswith(".safetensors"):
            tensors[name.rpartition("-")[0]] |= tensors_of(content)
    return dict(tensors), state


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state alone; None unless it is as it was written."""
    try:
        return dict(next(json.loads(content) for _, content in _checked(folder, only=STATE)))
    except TrainingError:
        return None


def find_damage(folder: Path) -> str:
    """What is wrong with a checkpoint, in words; empty when nothing is."""
    try:
        for _ in _checked(folder):
            pass
    except TrainingError as error:
        return error.what
    return ""


def _checked(folder: Path, only: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, as its hash says it was written; ``only``: of one file."""
    manifest = read_json(folder / MANIFEST)
    if manifest is None or STATE not in manifest:
        raise _damaged(folder, "it has no manifest: it was never finished")
    for name, digest in manifest.items():
        if only not in (None, name):
            continue
        if Path(name).name != name:
            raise _damaged(folder, f"the manifest names {name!r}, which is not a file of it")
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            words = "is missing" if missing else f"cannot be read ({error.strerror})"
            raise _damaged(folder, f"{name} {words}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(folder, f"{name} differs from the hash it was written with")
        yield name, content


def _damaged(folder: Path, what: str) -> TrainingError:
    return TrainingError(
        what,
        where=str(folder),
        why="a damaged checkpoint would be trained on silently",
        fix="`workbench run` starts the run from the beginning",
    )
