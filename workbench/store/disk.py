"""Room on the disk: asked for before a run, and explained when it runs out anyway."""

import errno
import shutil
from pathlib import Path
from tempfile import TemporaryFile

from workbench.errors import StorageError


def check_writable(folder: Path) -> None:
    """Makes a folder and tries to write into it, before any work; StorageError where it fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise explain(error, folder, 1, "a run") from error


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuses (StorageError) work that would fill the disk: ``needed`` bytes that will lie there at
    once, but for what the folder, if any, holds."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    more, free = max(0, needed - held), free_bytes(folder)
    if free < more:
        raise StorageError(
            f"{what} may need {_bytes(more)} and {_bytes(free)} are free",
            where=str(folder),
            why="a disk that fills in the middle of a run costs what came after its checkpoint",
            fix="free space, or write to another disk with --runs",
        )


def explain(error: OSError, path: Path, needed: int, what: str) -> StorageError:
    what = f"{what} could not be written"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        fix = "make the folder writable, or write to another with --runs"
        return StorageError(f"{what}: {error.strerror or error}", where=str(path), fix=fix)
    quota = " by its owner's quota" if error.errno == errno.EDQUOT else ""
    space = f"{_bytes(needed)} needed, {_bytes(free_bytes(path))} free"
    return StorageError(
        f"{what}: the disk is full{quota}: {space}",
        where=str(path),
        fix="free space, then `workbench resume`",
    )


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where a path is or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _bytes(number: int) -> str:
    return f"{number:,} bytes"
