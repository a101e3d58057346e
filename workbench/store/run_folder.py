"""Taking a run folder: who may write it, and the last word on one whose writer died."""

import itertools
import os
import secrets
import shutil
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import AcquireReturnProxy, Timeout

from workbench.errors import RunRefused, StorageError
from workbench.recipe.schema import Recipe
from workbench.store.disk import explained
from workbench.store.files import (
    RESERVED_BYTES,
    make_folder,
    publish,
    read_record,
    reserve,
    write_json,
    write_text,
)
from workbench.store.locks import Lock, lock_of
from workbench.store.notes import Notes, write_notes
from workbench.store.processes import describe_process, launcher_of_this_process
from workbench.store.run_log import say
from workbench.store.run_writer import (
    RESERVE,
    VERSION,
    RunWriter,
    take_failures,
    write_last_status,
)
from workbench.store.runs import ACTIVE, JOB_VARIABLE, Run, State, read_run

DELETED = ".deleted-"
"""Start of a folder's name while it is deleted."""
OWNER_SECONDS = 1.0
"""How long to wait for the owner of a lock to have written who it is."""


def run_name(recipe: Recipe, seed: int) -> str:
    return f"{recipe.name}-s{seed}-{recipe.fingerprint[:8]}"


def run_path(runs_dir: Path, recipe: Recipe, seed: int) -> Path:
    return runs_dir / recipe.study / run_name(recipe, seed)


def describe_run(recipe: Recipe, seed: int) -> dict[str, Any]:
    """What is known about a run before it starts, as its status.json and the queue hold it."""
    return {
        "study": recipe.study,
        "recipe": recipe.name,
        "method": recipe.method.name,
        "task": recipe.task.name,
        "model": recipe.model.source,
        "data": recipe.data.source,
        "seed": seed,
        "fingerprint": recipe.fingerprint,
    }


def open_run(
    runs_dir: Path,
    recipe: Recipe,
    seed: int,
    *,
    force: bool = False,
    resume: bool = False,
    folder: Path | None = None,
    job: str | None = None,
) -> RunWriter:
    """Makes the folder of a run and takes it, before any work is done.

    A folder left by a failed, stopped or interrupted attempt is moved to ``.replaced`` beside it,
    never deleted; ``force`` does the same with a finished one. ``resume`` keeps the folder, which
    is ``folder`` where the recipe would give it another name now. ``job``: None for that of this
    process.

    Raises:
        RunRefused: when the run is active, or finished and not forced.
    """
    path = folder or run_path(runs_dir, recipe, seed)
    lock = lock_folder(path)
    if lock is None:
        raise RunRefused(
            f"another process has this run{_owner(path)}",
            where=f"{recipe.study}/{path.name}",
            why="one run folder has one writer",
            fix=f"watch that one: `workbench show {path.name}`",
        )
    with ExitStack() as stack:
        stack.enter_context(lock)
        job = job or os.environ.get(JOB_VARIABLE)
        status = _first_status(recipe, seed, job)
        with explained(path, RESERVED_BYTES, "the folder of the run"):
            _prepare(path, recipe, status, force=force, resume=resume)
        writer = RunWriter(path, status, lock.lock)
        about = ", ".join(f"{key} {value}" for key, value in describe_run(recipe, seed).items())
        what = "resume" if resume else "start"
        writer.say(f"{what}: {about}; process {status['pid']} on {status['host']}")
        stack.pop_all()  # the writer releases it
        return writer


def record_death(path: Path, reason: str, *, caused: State | None = None, **fields: Any) -> bool:
    """Writes down why a run ended whose process could not; True when there was something to say.

    Nothing is changed while the run is alive, or once it has ended on its own. Where somebody had
    asked for the end, that is the reason. ``caused``: the state in which the run ended only because
    another process died; it is interrupted, and this is the first line of its reason. ``fields``:
    of its status besides.
    """
    lock = lock_folder(path) if path.is_dir() else None
    if lock is None:
        return False
    with lock:
        status = read_record(path / "status.json") or {}
        run = read_run(path)
        if caused is not None and status.get("state") == caused:
            told = f"{reason}\n{status.get('reason') or ''}".strip()
            status |= {"state": "interrupted", "reason": told, **fields}
        elif status.get("state") in ACTIVE and run.state not in ACTIVE:
            told = run.reason if run.state == "stopped" else reason
            status |= {"state": run.state, "reason": told, "phase": None, **fields}
            status["ended_at"] = time.time()
        else:
            return False
        write_last_status(path, status)
        say(path, f"{status['state']}: {status['reason']}")
        (path / "stop").unlink(missing_ok=True)
        return True


