"""Small files that are whole or not there."""

import errno
import json
import math
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

MOST_BYTES = 64 * 2**20
"""Of a file that is read at once; the largest result of ours has below 1 MB."""
RESERVED_BYTES = 2**14
"""Space for the last status of a run on a full disk; one has 1 to 2 KB and a reason."""
LARGEST = 1e100
"""Numbers of a record beyond it were never measured, and squares of them still fit a float."""
LARGEST_WHOLE = 2**63
MOST_LEVELS = 64
"""Lists and objects of a record inside each other; our deepest has eight."""
_LONE = re.compile("[\ud800-\udfff]")


def write_json(path: Path, content: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of either."""
    write_text(path, as_json(content))


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes a text file through a temporary name, fsync and rename; a failure leaves nothing."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file to write, which gets the name ``path`` once it is complete and on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        yield temporary
        sync(temporary)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Gives a file or folder that is on the disk its name, which is on the disk then too."""
    os.replace(temporary, path)
    for folder in {path.parent, temporary.parent}:
        sync(folder)


def publish_folder(temporary: Path, path: Path) -> None:
    """The same for a folder whose files may not be on the disk yet."""
    for each in (*temporary.rglob("*"), temporary):
        if not each.is_symlink():
            sync(each)
    publish(temporary, path)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it that are missing; their names are on the disk then."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def drop_folder(path: Path) -> None:
    """Deletes a folder; what is half deleted never has its name, whatever happens to the power."""
    going = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    publish(path, going)
    shutil.rmtree(going)


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network mounts sync no folder: their server keeps names in order.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def seconds_unchanged(path: Path) -> float:
    """How long ago a file was changed, by the clock of the file system that has it.

    On a folder that machines share neither the reader's clock nor the writer's need be right: their
    server's is what both moments here are told by. Where nothing may be written, the reader's has
    to do. Below zero where that clock was set back, infinite where the file has gone.
    """
    try:
        changed = path.stat().st_mtime
    except OSError:
        return math.inf
    try:
        with TemporaryFile(dir=path.parent) as probe:
            probe.write(b"x")
            probe.flush()
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:
        now = time.time()
    return now - changed


def reserve(path: Path) -> None:
    """Makes a file that holds space, for ``write_reserved`` to use once the disk is full."""
    with suppress(FileNotFoundError):
        there = path.lstat()
        if stat.S_ISREG(there.st_mode) and there.st_size == RESERVED_BYTES:
            return
        path.unlink()
    try:
        path.write_bytes(os.urandom(RESERVED_BYTES))  # zeros might be compressed to nothing
        sync(path)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def write_reserved(path: Path, text: str, reserved: Path) -> None:
    """Writes a text file on a disk that takes no more: into the blocks and the inode of a reserve,
    which is renamed. It may have ``RESERVED_BYTES``."""
    try:
        descriptor = os.open(reserved, os.O_WRONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.truncate()
            file.flush()
            os.fsync(descriptor)
        publish(reserved, path)
    except OSError:  # some file systems keep the old blocks when new ones are written
        reserved.unlink()
        write_text(path, text)


def open_regular(path: Path, *, links: bool = False) -> IO[bytes]:
    """A file of a folder that others may have filled: no link is followed, no pipe waited for.

    Args:
        links: follow them, as in the cache of the Hub, whose files are links.

    Raises:
        OSError: also when it is a link, a folder, a pipe or a device.
    """
    if not links and path.is_symlink():
        raise OSError(errno.ELOOP, "a link, and none is followed", str(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def stat_key(path: Path) -> tuple[int, int, int] | None:
    """What is another once a file is: what was read of it may be kept by it. None without one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_whole(path: Path, *, links: bool = False) -> str:
    """The text of a file as ``open_regular`` opens it.

    Raises:
        OSError: also when it has more than ``MOST_BYTES``.
        UnicodeDecodeError: when it is not UTF-8.
    """
    with open_regular(path, links=links) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"more than {MOST_BYTES:,} bytes", str(path))
    return content.decode("utf-8")


def read_json(path: Path, *, links: bool = False) -> dict[str, Any] | None:
    """The object in a JSON file, or None when it is absent, half written or not an object."""
    try:
        content = json.loads(read_whole(path, links=links))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_record(path: Path, *, unmeasured: float | None = None) -> dict[str, Any] | None:
    """The object in a JSON file that anybody may have written, as ``parse_record`` reads it; None
    when it is absent, half written or not an object."""
    try:
        content = parse_record(read_whole(path), unmeasured=unmeasured)
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def parse_record(text: str | bytes, *, unmeasured: float | None = None) -> Any:
    """JSON whose values a reader can take as they are, whoever wrote it.

    What is nested too deeply is None, half of a character U+FFFD.

    Args:
        unmeasured: in the place of a number that is none, infinite or larger than any measured.

    Raises:
        ValueError: also when it is not UTF-8.
        RecursionError: when it is nested deeper than Python reads.
    """

    def whole(digits: str) -> float | None:
        few = len(digits) <= len(str(-LARGEST_WHOLE))
        return number if few and abs(number := int(digits)) < LARGEST_WHOLE else unmeasured

    def real(digits: str) -> float | None:
        return number if abs(number := float(digits)) < LARGEST else unmeasured

    text = text.decode("utf-8") if isinstance(text, bytes) else text
    content = json.loads(
        text, parse_int=whole, parse_float=real, parse_constant=lambda _: unmeasured
    )
    # Most records are neither deep nor escaped, and going through one takes longer than reading it.
    odd = text.count("[") + text.count("{") > MOST_LEVELS or "\\u" in text
    return _plain(content, MOST_LEVELS) if odd else content


def _plain(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return _LONE.sub("\N{REPLACEMENT CHARACTER}", value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return None
    if isinstance(value, list):
        return [_plain(each, levels - 1) for each in value]
    return {_plain(key, 1): _plain(each, levels - 1) for key, each in value.items()}
