"""What a person sees while runs go on: one live line on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from workbench.cli.output import scores
from workbench.units import duration

Observer = Callable[[str, dict[str, Any]], None]
SECONDS_BETWEEN_LINES = 5.0
CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Shows the events of runs on stderr. Call it with a kind and the fields of an event.

    Args:
        stream: where to write; live on a terminal, plain lines elsewhere.
        clock: seconds, for the time between lines.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._name = ""
        self._began = self._last_line = clock()
        self._on_line = False

    def __call__(self, kind: str, fields: dict[str, Any]) -> None:
        show = getattr(self, f"_on_{kind}", None)
        if show is not None:
            show(fields)

    def close(self) -> None:
        """Ends the live line, if there is one."""
        if self._on_line:
            self._write("\n")
            self._on_line = False

    def _on_run(self, fields: dict[str, Any]) -> None:
        index, of = fields.get("index"), fields.get("of")
        counted = f"[{index + 1}/{of}] " if isinstance(index, int) and of else ""
        self._name = f"{counted}{fields.get('id', '')}"
        self._began = self._clock()
        if not self._live:
            self._line(self._name)

    def _on_phase(self, fields: dict[str, Any]) -> None:
        self._passing(f"{fields.get('phase')} ...", always=True)

    def _on_progress(self, fields: dict[str, Any]) -> None:
        parts = [f"step {fields.get('step')}/{fields.get('steps')}"]
        for name, digits in (("epoch", 2), ("loss", 3)):
            if isinstance(fields.get(name), int | float):
                parts.append(f"{name} {fields[name]:.{digits}f}")
        if isinstance(fields.get("eta_seconds"), int | float):
            parts.append(f"{duration(fields['eta_seconds'])} left")
        self._passing("  ".join(parts))

    def _on_validation(self, fields: dict[str, Any]) -> None:
        best = "  (best so far)" if fields.get("best") else ""
        shown = scores(fields.get("metrics"))
        self._line(f"{self._name}: validation at step {fields.get('step')}: {shown}{best}")

    def _on_warning(self, fields: dict[str, Any]) -> None:
        self._line(f"{self._name}: warning: {fields.get('message')}")

    def _on_finished(self, fields: dict[str, Any]) -> None:
        metrics = fields.get("metrics")
        tested = metrics.get("test", metrics) if isinstance(metrics, dict) else metrics
        took = duration(self._clock() - self._began)
        self._line(f"{self._name}: finished in {took}: {scores(tested)}")

    def _on_skipped(self, fields: dict[str, Any]) -> None:
        self._line(f"{fields.get('id') or self._name}: finished before, skipped")

    def _on_stopped(self, fields: dict[str, Any]) -> None:
        self._line(f"{self._name}: {fields.get('reason') or 'stopped'}")

    def _on_failed(self, fields: dict[str, Any]) -> None:
        reason = fields.get("reason") or "see its log"
        self._line(f"{fields.get('id') or self._name}: failed: {reason}")

    def _passing(self, text: str, *, always: bool = False) -> None:
        """Text that the next one replaces; where nothing can be replaced, one every few seconds."""
        if self._live:
            self._write(f"{CLEAR_LINE}{self._name}: {text}")
            self._on_line = True
        elif always or self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(f"{self._name}: {text}")

    def _line(self, text: str) -> None:
        """Text that stays."""
        self._write(f"{CLEAR_LINE if self._on_line else ''}{text}\n")
        self._on_line = False
        self._last_line = self._clock()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
