"""The zip of an adapter folder."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO


def adapter_files(folder: Path) -> list[Path]:
    """The regular files below a folder, none that a link leads out of it."""
    root = folder.resolve()
    found = []
    for where, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(where) / name
            if path.is_file() and not path.is_symlink():
                found.append(folder / path.relative_to(root))
    return found


def adapter_zip(folder: Path) -> BinaryIO:
    """A zip of the adapter in a temporary file that vanishes when it is closed.

    Weights do not compress, so nothing is: a 440 MB model is packed as fast as the disk reads.
    """
    target: BinaryIO = tempfile.TemporaryFile()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in adapter_files(folder):
            archive.write(path, Path(folder.parent.name) / path.relative_to(folder))
    target.seek(0)
    return target
