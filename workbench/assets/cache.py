"""Where fetched assets lie, and whether they are still what was fetched.

    <cache>/assets/<name>-<version>/                the files
    <cache>/assets/<name>-<version>.manifest.json   their hashes, written last

The manifest lies beside the folder, not in it, so that a model or data folder holds nothing else.
"""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from workbench.assets.catalogue import ASSETS, Asset, get

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system answers that cannot lock files, as some network mounts do."""
refused: list[OSError] = []
"""Why things could not be kept in the cache."""
State = Literal["absent", "cached", "damaged"]


class FileRecord(TypedDict):
    """One line of a manifest; a file with this size and time is taken to have this hash."""

    sha256: str
    size: int
    mtime_ns: int


def cache_dir() -> Path:
    """Folder of all that can be made again: ``$WORKBENCH_CACHE`` or the platform's own."""
    if chosen := os.environ.get("WORKBENCH_CACHE"):
        return Path(chosen).expanduser().absolute()
    return _platform_cache() / "peft-workbench"


def keep(path: Path, write: Callable[[Path], object]) -> bool:
    """Has something written to the cache, for the next command; False where it takes nothing, which
    is said once at the end of this one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        refused[:] = [error]
        return False
    return True


def what_was_refused() -> str:
    """What to say of a cache that took nothing; empty where it did."""
    if not refused:
        return ""
    return (
        f"nothing could be kept in {cache_dir()} ({refused[0].strerror}), and the next command "
        "computes it again\n  fix: make the folder writable, or name another in WORKBENCH_CACHE"
    )


def _platform_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in some containers
        return Path("/nonexistent")


def path_of(asset: Asset) -> Path:
    """The folder that the files of an asset have, or would have once fetched."""
    return cache_dir() / "assets" / f"{asset.name}-{asset.version}"


def manifest_path(asset: Asset) -> Path:
    folder = path_of(asset)
    return folder.with_name(f"{folder.name}.manifest.json")


def state(name: str, *, verify: bool = False) -> State:
    """Whether an asset is there and whole.

    Sizes and modification times are compared; a file whose time differs is hashed. ``verify``
    hashes every file (about 0.1 s per 100 MB).

    Raises:
        AssetError: for a name that is not an asset.
    """
    asset = get(name)
    folder, records = path_of(asset), read_manifest(asset)
    if records is None:
        return "damaged" if folder.exists() or manifest_path(asset).exists() else "absent"
    return "damaged" if damaged_files(folder, records, verify=verify) else "cached"


def read_manifest(asset: Asset) -> dict[str, FileRecord] | None:
    """What was fetched, or None when that is not known: absent, broken, or of other content."""
    try:
        manifest = json.loads(manifest_path(asset).read_text(encoding="utf-8"))
        records: dict[str, FileRecord] = manifest["files"]
        expected = asset.content_sha256
        if asset.prepare is not None:
            # What a preparation writes depends on the versions of the libraries it uses, so only
            # what it starts from is pinned.
            prepared = manifest["prepared"]
            made_of = manifest["content_sha256"], prepared["by"]
            expected = prepared["sha256"] if made_of == (expected, asset.prepare) else ""
        return records if content_hash(records) == expected else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def damaged_files(
    folder: Path, records: Mapping[str, FileRecord], *, verify: bool = False
) -> list[str]:
    """Files that are missing, changed or surplus, as paths relative to the folder."""
    there = set(files_below(folder))
    wrong = there.symmetric_difference(records)
    wrong.update(n for n in there & records.keys() if _differs(folder / n, records[n], verify))
    return sorted(wrong)


def _differs(path: Path, record: FileRecord, verify: bool) -> bool:
    try:
        stat = path.stat()
        if stat.st_size != record["size"]:
            return True
        if stat.st_mtime_ns == record["mtime_ns"] and not verify:
            return False
        return file_hash(path) != record["sha256"]
    except OSError:
        return True


def files_below(folder: Path) -> list[str]:
    """Relative posix paths of all files, sorted; dot files (a file manager's) are not ours."""
    found: list[str] = []
    for root, _, names in os.walk(folder):
        below = Path(root).relative_to(folder)
        prefix = "" if below == Path() else f"{below.as_posix()}/"
        found += (prefix + name for name in names if not name.startswith("."))
    return sorted(found)


def file_hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(records: Mapping[str, FileRecord]) -> str:
    """sha256 of the lines ``<sha256>  <path>``, sorted by path.

    The same as ``find . -type f | sort | xargs sha256sum | sed 's# \\./# #' | sha256sum``.
    """
    lines = (f"{records[name]['sha256']}  {name}\n" for name in sorted(records))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def listing() -> list[dict[str, Any]]:
    """What ``workbench assets --json`` prints: one row per asset, ready for JSON."""
    keys = ("name", "kind", "about", "licence", "source", "hub_id", "derived_from")
    return [
        {
            **{key: getattr(asset, key) for key in keys},
            "package": f"{asset.package}=={asset.version}",
            "sha256": asset.sha256,
            "content_sha256": asset.content_sha256,
            "prepare": asset.prepare,
            "state": state(asset.name),
            "path": str(path_of(asset)),
            "file": asset.file or None,
            "bytes": asset.size_bytes,
            "download_bytes": asset.download_bytes,
        }
        for asset in ASSETS.values()
    ]
