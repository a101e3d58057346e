"""Run folders: the files are the database.

    runs/<study>/<recipe>-s<seed>-<fingerprint8>/
        recipe.yaml         the resolved recipe, exactly what ran
        status.json         state, reason, heartbeat, pid and its start time, progress
        environment.json    versions, device, git
        events.jsonl        one line per logged step or validation, append only
        log.txt             what the run printed
        checkpoints/        see workbench.training.checkpoints
        predictions.parquet one row per test example
        result.json         quality and cost; written last, so its presence means finished
        adapter/            the exported weights and model card

JSON files are written to a temporary name, fsynced and renamed. Readers take a folder that is
being written, is corrupt or comes from another version for what it is, and never raise.
No torch here: listing 500 runs has to take a fraction of a second.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
import yaml

from workbench.errors import RunRefused
from workbench.recipe.schema import Recipe

State = Literal[
    "queued", "running", "stopping", "finished", "stopped", "failed", "interrupted", "unreadable"
]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "stopping"})
HEARTBEAT_SECONDS = 2.0
STALE_AFTER_SECONDS = 60.0
"""A heartbeat older than this, from another machine, is taken as a dead run."""

VERSION = 1
DEFAULT_RUNS_DIR = Path("runs")


# --- small durable writes ------------------------------------------------------------------


def write_json(path: Path, content: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of either."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file through a temporary name, fsync and rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None when it is absent, half written or not an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


# --- who is alive --------------------------------------------------------------------------


def process_start_time(pid: int) -> float | None:
    """Start time of a process in seconds since the epoch, or None when there is none.

    Pid and start time together identify a process: pids are reused, the pair is not.
    """
    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        return None


def _is_alive(status: dict[str, Any]) -> bool:
    if status.get("host") != socket.gethostname():
        beat = status.get("heartbeat_at")
        return isinstance(beat, int | float) and time.time() - beat < STALE_AFTER_SECONDS
    pid, started = status.get("pid"), status.get("process_started_at")
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return False
    actual = process_start_time(pid)
    return actual is not None and abs(actual - started) < 1.0


# --- reading -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run folder as it is now. ``status`` and ``result`` are empty when absent or corrupt."""

    path: Path
    state: State
    reason: str
    status: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``study/folder``: what the command line and the UI call this run."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def adapter(self) -> Path:
        """Folder of the exported weights; exists once the run finished."""
        return self.path / "adapter"

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Logged rows from byte ``offset`` on, and the offset to go on from next time.

        A last line without its newline is left for the next call; a broken line is skipped.
        """
        try:
            with open(self.path / "events.jsonl", "rb") as file:
                file.seek(offset)
                chunk = file.read()
        except OSError:
            return [], offset
        complete, newline, _ = chunk.rpartition(b"\n")
        rows = []
        for line in complete.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows, offset + len(complete) + len(newline)

    def recipe_text(self) -> str:
        """The resolved recipe as YAML, empty when it is not there."""
        try:
            return (self.path / "recipe.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""


def read_run(path: Path) -> Run:
    """The run in a folder; one that nobody can read comes back as ``unreadable``."""
    status = read_json(path / "status.json")
    if status is None or status.get("state") not in get_args(State):
        return Run(path, "unreadable", "status.json is missing, half written or not a run's")
    state, reason = status["state"], str(status.get("reason") or "")
    if state in ACTIVE and not _is_alive(status):
        return Run(path, "interrupted", "its process is gone without saying why", status)
    result = read_json(path / "result.json") if state == "finished" else None
    if state == "finished" and result is None:
        return Run(path, "unreadable", "finished, but result.json is missing or broken", status)
    return Run(path, state, reason, status, result or {})


def list_runs(runs_dir: Path = DEFAULT_RUNS_DIR) -> list[Run]:
    """All runs below a folder (``runs/``, ``runs/<study>`` or one run), ordered by path."""
    return [read_run(path) for path in sorted(_run_folders(runs_dir))]


def _run_folders(root: Path) -> Iterator[Path]:
    if _is_run_folder(root):
        yield root
        return
    for child in _folders(root):
        if _is_run_folder(child):
            yield child
        else:
            yield from (p for p in _folders(child) if _is_run_folder(p))


def _folders(path: Path) -> list[Path]:
    try:
        return [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError:
        return []


def _is_run_folder(path: Path) -> bool:
    return (path / "recipe.yaml").is_file() or (path / "status.json").is_file()


def find_run(name: str, runs_dir: Path = DEFAULT_RUNS_DIR) -> Run:
    """The run that a user means by a path, an id ``study/folder`` or a folder name.

    Raises:
        RunRefused: when no run or several runs answer to the name.
    """
    direct = Path(name)
    if _is_run_folder(direct):
        return read_run(direct)
    runs = list_runs(runs_dir)
    found = [r for r in runs if name in (r.id, r.path.name)] or [
        r for r in runs if r.path.name.startswith(name) or r.id.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    listing = ", ".join(r.id for r in (found or runs)[:5]) or "none"
    raise RunRefused(
        f"{'several runs' if found else 'no run'} called {name!r}",
        where=str(runs_dir),
        why=f"candidates: {listing}",
        fix="name one run as STUDY/RUN; `workbench runs` lists them",
    )


# --- writing -------------------------------------------------------------------------------


def run_name(recipe: Recipe, seed: int) -> str:
    """Folder name of a run: recipe, seed and the first 8 digits of the fingerprint."""
    return f"{recipe.name}-s{seed}-{recipe.fingerprint[:8]}"


def run_path(runs_dir: Path, recipe: Recipe, seed: int) -> Path:
    """Where the run of a recipe with a seed lives."""
    return runs_dir / recipe.study / run_name(recipe, seed)


class RunWriter:
    """The one writer of a run folder. Close it with ``finish`` or ``close``."""

    def __init__(self, path: Path, status: dict[str, Any]) -> None:
        self.path = path
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
        self.update(state=state, reason=reason, ended_at=time.time(), phase=None)
        (self.path / "stop").unlink(missing_ok=True)

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
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _refuse_if_taken(read_run(path), force)
        if not resume:
            _set_aside(path)
    try:
        path.mkdir(exist_ok=resume)
    except FileExistsError:
        raise RunRefused(
            "another process has just started this run", where=str(path), fix="watch that one"
        ) from None
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
    return RunWriter(path, status)


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
