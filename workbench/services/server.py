"""The worker's side: answers questions, one after the other, until its input ends, whatever it is
computing then, or none has come for some time."""

import os
import queue
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import IO, Protocol

from workbench.errors import WorkbenchError
from workbench.redact import without_secrets
from workbench.services.protocol import Message, ProtocolError, read_message, write_message

Send = Callable[[Message], None]


class RequestHandler(Protocol):
    closed: bool
    """Whether the process shall end, because what it holds cannot be let go of otherwise."""

    def handle(self, request: Message, send: Send) -> Message:
        """The result of a request; ``send`` says something before it is there. The words of a
        WorkbenchError reach whoever asked, as do type and first line of any other exception."""
        ...

    def memory(self) -> Message: ...


class _Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Requests:
    """Reads requests while others are worked on, so that the end of the input is seen at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, seconds: float) -> Message | None:
        """The next request that is still wanted; None when none comes for some seconds."""
        while True:
            try:
                request = self._waiting.get(timeout=seconds)
            except queue.Empty:
                return None
            if not self.is_cancelled(request["id"]):
                return request

    def is_cancelled(self, number: int) -> bool:
        return number in self._cancelled

    def _read(self) -> None:
        try:
            while (message := read_message(self._stream)) is not None:
                if message.get("do") == "cancel":
                    self._cancelled.add(message["of"])
                else:
                    self._waiting.put(message)
        except (ProtocolError, OSError, KeyError):
            traceback.print_exc()
        os._exit(0)  # a computation in another thread would keep the process alive


def serve(
    handler: RequestHandler, source: IO[bytes], target: IO[bytes], idle_seconds: float
) -> None:
    requests = Requests(source)
    while not handler.closed and (request := requests.next(idle_seconds)) is not None:
        number = request["id"]

        def send(message: Message, number: int = number) -> None:
            if requests.is_cancelled(number):
                raise _Cancelled
            write_message(target, {"id": number, **message})

        try:
            send({"began": True})
            result = handler.handle(request, send)
            send({"result": result, "memory": handler.memory()})
        except _Cancelled:
            continue
        except Exception as error:
            if isinstance(error, WorkbenchError):
                said = {part: getattr(error, part) for part in ("what", "where", "why", "fix")}
            else:
                traceback.print_exc()
                line = (str(error).strip().splitlines() or [""])[0]
                said = {"what": f"{type(error).__name__}: {line}"}
            safe = {part: without_secrets(words) for part, words in said.items()}
            write_message(target, {"id": number, "error": safe})


def main(handler: RequestHandler, idle_seconds: float) -> None:
    """Serves the process that started this one, over its standard input and output."""
    os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    warnings.filterwarnings("ignore")  # of libraries to programmers; here people read along
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not between the messages
    serve(handler, sys.stdin.buffer, target, idle_seconds)
    os._exit(0)  # the thread that waits for input would make an orderly end fail
