"""Progress of runs: one live line on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from workbench.cli.output import scores
from workbench.cli.time_left import TimeLeft
from workbench.formatting import about, duration, printable

Observer = Callable[[str, dict[str, Any]], None]
SECONDS_BETWEEN_LINES = 5.0
CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Shows the events of runs on stderr. Call it with a kind and the fields of an event.

    Of several runs each leaves one line, so that their scores make a table, and what passes says
    how long all of them still take.

    Args:
        plan: ``study/recipe`` of each run of the command, in their order, where that is known.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        plan: Sequence[str] = (),
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._name = ""
        self._began = self._last_line = clock()
        self._on_line = False
        self._all = TimeLeft(plan) if len(plan) > 1 else None
        self._counted = self._id = ""
        self._left: float | None = None
        # Of the widest run folder: study/recipe-s0-01234567.
        self._width = max(map(len, plan), default=0) + len("-s0-01234567")

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
        self._id = str(fields.get("id", ""))
        self._name = f"{counted}{self._id}"
        self._began, self._left = self._clock(), None
        if self._all is not None and isinstance(index, int):
            self._all.begin(index)
            self._counted = f"run {index + 1} of {of}"
        elif not self._live:
            self._line(self._name)

    def _on_phase(self, fields: dict[str, Any]) -> None:
        if self._left is not None:
            self._left = 0.0  # its training is over
        self._passing(f"{fields.get('phase')} ...", always=self._all is None)

    def _on_progress(self, fields: dict[str, Any]) -> None:
        parts = [f"step {fields.get('step')}/{fields.get('steps')}"]
        for name, digits in (("epoch", 2), ("loss", 3)):
            if isinstance(fields.get(name), int | float):
                parts.append(f"{name} {fields[name]:.{digits}f}")
        if isinstance(fields.get("eta_seconds"), int | float):
            self._left = float(fields["eta_seconds"])
            parts.append(f"{duration(self._left)} left")
        self._passing("  ".join(parts))

    def _on_validation(self, fields: dict[str, Any]) -> None:
        best = "  (best so far)" if fields.get("best") else ""
        shown = f"validation at step {fields.get('step')}: {scores(fields.get('metrics'))}{best}"
        if self._all is None:
            self._line(f"{self._name}: {shown}")
        else:
            self._passing(shown)

    def _on_warning(self, fields: dict[str, Any]) -> None:
        self._line(f"{self._name}: warning: {fields.get('message')}")

    def _on_finished(self, fields: dict[str, Any]) -> None:
        metrics = fields.get("metrics")
        tested = metrics.get("test", metrics) if isinstance(metrics, dict) else metrics
        took = self._clock() - self._began
        if self._all is None:
            self._line(f"{self._name}: finished in {duration(took)}: {scores(tested)}")
        else:
            self._all.end(took)
            self._line(f"{self._id:<{self._width}}  {scores(tested)}  ({duration(took)})")

    def _on_skipped(self, fields: dict[str, Any]) -> None:
        self._line(f"{fields.get('id') or self._name}: finished before, skipped")

    def _on_stopped(self, fields: dict[str, Any]) -> None:
        self._line(f"{self._name}: {fields.get('reason') or 'stopped'}")

    def _on_failed(self, fields: dict[str, Any]) -> None:
        reason = fields.get("reason") or "see its log"
        self._line(f"{fields.get('id') or self._name}: failed: {reason}")

    def _passing(self, text: str, *, always: bool = False) -> None:
        """Text that the next one replaces; where nothing can be replaced, one every few seconds."""
        text = f"{self._name if self._all is None else self._id}: {text}"
        if self._all is not None:  # run 5 of 16, about 2 min left | ...
            left = self._all.seconds_left(self._clock() - self._began, self._left)
            of_all = f", {about(left)} left" if left is not None else ""
            text = f"{self._counted}{of_all} | {text}"
        self._show(text, always=always)

    def _show(self, text: str, *, always: bool = False) -> None:
        if self._live:
            self._write(f"{CLEAR_LINE}{printable(text)}")
            self._on_line = True
        elif always or self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(text)

    def _line(self, text: str) -> None:
        self._write(f"{CLEAR_LINE if self._on_line else ''}{printable(text)}\n")
        self._on_line = False
        self._last_line = self._clock()

    def _write(self, text: str) -> None:
        with suppress(OSError):  # as in `output.echo`: no run ends for it
            self._stream.write(text)
            self._stream.flush()
