"""The zip of an adapter folder."""

import io
import zipfile
from pathlib import Path

CARD = "README.md"


def adapter_files(folder: Path) -> list[Path]:
    """The regular files below a folder, none that a link leads out of it."""
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()]


def adapter_zip(folder: Path, card: str | None = None) -> bytes:
    """A zip of the adapter folder, named after its run.

    Weights do not compress, so nothing is: a 440 MB model is packed as fast as the disk reads.

    Args:
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
