"""Small files that are whole or not there."""

import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MOST_BYTES = 64 * 2**20
"""Of a file that is read at once; the largest result of ours has below 1 MB."""


def write_json(path: Path, content: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of either."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


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
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
