"""What a killed process left in the folders of runs, removed by the next command that sees them.

Only under the lock of its run, so that nobody is writing there; links are not followed.
"""

import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from workbench.errors import StorageError
from workbench.store.files import drop_folder
from workbench.store.run_folder import DELETED, lock_folder
from workbench.store.run_writer import RESERVE
from workbench.store.runs import ACTIVE, Run, read_run

HALF_WRITTEN = (".*.tmp", ".adapter.*")
"""Files and folders that have not got their name yet."""
FROM_CHECKPOINTS = ("step-*", "damaged-*")
"""What only an unfinished run needs."""


def tidy(runs: Collection[Run]) -> None:
    """Removes what was left in and beside the folders of runs that have ended.

    Nothing is said of what cannot be removed: the folder may be somebody else's, or read-only.
    """
    for run in runs:
        if _may_be_tidied(run) and any(_left_in(run)):
            with _held(run.path) as held:
                now = read_run(run.path)
                for path in _left_in(now) if held and _may_be_tidied(now) else ():
                    remove(path)
    for study in {run.path.parent for run in runs}:
        for left in (*study.glob(f"{DELETED}*"), *study.glob(".*.tmp")):
            deleted = left.name.startswith(DELETED)
            name = left.name.removeprefix(DELETED).rpartition("-")[0]
            with _held(study / (name if deleted else left.name[1:].rsplit(".", 2)[0])) as held:
                if held:
                    remove(left)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether a run is held by this process now; where something fails, the block just ends."""
    try:
        lock = lock_folder(path)
    except (OSError, StorageError):
        lock = None
    with suppress(OSError), lock or nullcontext():
        yield lock is not None


def keep_best(checkpoints: Path) -> None:
    """Leaves nothing of a finished run's checkpoints but the best state."""
    for path in [*half_written(checkpoints), *_of_progress(checkpoints)]:
        remove(path)


def half_written(folder: Path) -> Iterator[Path]:
    for pattern in HALF_WRITTEN:
        yield from folder.glob(pattern)


def remove(path: Path) -> None:
    """Removes a file or a folder, of which no part keeps the name of the whole."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    elif path.name.startswith("."):
        shutil.rmtree(path)
    else:
        drop_folder(path)


def _may_be_tidied(run: Run) -> bool:
    # A run of another machine may only look dead; once it has finished it is what it says.
    here = run.status.get("host") == socket.gethostname()
    return run.state == "finished" or (here and run.state not in ACTIVE | {"unreadable"})


def _left_in(run: Run) -> Iterator[Path]:
    checkpoints = run.path / "checkpoints"
    for folder in (run.path, checkpoints):
        if folder.is_dir() and not folder.is_symlink():
            yield from half_written(folder)
    if run.state == "finished":
        yield from run.path.glob(RESERVE)
        yield from () if checkpoints.is_symlink() else _of_progress(checkpoints)


def _of_progress(checkpoints: Path) -> Iterator[Path]:
    for pattern in FROM_CHECKPOINTS:
        yield from checkpoints.glob(pattern)
    yield from sorted(checkpoints.glob("best-*"), key=number_of)[:-1]


def number_of(checkpoint: Path) -> int:
    """The step of a checkpoint, by its name; -1 for a name that has none."""
    digits = checkpoint.name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1
