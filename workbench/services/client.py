"""The server's side: starts the worker, asks it, and knows when it is gone."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from workbench.errors import WorkbenchError
from workbench.jobs import child_environment
from workbench.services.protocol import Message, ProtocolError, read_message, write_message

PATIENCE_SECONDS = 180.0
"""Without a sign of life for this long a request is given up: loading a large base from a slow
disk takes a minute."""
_ENDING_SECONDS = 5.0
_MOST_STARTS = 10
"""Of processes for one request: each may end after an earlier request in the queue."""


class WorkerError(WorkbenchError):
    """A question that got no answer: the worker ended, or took too long."""


class WorkerClient:
    """One worker process for all who ask, from several threads too.

    Args:
        idle_seconds: time without a question after which the worker ends by itself.
        patience_seconds: time without a sign of life after which a request is given up.
    """

    module: str
    """``python -m module SECONDS`` is the worker."""
    name: str  # of the process, in a sentence
    error: type[WorkerError]
    slow: str  # why an answer may take too long
    smaller: str  # how to ask for less
    idle_seconds: float

    def __init__(
        self, idle_seconds: float | None = None, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._idle_seconds = self.idle_seconds if idle_seconds is None else idle_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self.memory: dict[str, Any] = {}
        """What the worker last said of its memory; empty when there is none."""

    @property
    def pid(self) -> int | None:
        worker = self._worker
        return worker.pid if worker and worker.is_alive() else None

    @property
    def waiting(self) -> int:
        worker = self._worker
        return len(worker.pending) if worker and worker.is_alive() else 0

    def ask(self, request: Message) -> dict[str, Any]:
        """The result of a request, as `stream` ends with and raises."""
        (*_, last) = self.stream(request)
        return last["result"]  # type: ignore[no-any-return]

    def stream(self, request: Message) -> Iterator[Message]:
        """What the worker says to a request: pieces of text as they are written, then the result,
        or its own kind of WorkerError. Leaving the iteration early cancels the request."""
        for _ in range(_MOST_STARTS):
            try:
                yield from self._listen(self._alive(), request)
                return
            except _EndedBefore:
                pass  # for want of questions just when this one came, or after that of another
        raise self.error(f"{self.name} ended {_MOST_STARTS} times before this", fix="ask again")

    def unload(self) -> None:
        """Ends the worker and frees its memory; the next question starts another."""
        with self._lock:
            worker, self._worker, self.memory = self._worker, None, {}
        if worker:
            worker.end()

    def _alive(self) -> _Worker:
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self.memory = {}
                self._worker = _Worker(self, self._idle_seconds)
            return self._worker

    def _listen(self, worker: _Worker, request: Message) -> Iterator[Message]:
        began = False
        number, events = worker.send(request)
        try:
            while True:
                try:
                    event = events.get(timeout=self._patience_seconds)
                except queue.Empty:
                    raise self._gave_up(worker, began) from None
                if event is None:
                    raise worker.exit_error(began)
                if "error" in event:
                    raise self.error(**event["error"])
                began = True
                if "memory" in event:
                    self.memory = event["memory"]
                yield event
                if "result" in event:
                    return
        finally:
            worker.forget(number)

    def _gave_up(self, worker: _Worker, began: bool) -> WorkerError:
        what = f"no answer within {self._patience_seconds:.0f} s"
        if not began:
            others = max(0, len(worker.pending) - 1)
            why = f"{others} other questions are in line before this one"
            return self.error(what, why=why, fix="ask again in a moment")
        worker.kill()
        return self.error(
            f"{what}: {self.name} was ended",
            why=self.slow,
            fix=f"ask again {self.smaller}; a new process starts by itself",
        )


class _EndedBefore(Exception):
    """The worker had ended before it saw the request."""


class _Worker:
    """One process, its pipes, and who waits for what."""

    def __init__(self, owner: WorkerClient, idle_seconds: float) -> None:
        self._owner = owner
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", owner.module, str(idle_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            # Ctrl-C is for the server; the worker ends when the server's end of its input closes.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.pending: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._numbers = count(1)
        self._writing = threading.Lock()
        self._ended_on_purpose = False
        threading.Thread(target=self._read, daemon=True).start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, request: Message) -> tuple[int, queue.SimpleQueue[Message | None]]:
        """Puts a request in line; what is said to it comes into the queue, None at the end."""
        number, events = next(self._numbers), queue.SimpleQueue[Message | None]()
        self.pending[number] = events
        try:
            self._write({**request, "id": number})
        except (OSError, ValueError):
            events.put(None)
        return number, events

    def forget(self, number: int) -> None:
        """Nobody listens to a request any more; one without a result is cancelled."""
        if self.pending.pop(number, None) is not None and self.is_alive():
            with suppress(OSError, ValueError):  # it has ended meanwhile
                self._write({"do": "cancel", "of": number})

    def exit_error(self, began: bool) -> Exception:
        code, owner = self._process.wait(), self._owner
        if self._ended_on_purpose:
            what = f"{owner.name} was ended while this was being answered"
            return owner.error(what, fix="ask again")
        if code == 0 and not began:
            return _EndedBefore()
        how = f"signal {-code}, {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        killed = code == -signal.SIGKILL
        return owner.error(
            f"{owner.name} ended in the middle of an answer ({how})",
            why="the system ends a process like that when memory is short" if killed else "",
            fix=f"ask again: a new process starts by itself, and needs less {owner.smaller}",
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        self._ended_on_purpose = True
        deadline = time.monotonic() + _ENDING_SECONDS
        self._close_input()
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # nobody reads it any more
            self._process.stdin.close()

    def _write(self, message: Message) -> None:
        assert self._process.stdin is not None
        with self._writing:
            write_message(self._process.stdin, message)

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while (message := read_message(self._process.stdout)) is not None:
                events = self.pending.get(message.get("id", 0))
                if events is None:
                    continue
                if "result" in message or "error" in message:
                    self.pending.pop(message["id"], None)  # nothing is left to cancel
                events.put(message)
        except (ProtocolError, OSError, ValueError):
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._close_input()
        for events in list(self.pending.values()):
            events.put(None)
