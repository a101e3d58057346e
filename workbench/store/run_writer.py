"""Writing run folders: one writer each."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.store.disk import explain, explained
from workbench.store.exit_reasons import memory_now
from workbench.store.files import (
    RESERVED_BYTES,
    as_json,
    read_record,
    reserve,
    sync,
    write_json,
    write_reserved,
    write_text,
)
from workbench.store.locks import Lock
from workbench.store.run_log import say, say_event
from workbench.store.runs import State, read_run

VERSION = 1
HEARTBEAT_SECONDS = 2.0
FAILURE = ".failure-"
"""Start of the names under which processes but the first leave what ended them."""
RESERVE = ".reserve"
"""Space for the last status, held while a run is active: the disk may stay full."""


class RunWriter:
    """The one writer of a run folder. Close it with ``finish`` or ``close``."""

    def __init__(self, path: Path, status: dict[str, Any], lock: Lock) -> None:
        self.path = path
        self._owner = lock
        self._status = status
        self._lock = threading.Lock()
        self._closed = threading.Event()
        with explained(path, RESERVED_BYTES, "the run"):
            for left in path.glob(".*.tmp"):  # of a killed writer, as half a row of the log
                left.unlink()
            reserve(path / RESERVE)
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
        with self._lock, explained(self.path, RESERVED_BYTES, "the run's status"):
            if state is not None:
                self._status["state"] = state
            self._status.update(fields)
            self._write_status()

    def progress(self, **progress: Any) -> None:
        """Sets the progress; it reaches status.json with the next heartbeat."""
        self._status["progress"] = progress

    def event(self, kind: str, **fields: Any) -> None:
        """Appends one row to events.jsonl in a single write, so that rows never interleave. Where
        it does not fit on the disk (StorageError), no part of it is left."""
        row = json.dumps({"kind": kind, "time": time.time(), **fields}, allow_nan=True)
        content, path = row.encode() + b"\n", self.path / "events.jsonl"
        with explained(path, len(content), "the log"), open(path, "ab", buffering=0) as file:
            end, written = file.seek(0, os.SEEK_END), 0
            try:
                while written < len(content):  # the rest of a row says why it did not fit
                    written += file.write(content[written:])
            except OSError:
                file.truncate(end)
                raise
        say_event(self.path, kind, fields)

    def say(self, text: str) -> None:
        """Appends a line to log.txt, for people to read; no words are no line."""
        if text:
            say(self.path, text)

    def mark(self) -> int:
        """Makes what was logged so far durable; its length in bytes, for ``forget_after``."""
        path = self.path / "events.jsonl"
        with explained(path, 1, "the log"), open(path, "ab") as file:
            os.fsync(file.fileno())
            sync(self.path)
            return file.tell()

    def forget_after(self, mark: int) -> list[dict[str, Any]]:
        """Drops what was logged after a mark, for a resumed run to repeat; returns the rest."""
        path = self.path / "events.jsonl"
        with explained(path, 1, "the log"), open(path, "ab") as file:
            file.truncate(min(mark, file.tell()))
            os.fsync(file.fileno())
        return read_run(self.path).events()[0]

    def write(self, name: str, content: Any) -> None:
        """Writes a JSON document of the run, e.g. ``environment.json``."""
        text = as_json(content)
        with explained(self.path / name, len(text.encode()), name):
            write_text(self.path / name, text)

    def finish(self, result: dict[str, Any], clean_up: Callable[[], object] = lambda: None) -> None:
        """Writes the result and closes the run as finished; ``clean_up`` comes last, while the run
        is still held. Where it fails, ``leftovers.tidy`` does it another time."""
        self.write("result.json", {"version": VERSION, **result})
        with self._owner:
            self.close("finished")
            with suppress(OSError):
                clean_up()

    def close(self, state: State, reason: str = "", **fields: Any) -> None:
        """Ends the run in a final state; later calls change nothing. The reason of another process
        of the run that failed before this one comes first: this one met the loss of it.

        A full disk does not stop it: what the status says then stands in the space reserved for it.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._heart.join()
        if state == "failed":
            earlier = [said for said in take_failures(self.path) if reason not in said]
            reason = "\n".join([*earlier, reason])
        ended = {"state": state, "reason": reason, "ended_at": time.time(), "phase": None}
        try:
            self._status |= {"heartbeat_at": time.time(), **ended, **fields}
            write_last_status(self.path, self._status)
            with suppress(OSError):  # the next attempt takes it away
                (self.path / "stop").unlink(missing_ok=True)
        finally:
            say(self.path, f"{state}: {reason}" if reason else state)
            self._owner.release()

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            # A full disk costs this heartbeat; the run itself meets it where it can say so.
            with self._lock, suppress(OSError):
                self._write_status()

    def _write_status(self) -> None:
        # The first is for people; the second, which nobody can set, tells how old it is.
        self._status |= {"heartbeat_at": time.time(), "uptime": time.monotonic()}
        self._status["memory"] = memory_now()
        write_json(self.path / "status.json", self._status)


def write_last_status(path: Path, status: dict[str, Any]) -> None:
    """Writes the status that a run keeps, in its reserved space where the disk is full; what was
    reserved is given back. StorageError where even that fails."""
    file, reserved = path / "status.json", path / RESERVE
    try:
        try:
            write_json(file, status)
        except OSError:
            if not reserved.is_file():
                raise
            text = as_json(status)
            if len(text.encode()) > RESERVED_BYTES:
                most = RESERVED_BYTES // 8  # characters: of six bytes each at most
                text = as_json(status | {"reason": f"{str(status.get('reason'))[:most]} ..."})
            write_reserved(file, text, reserved)
        reserved.unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, path, RESERVED_BYTES, "the run's last status") from error


def take_failures(path: Path) -> list[str]:
    """What the other processes of a run said before they ended, and takes it away."""
    said = []
    for file in sorted(path.glob(f"{FAILURE}*.json")):
        failure = read_record(file) or {}
        said.append(f"process {failure.get('rank')}: {failure.get('reason')}")
        with suppress(OSError):  # of a disk that takes no change, which is no failure of theirs
            file.unlink(missing_ok=True)
    return said


class SilentWriter:
    """The writer of every rank but the first: all that it writes is why it failed."""

    stop_requested = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def _ignore(self, *_args: Any, **_fields: Any) -> None: ...

    update = progress = event = say = write = finish = _ignore

    def mark(self) -> int:
        return 0

    def forget_after(self, mark: int) -> list[dict[str, Any]]:
        return []

    def close(self, state: State, reason: str = "", **_fields: Any) -> None:
        """Leaves a failure where the first process finds it, which closes the run."""
        if state == "failed" and self.path.is_dir():
            rank = int(os.environ.get("RANK", "0") or 0)
            with suppress(OSError):  # the first process meets the same disk
                write_json(self.path / f"{FAILURE}{rank}.json", {"rank": rank, "reason": reason})
