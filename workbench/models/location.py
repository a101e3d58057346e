"""Where a model's files lie, what names their weights, and what to say when they do not load."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from workbench.assets import ASSETS, fetch
from workbench.assets.cache import cache_dir, keep
from workbench.assets.hub import why_unreachable
from workbench.errors import UsageError
from workbench.recipe.schema import ModelSpec
from workbench.recipe.sources import ASSET_PREFIX
from workbench.store import read_json, write_json


@dataclass(frozen=True)
class Place:
    """Where a base model is loaded from, here and on another machine."""

    location: str
    """Folder or Hub id."""
    public_name: str
    """Hub id (or folder) by which another machine finds the same weights."""
    revision: str | None


def locate(spec: ModelSpec) -> Place:
    """The place of an embedded model, which is fetched if it is not here yet, a folder or the Hub.

    Raises:
        AssetError: when there is no such embedded model, or it cannot be fetched.
    """
    if spec.source.startswith(ASSET_PREFIX):
        name = spec.source.removeprefix(ASSET_PREFIX)
        return Place(str(fetch(name)), ASSETS[name].hub_id or name, None)
    path = Path(spec.source).expanduser()
    if path.is_dir():
        return Place(str(path), str(path), None)
    why_unreachable()  # what is not cached need not be waited for
    return Place(spec.source, spec.source, spec.revision)


def _is_on_hub(spec: ModelSpec) -> bool:
    return not (spec.source.startswith(ASSET_PREFIX) or Path(spec.source).expanduser().is_dir())


def fingerprint(place: Place, config: Any) -> str:
    """The Hub commit of the weights; of a folder, the sha256 (hex) of its weights and config."""
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return str(commit)
    return _folder_digest(Path(place.location))


def local_fingerprint(spec: ModelSpec) -> str | None:
    """That of a model in a folder of the user's, as it is now; None of any other, which stays."""
    folder = Path(spec.source).expanduser()
    return _folder_digest(folder) if folder.is_dir() else None


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _weight_files(folder):
        about = path.stat()
        digest.update(_file_digest(path.resolve(), about.st_ino, about.st_size, about.st_mtime_ns))
    return digest.hexdigest()


TOKENIZER_FIX = (
    "copy tokenizer.json and tokenizer_config.json into the model's folder, from the model that it "
    "was trained from"
)
REMEMBERED = 2**24
"""Bytes from which on the sha256 of a file is kept for other processes too."""


@lru_cache(maxsize=64)
def _file_digest(path: Path, *as_it_was: int) -> bytes:
    """sha256 of a file, once as long as its inode, size and time stay the same: half a gigabyte
    takes 0.2 to 0.4 s, and each run of a study and each look at a finished one asks."""
    if path.stat().st_size < REMEMBERED:
        return _sha256(path)
    key = hashlib.sha256("|".join(map(str, (path, *as_it_was))).encode()).hexdigest()
    note = cache_dir() / "weights" / f"{key}.json"
    known = read_json(note)
    if known and isinstance(known.get("sha256"), str):
        return bytes.fromhex(known["sha256"])
    found = _sha256(path)
    keep(note, lambda file: write_json(file, {"file": str(path), "sha256": found.hex()}))
    return found


def _sha256(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _weight_files(folder: Path) -> Sequence[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])


def or_refuse(load: Callable[[], Any], spec: ModelSpec, part: str = "model") -> Any:
    """What ``load`` returns.

    Raises:
        UsageError: when there is no such model here or on the Hub, or it does not load.
    """
    try:
        return load()
    except Exception as error:
        known = isinstance(error, OSError | ValueError | KeyError | ImportError)
        # Files of a tokenizer have any shape, and libraries take them for what they should be.
        if not known and (part != "tokenizer" or isinstance(error, MemoryError)):
            raise
        what = "model" if part == "model" else f"{part} of the model"
        hub = (
            f"name a Hub id that is reachable or cached (in {HF_HUB_CACHE}), a folder with "
            "config.json and model.safetensors, or an asset of `workbench assets`"
        )
        raise UsageError(
            f"cannot load the {what} {spec.source!r}: {_first_line(error)}",
            where="model.source",
            why=(why_unreachable() or "") if _is_on_hub(spec) else "",
            fix=hub if part == "model" or _is_on_hub(spec) else TOKENIZER_FIX,
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
