"""Reading run folders: what state they are in, what they hold, and which one is meant."""

import math
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from workbench.recipe.renamed import result_as_today, scores_as_today, text_as_today
from workbench.store.exit_reasons import ENDED_BY_FORCE, exit_reason, stall_reason
from workbench.store.files import (
    open_regular,
    parse_record,
    read_record,
    read_whole,
    seconds_unchanged,
)
from workbench.store.notes import Notes, read_notes
from workbench.store.processes import is_alive, is_of_another_boot
from workbench.store.queue import QUEUE_DIR, Entry, Queue, pick_by_name

State = Literal[
    "queued", "running", "stopping", "finished", "stopped", "failed", "interrupted", "unreadable"
]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "stopping"})
RESUMABLE: frozenset[str] = frozenset({"stopped", "failed", "interrupted"})
STALE_AFTER_SECONDS = 60.0
"""A status.json unchanged for so long, of another machine's run, is taken as a dead run's."""

DEFAULT_RUNS_DIR = Path("runs")
JOB_VARIABLE = "WORKBENCH_JOB"
"""Environment variable by which a run's process knows the job that it belongs to."""
BESIDE_VARIABLE = "WORKBENCH_RUNS_BESIDE"
"""And with how many other runs it shares its device."""


@dataclass(frozen=True, kw_only=True)
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
        return self.path / "adapter"

    @property
    def notes(self) -> Notes:
        """What people say of the run, as it stands now."""
        return read_notes(self.path)

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Logged rows from byte ``offset`` on, and the offset of the next call. A last line without
        its newline is left for the next call; a broken line is skipped."""
        try:
            with open_regular(self.path / "events.jsonl") as file:
                file.seek(offset)
                chunk = file.read()
        except OSError:
            return [], offset
        complete, newline, _ = chunk.rpartition(b"\n")
        rows = []
        for line in complete.splitlines():
            try:
                row = parse_record(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                scores = {"metrics": scores_as_today(row["metrics"])} if "metrics" in row else {}
                rows.append(row | scores)
        return rows, offset + len(complete) + len(newline)

    def recipe_text(self) -> str:
        """The resolved recipe as YAML, under the names of today; empty when it is not there."""
        try:
            return text_as_today(read_whole(self.path / "recipe.yaml"))
        except (OSError, UnicodeDecodeError):
            return ""


def read_run(path: Path, *, job: str | None = None) -> Run:
    """The run in a folder; one that nobody can read comes back as ``unreadable``, one in the queue
    as ``queued``, but not to the ``job`` (else that of this process) that has taken it from
    there."""
    absolute = path.absolute()
    entry = Queue(absolute.parent.parent).find(absolute.parent.name, path.name)
    return _read(path, entry, job)


def _read(path: Path, entry: Entry | None, job: str | None = None) -> Run:
    status = read_record(path / "status.json")
    asking = job or os.environ.get(JOB_VARIABLE)
    if entry is not None and not (asking and asking == entry.job) and _is_to_come(entry, status):
        reason = "is being started" if entry.job else "is queued"
        fields = {**entry.fields, "queued_at": entry.added_at}
        return Run(path=path, state="queued", reason=reason, status=fields)
    if status is None or status.get("state") not in get_args(State):
        reason = "status.json is missing, half written or not a run's"
        return Run(path=path, state="unreadable", reason=reason)
    state, reason = status["state"], str(status.get("reason") or "")
    if state in ACTIVE:
        return _living(path, status, reason)
    # Not None: a comparison leaves out a run whose score is no number, and not one that has none.
    finished = state == "finished"
    result = read_record(path / "result.json", unmeasured=math.nan) if finished else {}
    if result is None:
        reason = "finished, but result.json is missing or broken"
        return Run(path=path, state="unreadable", reason=reason, status=status)
    result = result_as_today(result)
    return Run(path=path, state=state, reason=reason, status=status, result=result)


def _living(path: Path, status: dict[str, Any], reason: str) -> Run:
    """A run that was active when it last wrote, which says nothing about now."""
    there = status.get("host") != socket.gethostname() or is_of_another_boot(status)
    if there:  # its clock may be hours from this one
        age = seconds_unchanged(path / "status.json")
    else:
        beat, now = status.get("uptime"), time.monotonic()
        if beat is None:  # of a version that wrote the time of day alone, which may be set
            beat, now = status.get("heartbeat_at"), time.time()
        age = abs(now - beat) if isinstance(beat, int | float) else math.inf
    # A heartbeat in the future is no better than an old one: some clock was set.
    fresh = abs(age) < STALE_AFTER_SECONDS
    alive = fresh if there else is_alive(status)
    state: State = status["state"]
    if not alive and (path / "stop").exists():
        state, reason = "stopped", ENDED_BY_FORCE
    elif not alive:
        state, reason = "interrupted", exit_reason(status, age)
    elif not fresh and age < math.inf:
        reason = reason or stall_reason(status, age)
    return Run(path=path, state=state, reason=reason, status=status)


def _is_to_come(entry: Entry, status: dict[str, Any] | None) -> bool:
    """True until the job that took an entry has opened the run; a result stays till then."""
    if status is None:
        return True
    if status.get("state") == "finished" or (entry.job and status.get("job") == entry.job):
        return False
    return status.get("state") not in ACTIVE or not is_alive(status)


def list_runs(runs_dir: Path = DEFAULT_RUNS_DIR) -> list[Run]:
    """All runs below a folder (``runs/``, one study or one run), queued ones too, by path."""
    if _is_run_folder(runs_dir):
        return [read_run(runs_dir)]
    root, study = runs_dir.absolute(), None
    if not (root / QUEUE_DIR).is_dir() and (root.parent / QUEUE_DIR).is_dir():
        root, study = root.parent, root.name
    entries = {
        runs_dir.joinpath(*([] if study else [entry.study]), entry.name): entry
        for entry in Queue(root).list()
        if study in (None, entry.study)
    }
    return [_read(path, entries.get(path)) for path in sorted({*_run_folders(runs_dir), *entries})]


def _run_folders(root: Path) -> Iterator[Path]:
    for child in _folders(root):
        found = [child] if _is_run_folder(child) else _folders(child)
        yield from filter(_is_run_folder, found)


def _folders(path: Path) -> list[Path]:
    try:
        return [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    except OSError:
        return []


def _is_run_folder(path: Path) -> bool:
    return (path / "recipe.yaml").is_file() or (path / "status.json").is_file()


def find_run(name: str, runs_dir: Path = DEFAULT_RUNS_DIR) -> Run:
    """The run that a user means by a path, an id ``study/folder`` or a name; else RunRefused."""
    direct = Path(name)
    if _is_run_folder(direct):
        return read_run(direct)
    fix = "name one run as STUDY/RUN; `workbench runs` lists them"
    by_id = {run.id: run for run in list_runs(runs_dir)}
    return pick_by_name(name, by_id, where=runs_dir, fix=fix)
