"""Room on the disk: asked for before a run, and explained when it runs out anyway."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from tempfile import TemporaryFile

from workbench.errors import StorageError


def check_writable(folder: Path) -> None:
    """Makes a folder and tries to write into it, before any work is done.

    Raises:
        StorageError: when it is read-only, or belongs to somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise explain(error, folder, 1, "a run") from error


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuses work that would fill the disk; what the folder holds already is not needed again.

    Args:
        folder: where it will be written; it may not exist yet.
        needed: bytes of everything that will lie there at once.
        what: what is written, for the message.

    Raises:
        StorageError: with the path, the bytes needed and the bytes free.
    """
    more = max(0, needed - _held(folder))
    free = free_bytes(folder)
    if free < more:
        raise StorageError(
            f"{what} may need {_bytes(more)} and {_bytes(free)} are free",
            where=str(folder),
            why="a disk that fills in the middle of a run costs what came after its checkpoint",
            fix="free space, or write to another disk with --runs",
        )


def explain(error: OSError, path: Path, needed: int, what: str) -> StorageError:
    """The failed write of so many bytes in words that say what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    room = f"{_bytes(needed)} needed, {_bytes(free_bytes(path))} free" if full else ""
    quota = " by its owner's quota" if error.errno == errno.EDQUOT else ""
    return StorageError(
        f"{what} could not be written: "
        + (f"the disk is full{quota}: {room}" if full else error.strerror or str(error)),
        where=str(path),
        fix="free space, then `workbench resume`"
        if full
        else "make the folder writable, or write to another with --runs",
    )


def _held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where a path is or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _bytes(number: int) -> str:
    return f"{number:,} bytes"
