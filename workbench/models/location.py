"""Where a model's files lie, what names their weights, and what to say when they do not load."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from workbench.assets import ASSETS, fetch
from workbench.assets.hub import why_unreachable
from workbench.errors import UsageError
from workbench.recipe.schema import ModelSpec
from workbench.recipe.sources import ASSET_PREFIX


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
    digest = hashlib.sha256()
    for path in _weight_files(Path(place.location)):
        about = path.stat()
        digest.update(_file_digest(path, about.st_ino, about.st_size, about.st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _file_digest(path: Path, *_as_it_was: int) -> bytes:
    """sha256 of a file, once per process as long as its inode, size and time stay the same: half a
    gigabyte takes 0.2 to 0.4 s, and each run of a study asks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _weight_files(folder: Path) -> Sequence[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])


def or_refuse(load: Callable[[], Any], spec: ModelSpec) -> Any:
    """What ``load`` returns.

    Raises:
        UsageError: when there is no such model here or on the Hub, or it does not load.
    """
    try:
        return load()
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(
            f"cannot load the model {spec.source!r}: {_first_line(error)}",
            where="model.source",
            why=(why_unreachable() or "") if _is_on_hub(spec) else "",
            fix=f"name a Hub id that is reachable or cached (in {HF_HUB_CACHE}), a folder with "
            "config.json and model.safetensors, or an asset of `workbench assets`",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