def lock_folder(path: Path) -> AcquireReturnProxy[Lock] | None:
    """Takes the lock of a folder until the ``with`` or the process ends; None when it is held."""
    with suppress(Timeout):
        return lock_of(path.parent / ".locks" / path.name, blocking=False).acquire()
    return None


def delete_run(run: Run) -> None:
    """Deletes the folder of a run, renamed first so that nobody reads a part of it; RunRefused when
    the run is active or taken, StorageError when it cannot be removed."""
    path = run.path.absolute()
    lock = lock_folder(path)
    if lock is None:
        raise RunRefused("another process has this run", where=run.id, fix="stop it first")
    with lock:
        if (now := read_run(path)).state in ACTIVE:
            what = f"this run is {now.state}"
            raise RunRefused(what, where=run.id, fix="stop it, then delete it")
        try:
            if path.is_symlink():
                path.unlink()
            elif path.is_dir():
                aside = path.with_name(f"{DELETED}{path.name}-{secrets.token_hex(4)}")
                publish(path, aside)
                shutil.rmtree(aside)
        except OSError as error:
            raise StorageError(
                f"it could not be deleted: {error.strerror}",
                where=str(path),
                fix="check who owns the folder; its remains have a name that starts with a dot",
            ) from error


def set_aside(path: Path) -> None:
    """Moves a folder to ``.replaced`` beside it, under the next free number."""
    shelf = path.parent / ".replaced"
    make_folder(shelf)
    targets = (shelf / f"{path.name}.{number}" for number in itertools.count(1))
    publish(path, next(target for target in targets if not target.exists()))


def _owner(path: Path) -> str:
    """Who holds a run, as far as it has got to writing that down."""
    deadline = time.monotonic() + OWNER_SECONDS
    while (run := read_run(path)).state not in ACTIVE and time.monotonic() < deadline:
        time.sleep(0.05)
    started = run.status.get("started_at")
    if run.state not in ACTIVE or not isinstance(started, int | float):
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started))
    status = run.status
    return f": process {status.get('pid')} on {status.get('host')}, {run.state} since {since}"


def _prepare(
    path: Path, recipe: Recipe, status: dict[str, Any], *, force: bool, resume: bool
) -> None:
    run = read_run(path, job=status["job"])
    if run.state in ACTIVE:
        pid = run.status.get("pid")
        raise RunRefused(
            f"this run is {run.state} in process {pid}" if pid else f"this run {run.reason}",
            where=run.id,
            fix=f"`workbench stop {run.id}` first, or wait for it",
        )
    if run.state == "finished" and not force:
        raise RunRefused(
            "this run has finished already",
            where=run.id,
            fix="use its result, or run again with --force (the old folder is kept)",
        )
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if path.exists() and resume:
        (path / "stop").unlink(missing_ok=True)
        take_failures(path)
        write_text(path / "recipe.yaml", text)
        return
    make_folder(path.parent)
    made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:  # a folder that cannot be made whole leaves the one that is there in its place
        made.mkdir()
        reserve(made / RESERVE)
        write_text(made / "recipe.yaml", text)
        write_json(made / "status.json", status)
        if path.exists():
            if (notes := run.notes) != Notes():
                write_notes(made, notes)
            set_aside(path)
        publish(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _first_status(recipe: Recipe, seed: int, job: str | None) -> dict[str, Any]:
    launcher = launcher_of_this_process()
    return {
        "version": VERSION,
        "state": "queued",
        "reason": "",
        **describe_run(recipe, seed),
        **describe_process(os.getpid()),
        "host": socket.gethostname(),
        "job": job,
        "launcher": describe_process(launcher) if launcher is not None else None,
        "started_at": time.time(),
        "ended_at": None,
        "phase": None,
        "progress": None,
    }
