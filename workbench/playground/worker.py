"""The process that keeps adapters in memory and answers questions, one after the other.

It lives as long as whoever started it: when its input ends, so does it, whatever it is computing.
After some time without a question it ends by itself.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

from workbench.errors import WorkbenchError
from workbench.playground.protocol import Message, ProtocolError, read_message, write_message

if TYPE_CHECKING:
    from workbench.explaining import Decision, Resident

LONGEST_TEXT = 50_000
"""Characters of a text: far more than any of the models reads."""

Send = Callable[[Message], None]


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


def serve(source: IO[bytes], target: IO[bytes], idle_seconds: float) -> None:
    """Answers requests until none has come for some seconds."""
    requests = Requests(source)
    desk = _Desk()
    while (request := requests.next(idle_seconds)) is not None:
        number = request["id"]

        def send(message: Message, number: int = number) -> None:
            if requests.is_cancelled(number):
                raise _Cancelled
            write_message(target, {"id": number, **message})

        try:
            send({"began": True})
            result = desk.handle(request, send)
            send({"result": result, "memory": desk.memory()})
        except _Cancelled:
            continue
        except WorkbenchError as error:
            said = {"what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
            write_message(target, {"id": number, "error": said})
        except Exception as error:
            traceback.print_exc()
            line = (str(error).strip().splitlines() or [""])[0]
            said = {"what": f"{type(error).__name__}: {line}"}
            write_message(target, {"id": number, "error": said})


class _Desk:
    """What is done with each kind of request."""

    def __init__(self) -> None:
        self._resident: Resident | None = None

    @property
    def resident(self) -> Resident:
        """The adapters that are there; torch is loaded with the first."""
        if self._resident is None:
            from workbench.explaining import Resident

            self._resident = Resident()
        return self._resident

    def handle(self, request: Message, send: Send) -> Message:
        """The result of a request."""
        match request["do"]:
            case "answer":
                return self._answer(request, send)
            case "attention":
                from workbench.explaining.explanations import explain_attention

                adapter, untouched, decision = self._asked(request)
                return explain_attention(
                    adapter, untouched, decision, layer=request["layer"], head=request["head"]
                )
            case "attribution":
                from workbench.explaining.explanations import explain_attribution

                return explain_attribution(
                    *self._asked(request), on_progress=lambda: send({"progress": True})
                )
            case "memory":
                return {}
        raise ValueError(f"no such request: {request['do']!r}")

    def _answer(self, request: Message, send: Send) -> Message:
        from workbench.explaining import answer_text
        from workbench.explaining.explanations import no_answer_of

        folder, began = Path(request["folder"]), time.perf_counter()
        if request.get("untouched"):
            untouched = self.resident.untouched(folder)
            adapter, silent = untouched.adapter, no_answer_of(untouched)
            if silent:
                return {"silent": silent}
        else:
            adapter = self.resident.adapter(folder)
        loaded = time.perf_counter()

        def tell(piece: str, probability: float) -> None:
            send({"piece": piece, "probability": probability})

        text, pair = _text(request, "text") or "", _text(request, "pair")
        answer = answer_text(adapter, text, pair, on_token=tell)
        seconds = time.perf_counter() - loaded
        return {**answer, "seconds": seconds, "loading_seconds": loaded - began}

    def _asked(self, request: Message) -> tuple[Any, Any, Decision]:
        from workbench.explaining import decide

        folder = Path(request["folder"])
        adapter, untouched = self.resident.adapter(folder), self.resident.untouched(folder)
        decision = decide(
            adapter,
            _text(request, "text") or "",
            _text(request, "pair"),
            choice=request["choice"],
            answer=request.get("ids") or (),
        )
        return adapter, untouched, decision

    def memory(self) -> Message:
        """Bytes of the weights, each once, and of the whole process."""
        resident = self._resident
        return {
            "weights_bytes": resident.bytes if resident else 0,
            "process_bytes": psutil.Process().memory_info().rss,
            "adapters": len(resident.folders) if resident else 0,
        }


def _text(request: Message, key: str) -> str | None:
    text = request.get(key)
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise ValueError(f"{key} is no text of at most {LONGEST_TEXT:,} characters")
    return text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair is no text


def main(idle_seconds: float) -> None:
    """Serves the process that started this one, over its standard input and output."""
    os.environ |= {
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    warnings.filterwarnings("ignore")  # of libraries to programmers; here people read along
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not between the messages
    serve(sys.stdin.buffer, target, idle_seconds)
    os._exit(0)  # the thread that waits for input would make an orderly end fail
