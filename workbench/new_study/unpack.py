"""A zip of texts or tables as a folder of data."""

import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from workbench.errors import DataError, StorageError
from workbench.recipe.sources import TABLE_SUFFIXES

MAX_ENTRIES = 200_000
MAX_BYTES = 2_000_000_000
_READ = (".txt", *TABLE_SUFFIXES)


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def unpack(path: Path, parent: Path) -> Path:
    """The folder that a zip becomes, named after it and its content; what is there already stays.

    Files that are no data are left out, and so is one folder around all others.

    Raises:
        DataError: no zip, too large, or with entries that lead out of it.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    target = parent / f"{path.stem}-{digest}"
    if not target.is_dir():
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            temporary.mkdir(parents=True, exist_ok=True)
            _extract(path, temporary)
            temporary.rename(target)
        except OSError as error:
            raise StorageError(f"cannot be written: {error.strerror}", where=str(target)) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    inner = list(target.iterdir())
    while len(inner) == 1 and inner[0].is_dir():
        target, inner = inner[0], list(inner[0].iterdir())
    return target


def _extract(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in _members(archive, path):
                place = target / info.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as file, open(place, "xb") as out:
                    shutil.copyfileobj(file, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"the zip cannot be unpacked: {error}",
            where=str(path),
            fix="pack it again, without a password",
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        what = f"two entries of one name: {Path(error.filename).relative_to(target)}"
        raise DataError(what, where=str(path), fix="pack it again") from error


def _members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The entries that are data."""
    entries = archive.infolist()
    kept = []
    for info in entries:
        parts = PurePosixPath(info.filename).parts
        hidden = any(part.startswith(".") and part != ".." or part == "__MACOSX" for part in parts)
        if info.is_dir() or hidden or Path(info.filename).suffix.lower() not in _READ:
            continue
        link = stat.S_ISLNK(info.external_attr >> 16)
        leads_out = info.filename.startswith("/") or ".." in parts or "\\" in info.filename
        if link or leads_out or not info.filename.isprintable():
            raise DataError(
                f"the entry {info.filename[:80]!r} {'is a link' if link else 'leads out of it'}",
                where=str(path),
                fix="pack the folder of your data again",
            )
        kept.append(info)
    size = sum(info.file_size for info in kept)
    if len(entries) > MAX_ENTRIES or size > MAX_BYTES:
        raise DataError(
            f"{len(entries):,} entries with {size:,} bytes of data",
            where=str(path),
            why=f"at most {MAX_ENTRIES:,} entries and {MAX_BYTES:,} bytes are unpacked",
            fix="unpack it yourself and name the folder, or take a sample",
        )
    if not kept:
        raise DataError(
            "no file of data in the zip",
            where=str(path),
            why=f"read are {', '.join(_READ)}",
            fix="pack one .txt file for each text in a folder for each class, or a table",
        )
    return kept
