"""The zip of an adapter folder."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

CARD = "README.md"


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


def adapter_zip(folder: Path, card: str | None = None) -> bytes:
    """A zip of the adapter folder, named after its run.

    Weights do not compress, so nothing is: a 440 MB model is packed as fast as the disk reads.

    Args:
        folder: the adapter of a run.
        card: the model card to pack; None for the folder's own.
    """
    top = Path(folder.parent.name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in adapter_files(folder):
            name = path.relative_to(folder)
            if card is None or str(name) != CARD:
                archive.write(path, top / name)
        if card is not None:
            archive.writestr(str(top / CARD), card)
    return target.getvalue()
