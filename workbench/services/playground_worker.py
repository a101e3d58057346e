"""The desk at which adapters answer; they stay in memory from one question to the next."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from workbench.heavy_imports import loading_libraries
from workbench.services.protocol import Message
from workbench.services.server import Send, main

if TYPE_CHECKING:
    from workbench.explaining import Decision, Resident

LONGEST_TEXT = 50_000
"""Characters of a text: far more than any of the models reads."""


class Adapters:
    closed = False

    def __init__(self) -> None:
        self._resident: Resident | None = None

    @property
    def resident(self) -> Resident:
        """The adapters that are there; torch is loaded with the first."""
        if self._resident is None:
            with loading_libraries():
                from workbench.explaining import Resident

            self._resident = Resident()
        return self._resident

    def handle(self, request: Message, send: Send) -> Message:
        match request["do"]:
            case "answer":
                return self._answer(request, send)
            case "attention":
                from workbench.explaining.explanations import explain_attention

                layer, head = request["layer"], request["head"]
                return explain_attention(*self._asked(request), layer=layer, head=head)
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
        zero_shot = bool(request.get("zero_shot"))
        base = self.resident.zero_shot(folder) if zero_shot else None
        if base and (silent := no_answer_of(base)):
            return {"silent": silent}
        adapter = base.adapter if base else self.resident.adapter(folder)
        loaded = time.perf_counter()
        answer = answer_text(
            adapter,
            _text(request, "text") or "",
            _text(request, "pair"),
            on_token=lambda piece, p: send({"piece": piece, "probability": p}),
        )
        seconds = time.perf_counter() - loaded
        return {**answer, "seconds": seconds, "loading_seconds": loaded - began}

    def _asked(self, request: Message) -> tuple[Any, Any, Decision]:
        from workbench.explaining import decide

        folder = Path(request["folder"])
        adapter, base = self.resident.adapter(folder), self.resident.zero_shot(folder)
        decision = decide(
            adapter,
            _text(request, "text") or "",
            _text(request, "pair"),
            choice=request["choice"],
            answer=request.get("ids") or (),
        )
        return adapter, base, decision

    def memory(self) -> Message:
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
        raise ValueError(f"{key} is not a text of at most {LONGEST_TEXT:,} characters")
    return text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair is not a text


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a request is one text
    main(Adapters(), float(sys.argv[1]))
