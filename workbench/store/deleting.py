"""Deleting a run: only what has ended, only its own folder, and never half of it in sight."""

from __future__ import annotations

import secrets
import shutil

from filelock import Timeout

from workbench.errors import RunRefused, StorageError
from workbench.store.opening import lock_of
from workbench.store.runs import ACTIVE, Run, read_run


def delete_run(run: Run) -> None:
    """Deletes the folder of a run with all that is in it; of a link, only the link.

    The folder is renamed first, so that nobody reads a run of which a part is gone.

    Raises:
        RunRefused: when the run is active, waits in the queue, or somebody is at it.
        StorageError: when the folder cannot be removed.
    """
    path = run.path.absolute()
    lock = lock_of(path)
    try:
        lock.acquire()
    except Timeout:
        raise RunRefused(
            "another process is at this run", where=run.id, fix="stop it first"
        ) from None
    try:
        now = read_run(path)
        if now.state in ACTIVE:
            raise RunRefused(
                f"this run is {now.state}", where=run.id, fix="stop it, then delete it"
            )
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
            fix="look at who owns the folder; what is left of it has a name that starts with a dot",
        ) from error
    finally:
        lock.release()
