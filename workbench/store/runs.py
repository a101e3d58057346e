"""Reading run folders: what state they are in, what they hold, and which one is meant."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from workbench.errors import RunRefused
from workbench.store.files import read_json

State = Literal[
    "queued", "running", "stopping", "finished", "stopped", "failed", "interrupted", "unreadable"
]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "stopping"})
STALE_AFTER_SECONDS = 60.0
"""A heartbeat older than this, from another machine, is taken as a dead run."""

DEFAULT_RUNS_DIR = Path("runs")


def process_start_time(pid: int) -> float | None:
    """Start time of a process in seconds since the epoch, or None when there is none.

    Pid and start time together identify a process: pids are reused, the pair is not.
    """
    try:
        process = psutil.Process(pid)
        # A zombie has ended; only its parent has not looked yet.
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else float(process.create_time())
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
