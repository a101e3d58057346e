"""Writing run folders: one writer each, opened before any work is done."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from workbench.errors import RunRefused
from workbench.recipe.schema import Recipe
from workbench.store.files import write_json, write_text
from workbench.store.runs import ACTIVE, Run, State, process_start_time, read_run

VERSION = 1
"""Version of the files in a run folder."""
HEARTBEAT_SECONDS = 2.0


def run_name(recipe: Recipe, seed: int) -> str:
    """Folder name of a run: recipe, seed and the first 8 digits of the fingerprint."""
    return f"{recipe.name}-s{seed}-{recipe.fingerprint[:8]}"


def run_path(runs_dir: Path, recipe: Recipe, seed: int) -> Path:
    """Where the run of a recipe with a seed lives."""
    return runs_dir / recipe.study / run_name(recipe, seed)


class RunWriter:
    """The one writer of a run folder. Close it with ``finish`` or ``close``."""

    def __init__(self, path: Path, status: dict[str, Any], lock: FileLock) -> None:
        self.path = path
        self._owner = lock
        self._status = status
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._write_status()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    @property
    def stop_requested(self) -> bool:
        """True once somebody asked this run to save and stop."""
        return (self.path / "stop").exists()

    def update(self, *, state: State | None = None, **fields: Any) -> None:
        """Sets fields of status.json, e.g. ``phase="train"`` or ``progress={...}``."""
        with self._lock:
            if state is not None:
                self._status["state"] = state
            self._status.update(fields)
            self._write_status()

    def progress(self, **progress: Any) -> None:
        """Sets the progress; it reaches status.json with the next heartbeat."""
        self._status["progress"] = progress

    def event(self, kind: str, **fields: Any) -> None:
        """Appends one row to events.jsonl in a single write, so that rows never interleave."""
        row = json.dumps({"kind": kind, "time": time.time(), **fields}, allow_nan=True)
        with open(self.path / "events.jsonl", "ab", buffering=0) as file:
            file.write(row.encode() + b"\n")

    def forget_after(self, step: int) -> list[dict[str, Any]]:
        """Drops logged rows later than a step, before a resumed run repeats them.

        Returns the rows that are kept, oldest first.
        """
        rows, _ = read_run(self.path).events()
        kept: list[dict[str, Any]] = []
        for row in rows:
            if isinstance(row.get("step"), int) and row["step"] > step:
                break
            kept.append(row)
        if step == 0:
            kept = []
        write_text(self.path / "events.jsonl", "".join(json.dumps(r) + "\n" for r in kept))
        return kept

    def write(self, name: str, content: Any) -> None:
        """Writes a JSON document of the run, e.g. ``environment.json``."""
        write_json(self.path / name, content)

    def finish(self, result: dict[str, Any]) -> None:
        """Writes the result and closes the run as finished."""
        write_json(self.path / "result.json", {"version": VERSION, **result})
        self.close("finished")

    def close(self, state: State, reason: str = "") -> None:
        """Ends the run in a final state; later calls change nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._heart.join()
        try:
            self.update(state=state, reason=reason, ended_at=time.time(), phase=None)
            (self.path / "stop").unlink(missing_ok=True)
        finally:
            self._owner.release()

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            with self._lock:
                self._write_status()

    def _write_status(self) -> None:
        self._status["heartbeat_at"] = time.time()
        write_json(self.path / "status.json", self._status)


class SilentWriter:
    """The writer of every process but the first of a distributed run: it writes nothing."""

    stop_requested = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def update(self, **fields: Any) -> None:
        """Nothing: the first process keeps status.json."""

    def progress(self, **progress: Any) -> None:
        """Nothing: the first process keeps status.json."""

    def event(self, kind: str, **fields: Any) -> None:
        """Nothing: the first process keeps events.jsonl."""

    def forget_after(self, step: int) -> list[dict[str, Any]]:
        """Nothing is kept here: the first process keeps events.jsonl."""
        return []

    def write(self, name: str, content: Any) -> None:
        """Nothing: the first process writes documents."""

    def finish(self, result: dict[str, Any]) -> None:
        """Nothing: the first process writes the result."""

    def close(self, state: State, reason: str = "") -> None:
        """Nothing: the first process closes the run."""


def open_run(
    runs_dir: Path, recipe: Recipe, seed: int, *, force: bool = False, resume: bool = False
) -> RunWriter:
    """Makes the folder of a run and takes it, before any work is done.

    A folder left by a failed, stopped or interrupted attempt is moved to ``.replaced`` beside it,
    never deleted; ``force`` does the same with a finished one. ``resume`` keeps the folder.

    Raises:
        RunRefused: when the run is active, or finished and not forced.
    """
    path = run_path(runs_dir, recipe, seed)
    locks = path.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    # Held until the run is closed; the system releases it when the process dies.
    lock = FileLock(locks / path.name, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunRefused(
            f"another process is at this run, which is {read_run(path).state}",
            where=f"{recipe.study}/{path.name}",
            fix=f"watch that one: `workbench show {path.name}`",
        ) from None
    try:
        return _take(path, recipe, seed, lock, force=force, resume=resume)
    except BaseException:
        lock.release()
        raise


def _take(
    path: Path, recipe: Recipe, seed: int, lock: FileLock, *, force: bool, resume: bool
) -> RunWriter:
    if path.exists():
        _refuse_if_taken(read_run(path), force)
        if not resume:
            _set_aside(path)
    path.mkdir(exist_ok=resume)
    (path / "stop").unlink(missing_ok=True)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(path / "recipe.yaml", text)
    status = {
        "version": VERSION,
        "state": "queued",
        "reason": "",
        "study": recipe.study,
        "recipe": recipe.name,
        "method": recipe.method.name,
        "task": recipe.task.name,
        "model": recipe.model.source,
        "data": recipe.data.source,
        "seed": seed,
        "fingerprint": recipe.fingerprint,
        "pid": os.getpid(),
        "process_started_at": process_start_time(os.getpid()),
        "host": socket.gethostname(),
        "started_at": time.time(),
        "ended_at": None,
        "phase": None,
        "progress": None,
    }
    return RunWriter(path, status, lock)


def _refuse_if_taken(run: Run, force: bool) -> None:
    if run.state in ACTIVE:
        raise RunRefused(
            f"this run is {run.state} in process {run.status.get('pid')}",
            where=run.id,
            fix=f"`workbench stop {run.id}` first, or wait for it",
        )
    if run.state == "finished" and not force:
        raise RunRefused(
            "this run has finished already",
            where=run.id,
            fix="use its result, or run again with --force (the old folder is kept)",
        )


def _set_aside(path: Path) -> None:
    shelf = path.parent / ".replaced"
    shelf.mkdir(exist_ok=True)
    for number in range(1, 10_000):
        target = shelf / f"{path.name}.{number}"
        if not target.exists():
            path.rename(target)
            return
