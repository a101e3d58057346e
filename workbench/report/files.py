"""The folder of a report: complete or not there, and nobody else's files are lost to it."""

import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from workbench.errors import RunRefused, StorageError, UsageError
from workbench.formatting import listing
from workbench.store import publish, publish_folder, read_json

MANIFEST = "report.json"
"""Names the files that belong to a report, so that it can be replaced without losing others."""
KIND = "peft-workbench report"
_OTHER = re.compile(r"[^A-Za-z0-9._=-]+")
_LONGEST = 60  # characters


def check_target(to: Path, *, force: bool) -> None:
    """Refuses a folder that is something else than a report, before anything is computed:
    RunRefused for files that no report wrote, unless ``force``, UsageError for a file."""
    if to.is_file() or (to.is_symlink() and not to.exists()):
        raise UsageError("this is not a folder", where=str(to), fix="name a folder for the report")
    others = foreign_files(to)
    if others and not force:
        raise RunRefused(
            "the folder holds files that are not a report's",
            where=str(to),
            why=f"it has {listing(others, 3)}",
            fix="name another folder, or add --force to write the report among them",
        )


def foreign_files(folder: Path) -> list[str]:
    """Files of a folder that its report, if there is one, did not write; relative and sorted."""
    manifest = read_json(folder / MANIFEST) or {}
    files = manifest.get("files") if manifest.get("kind") == KIND else None
    own = {str(name) for name in files} if isinstance(files, list) else set()
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    return sorted(present - own - ({MANIFEST} if own else set()))


def write_folder(to: Path, files: Mapping[str, str | bytes]) -> None:
    """Writes files by path under a temporary name, puts them in place at once; or StorageError."""
    to = to.resolve()
    temporary = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.tmp")
    manifest = {"kind": KIND, "version": 1, "files": sorted(files)}
    content = {**files, MANIFEST: json.dumps(manifest, indent=2) + "\n"}
    try:
        for name, data in content.items():
            path = temporary / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode("utf-8", "replace") if isinstance(data, str) else data)
        _put(temporary, to)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written: {error.strerror or error}",
            where=str(error.filename or to),
            fix="free some space, or name another folder",
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, to: Path) -> None:
    if foreign_files(to):
        for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
            place = to / path.relative_to(temporary)
            place.parent.mkdir(parents=True, exist_ok=True)
            publish(path, place)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    aside = to.with_name(f"{temporary.name}.old")
    if to.exists():
        os.rename(to, aside)
    publish_folder(temporary, to)
    shutil.rmtree(aside, ignore_errors=True)


def file_names(labels: Sequence[str]) -> dict[str, str]:
    """A name for each label that is one on every system, and that no other label has."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        name = base = _OTHER.sub("-", label).strip("-.")[:_LONGEST] or "recipe"
        number = 2
        while name.lower() in taken:  # some file systems take Lora for lora
            name, number = f"{base}-{number}", number + 1
        taken.add(name.lower())
        names[label] = name
    return names
