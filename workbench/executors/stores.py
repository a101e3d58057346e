"""Copying run folders to where fsspec reaches: a mounted folder, S3, GCS, HDFS and so on.

A reader never finds half a run: what makes a folder a run (recipe.yaml and status.json) is copied
last, and a folder that was there before is moved to ``.replaced`` first, as in a runs folder.
"""

from pathlib import Path
from typing import Any

import fsspec

from workbench.errors import UsageError

LAST = ("recipe.yaml", "status.json")
"""The files that a folder is taken for a run by."""
WORKING_FILES = ("stop", ".reserve")


def upload_run(folder: Path, url: str) -> str:
    """Copies a run that has ended below a store, as STUDY/RUN, and returns its address.

    Raises:
        UsageError: when fsspec cannot open the store.
        OSError: when the copy fails; what was copied so far is not taken for a run.
    """
    files, root = open_store(url)
    target = f"{root.rstrip('/')}/{folder.parent.name}/{folder.name}"
    _set_aside(files, target)
    inside = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    kept = [name for name in inside if not name.endswith(".tmp") and name not in WORKING_FILES]
    for name in sorted(kept, key=lambda name: LAST.index(name) if name in LAST else -1):
        place = f"{target}/{name}"
        files.makedirs(place.rpartition("/")[0], exist_ok=True)
        files.put_file(str(folder / name), place)
    return str(files.unstrip_protocol(target))


def _set_aside(files: Any, target: str) -> None:
    if not files.exists(target):
        return
    study, _, name = target.rpartition("/")
    shelf = f"{study}/.replaced"
    files.makedirs(shelf, exist_ok=True)
    number = 1
    while files.exists(f"{shelf}/{name}.{number}"):
        number += 1
    files.mv(target, f"{shelf}/{name}.{number}", recursive=True)


def open_store(url: str) -> tuple[Any, str]:
    """The file system of a store and the path in it.

    Raises:
        UsageError: when fsspec does not know the protocol, or the library for it is missing.
    """
    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(
            f"cannot open the store {url}: {error}",
            where="--store",
            fix="an fsspec address, e.g. file:///mnt/runs, s3://bucket/runs (needs s3fs) or "
            "gs://bucket/runs (needs gcsfs)",
        ) from error
    return files, str(root)
