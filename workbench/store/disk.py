"""Room on the disk: asked for before a run, and explained when it runs out anyway."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from workbench.errors import FULL, StorageError, WorkbenchError

_OF_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers tell what the system refused."""


def check_writable(folder: Path) -> None:
    """Makes a folder and tries to write into it, before any work; StorageError where it fails."""
    with explained(folder, 1, "a run"):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()


def check_room(folder: Path, needed: int, what: str, *, files: int = 1) -> None:
    """Refuses (StorageError) work that would fill the disk: ``needed`` bytes in so many ``files``
    that will lie there at once, but for what the folder, if any, holds."""
    held = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    short = shortage(folder, max(0, needed - sum(held)), max(0, files - len(held)))
    if short:
        raise StorageError(
            f"{what} may need {short}",
            where=str(folder),
            why="a disk that fills in the middle of a run costs what came after its checkpoint",
            fix="free space, or write to another disk with --runs",
        )


def shortage(path: Path, needed: int, files: int = 1) -> str:
    """Where a disk has too little for so many bytes in so many new files, what that takes and what
    there is; else empty."""
    free, inodes = free_bytes(path), free_inodes(path)
    if free < needed:
        return f"{_bytes(needed)} and {_bytes(free)} are free"
    if inodes is not None and inodes < files:
        return f"{files:,} inodes (one for each file) and {inodes:,} are free"
    return ""


@contextmanager
def explained(path: Path, needed: int, what: str, *, files: int = 1) -> Iterator[None]:
    """Where the system refuses a write of the block, a StorageError says so as ``explain`` does."""
    try:
        yield
    except Exception as error:
        refused = system_error(error)
        if refused is None:
            raise
        raise explain(refused, path, needed, what, files=files) from error


def system_error(error: BaseException) -> OSError | None:
    """What the system refused, also where a library written in Rust tells it in words alone."""
    if isinstance(error, OSError | WorkbenchError):
        return error if isinstance(error, OSError) else None
    found = _OF_RUST.search(str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


def explain(
    error: OSError, path: Path, needed: int | None, what: str, *, files: int = 1
) -> StorageError:
    """What could not be written and why; with a full disk, what it takes and what there is.

    Args:
        needed: bytes of all that was to be written, in so many new ``files`` and folders; None
            where that is not known.
    """
    what = f"{what} could not be written"
    if error.errno not in FULL:
        fix = "make the folder writable, or write to another with --runs"
        return StorageError(f"{what}: {error.strerror or error}", where=str(path), fix=fix)
    quota = " by its owner's quota" if error.errno == errno.EDQUOT else ""
    free, inodes = free_bytes(path), free_inodes(path)
    space = f"{_bytes(free)} free"
    space = space if needed is None else f"{_bytes(needed)} needed, {space}"
    fix = "free space, then `workbench resume`"
    if inodes is not None and inodes < files:
        words = "inode" if files == 1 else "inodes"
        space = f"{files} {words} needed (one for each file), {inodes} free; {space}"
        fix = "delete files, of whatever size, then `workbench resume`"
    return StorageError(f"{what}: the disk is full{quota}: {space}", where=str(path), fix=fix)


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where a path is or will be."""
    return shutil.disk_usage(_existing(path)).free


def free_inodes(path: Path) -> int | None:
    """Files that this user may still make there; None where only bytes limit them (btrfs)."""
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(_existing(path))
    return found.f_favail if found.f_files else None


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _bytes(number: int) -> str:
    return f"{number:,} bytes"
