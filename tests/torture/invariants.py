"""I1 to I8: what has to hold after every event, and after the run has gone on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from tests.killed_runs import difference, exported_difference
from workbench.store import ACTIVE, Run, read_run
from workbench.training.checkpoint_files import MANIFEST, STATE, find_damage
from workbench.training.checkpoint_folder import CheckpointFolder

INVARIANTS = {
    "I1": "what has a final name is whole",
    "I2": "a verified checkpoint survives",
    "I3": "the state is true and has a reason",
    "I4": "no process is left, the lock is free",
    "I5": "resumed, it is the uninterrupted run bit for bit",
    "I6": "the log has each step once",
    "I7": "other runs are untouched",
    "I8": "the base model is untouched",
}
LOST_OR_TORN = frozenset({"I1", "I2", "I5", "I6"})
GONE_SECONDS = 10.0
"""How long after an event a process may take to go, and a state to be true."""

Faults = Iterator[tuple[str, str]]


def after_event(path: Path, whole: Run) -> Faults:
    """I1 to I4 of a run folder."""
    yield from (("I1", words) for words in _partial(path, whole))
    if lost := _lost(path):
        yield "I2", lost
    yield from _state(path)
    yield from _left(path)


def _partial(path: Path, whole: Run) -> Iterator[str]:
    checkpoints = path / "checkpoints"
    for folder in (*checkpoints.glob("step-*"), *checkpoints.glob("best-*")):
        if damage := find_damage(folder):
            yield f"{folder.name}: {damage}"
    for name in ("status.json", "environment.json", "result.json"):
        if (path / name).exists():
            try:
                json.loads((path / name).read_text())
            except ValueError as error:
                yield f"{name}: {error}"
    adapter = path / "adapter"
    if adapter.exists():
        names = [sorted(p.name for p in each.iterdir()) for each in (adapter, whole.adapter)]
        if names[0] != names[1]:
            yield f"the adapter holds {names[0]}, not {names[1]}"


def _lost(path: Path) -> str:
    """What the log says was saved and cannot be resumed from; a row comes after its save."""
    rows = read_run(path).events()[0]
    saved = [row["step"] for row in rows if row["kind"] == "checkpoint" and row["of"] == "step"]
    folder = CheckpointFolder(path / "checkpoints")
    whole = [p for p in folder.newest_first() if not find_damage(p) and not _lacks_best(folder, p)]
    newest = int(whole[0].name.rpartition("-")[2]) if whole else 0
    if saved and newest < max(saved):
        return f"step {max(saved)} was saved, the newest whole checkpoint is of step {newest}"
    return ""


def _lacks_best(folder: CheckpointFolder, path: Path) -> bool:
    number = json.loads((path / STATE).read_text())["best"]["step"]
    return number is not None and bool(find_damage(folder.best(number)))


def _state(path: Path) -> Faults:
    deadline = time.monotonic() + GONE_SECONDS
    while (run := read_run(path)).state in ACTIVE and time.monotonic() < deadline:
        time.sleep(0.05)
    if run.state in ACTIVE:
        yield "I3", f"it reads {run.state}"
    elif run.state == "unreadable" and (path / "status.json").exists():
        yield "I3", run.reason
    elif run.state != "finished" and path.exists() and not run.reason:
        yield "I3", f"{run.state} without a reason"


def _left(path: Path) -> Faults:
    if survivors := living_children():
        yield "I4", f"still alive: {', '.join(survivors)}"
    lock = path.parent / ".locks" / path.name
    if lock.exists():
        try:
            with FileLock(lock, blocking=False):
                pass
        except Timeout:
            yield "I4", "its lock is held"


def living_children() -> list[str]:
    """What the processes under this one are that do not go by themselves in time.

    A trial takes the place of init for everything below it, so nobody escapes this look.
    """
    deadline = time.monotonic() + GONE_SECONDS
    while alive := [p for p in psutil.Process().children(recursive=True) if _runs(p)]:
        if time.monotonic() > deadline:
            return [" ".join(each.cmdline()) or str(each.pid) for each in alive]
        time.sleep(0.02)
    return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def after_resume(path: Path, whole: Run, *, saved: bool = True, but: Sequence[str] = ()) -> Faults:
    """I5 and I6 of a run that has gone on to its end.

    Args:
        saved: whether its last checkpoint is there.
        but: what may differ besides.
    """
    run = read_run(path)
    if run.state != "finished":
        yield "I5", f"it is {run.state}: {run.reason}"
        return
    yield from (("I6", words) for words in _log(path, whole))
    if unlike := (difference if saved else exported_difference)(whole, run, but=but):
        yield "I5", f"{unlike} differs"


def _log(path: Path, whole: Run) -> Iterator[str]:
    for number, line in enumerate((path / "events.jsonl").read_bytes().splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            yield f"line {number} of the log is {line[:80]!r}"
    for kind in ("step", "validation"):
        steps = [
            [row["step"] for row in run.events()[0] if row["kind"] == kind]
            for run in (read_run(path), whole)
        ]
        if steps[0] != steps[1]:
            yield f"{kind}s in the log: {steps[0]}"


def digest(folder: Path) -> str:
    """Hash of every file below a folder, with its name."""
    found = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def with_manifest(folder: Path) -> None:
    """Gives a checkpoint whose files were changed a manifest that fits, as an attacker would."""
    names = json.loads((folder / MANIFEST).read_text())
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / MANIFEST).write_text(json.dumps(hashes))
