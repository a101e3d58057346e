"""Locks of files. They go with the process that holds them, however it ends."""

from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from workbench.assets.cache import NO_LOCKS
from workbench.errors import StorageError
from workbench.store.disk import explain


def lock_of(file: Path, **options: Any) -> "Lock":
    """The lock of a file, with filelock's options."""
    # Not the file's existence, where there are no locks: that would outlive a killed process.
    return Lock(file, fallback_to_soft=False, **options)


class Lock(FileLock):
    """The lock of a file, which is made with its folder; one that cannot be taken for another
    reason than that somebody has it is a StorageError."""

    def acquire(self, *arguments: Any, **options: Any) -> AcquireReturnProxy["Lock"]:
        path = Path(self.lock_file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return super().acquire(*arguments, **options)
        except Timeout:
            raise
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise explain(error, path, 1, "a lock") from error
            raise StorageError(
                f"this file system cannot lock files: {error.strerror}",
                where=str(path),
                why="without locks two processes could write one run",
                fix="name a folder on a local disk with --runs, or mount this one with locks "
                "(NFS: a running lockd, or the option local_lock=flock)",
            ) from error
