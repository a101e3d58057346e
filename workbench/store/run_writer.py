"""Writing run folders: one writer each."""

import errno
import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from workbench.store.exit_reasons import memory_now
from workbench.store.files import read_record, write_json
from workbench.store.runs import State, read_run

VERSION = 1
HEARTBEAT_SECONDS = 2.0
FAILURE = ".failure-"
"""Start of the names under which processes but the first leave what ended them."""


class RunWriter:
    """The one writer of a run folder. Close it with ``finish`` or ``close``."""

    def __init__(self, path: Path, status: dict[str, Any], lock: FileLock) -> None:
        self.path = path
        self._owner = lock
        self._status = status
        self._lock = threading.Lock()
        self._closed = threading.Event()
        for left in path.glob(".*.tmp"):  # of a killed writer, as half a row of the log
            left.unlink()
        if (events := path / "events.jsonl").exists():
            os.truncate(events, read_run(path).events()[1])
        self._write_status()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    @property
    def stop_requested(self) -> bool:
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
        """Appends one row to events.jsonl in a single write, so that rows never interleave. Where
        it does not fit on the disk (OSError), no part of it is left."""
        row = json.dumps({"kind": kind, "time": time.time(), **fields}, allow_nan=True)
        content = row.encode() + b"\n"
        with open(self.path / "events.jsonl", "ab", buffering=0) as file:
            written = file.write(content)
            if written < len(content):  # a disk that fills takes what still fits and says nothing
                file.truncate(file.tell() - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))

    def mark(self) -> int:
        """Makes what was logged so far durable; its length in bytes, for ``forget_after``."""
        with open(self.path / "events.jsonl", "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def forget_after(self, mark: int) -> list[dict[str, Any]]:
        """Drops what was logged after a mark, for a resumed run to repeat; returns the rest."""
        with open(self.path / "events.jsonl", "ab") as file:
            file.truncate(min(mark, file.tell()))
            os.fsync(file.fileno())
        return read_run(self.path).events()[0]

    def write(self, name: str, content: Any) -> None:
        """Writes a JSON document of the run, e.g. ``environment.json``."""
        write_json(self.path / name, content)

    def finish(self, result: dict[str, Any]) -> None:
        """Writes the result and closes the run as finished."""
        write_json(self.path / "result.json", {"version": VERSION, **result})
        self.close("finished")

    def close(self, state: State, reason: str = "") -> None:
        """Ends the run in a final state; later calls change nothing. The reason of another process
        of the run that failed before this one comes first: this one met the loss of it."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._heart.join()
        if state == "failed":
            earlier = [said for said in take_failures(self.path) if reason not in said]
            reason = "\n".join([*earlier, reason])
        try:
            self.update(state=state, reason=reason, ended_at=time.time(), phase=None)
            (self.path / "stop").unlink(missing_ok=True)
        finally:
            self._owner.release()

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            # A full disk costs this heartbeat; the run itself meets it where it can say so.
            with self._lock, suppress(OSError):
                self._write_status()

    def _write_status(self) -> None:
        self._status["heartbeat_at"] = time.time()
        self._status["memory"] = memory_now()
        write_json(self.path / "status.json", self._status)


def take_failures(path: Path) -> list[str]:
    """What the other processes of a run said before they ended, and takes it away."""
    said = []
    for file in sorted(path.glob(f"{FAILURE}*.json")):
        failure = read_record(file) or {}
        said.append(f"process {failure.get('rank')}: {failure.get('reason')}")
        file.unlink(missing_ok=True)
    return said


class SilentWriter:
    """The writer of every rank but the first: all that it writes is why it failed."""

    stop_requested = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def _ignore(self, *_args: Any, **_fields: Any) -> None: ...

    update = progress = event = write = finish = _ignore

    def mark(self) -> int:
        return 0

    def forget_after(self, mark: int) -> list[dict[str, Any]]:
        return []

    def close(self, state: State, reason: str = "") -> None:
        """Leaves a failure where the first process finds it, which closes the run."""
        if state == "failed" and self.path.is_dir():
            rank = int(os.environ.get("RANK", "0") or 0)
            write_json(self.path / f"{FAILURE}{rank}.json", {"rank": rank, "reason": reason})
