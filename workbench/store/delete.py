"""Deleting a run: only an ended one, only its own folder, atomically for readers."""

from __future__ import annotations

import secrets
import shutil

from workbench.errors import RunRefused, StorageError
from workbench.store.run_folder import lock_folder
from workbench.store.runs import ACTIVE, Run, read_run


def delete_run(run: Run) -> None:
    """Deletes the folder of a run with all that is in it; of a link, only the link.

    The folder is renamed first, so that nobody reads a run of which a part is gone.

    Raises:
        RunRefused: when the run is active, is queued, or another process has it.
        StorageError: when the folder cannot be removed.
    """
    path = run.path.absolute()
    lock = lock_folder(path)
    if lock is None:
        raise RunRefused("another process has this run", where=run.id, fix="stop it first")
    with lock:
        if (now := read_run(path)).state in ACTIVE:
            raise RunRefused(
                f"this run is {now.state}", where=run.id, fix="stop it, then delete it"
            )
        try:
            if path.is_symlink():
                path.unlink()
            elif path.is_dir():
                aside = path.with_name(f".deleted-{path.name}-{secrets.token_hex(4)}")
                path.rename(aside)
                shutil.rmtree(aside)
        except OSError as error:
            raise StorageError(
                f"it could not be deleted: {error.strerror}",
                where=str(path),
                fix="check who owns the folder; its remains have a name that starts with a dot",
            ) from error
