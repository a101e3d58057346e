"""What a run has logged so far, read on from where the last look ended.

A page looks every two seconds at a file that may have 100,000 rows, so each row is read once, and
of a long run neighbouring steps are kept as their mean.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.analysis.records import finite
from workbench.store import Run, open_regular

MOST_STEPS = 4000
"""Steps kept of a run; a chart draws 800 points."""
MOST_RUNS = 16
EDGE = 64
"""Bytes before the offset that must be the same, or the file is another one."""
MEANS = ("loss", "learning_rate", "seconds", "tokens")

Row = dict[str, Any]


@dataclass(kw_only=True)
class History:
    """The rows of one run, steps thinned, everything else as it was logged."""

    offset: int = 0
    edge: bytes = b""
    steps: list[Row] = field(default_factory=list)
    width: int = 1
    """How many steps each kept row stands for."""
    pending: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """All rows: thinned steps, then validations, warnings and the like."""
        return [*self.steps, *(_mean(self.pending) if self.pending else []), *self.others]

    def add(self, row: Row) -> None:
        if row.get("kind") != "step" or not finite(row.get("step")):
            self.others.append(row)
            return
        self.pending.append(row)
        if len(self.pending) == self.width:
            self.steps += _mean(self.pending)
            self.pending = []
        if len(self.steps) >= 2 * MOST_STEPS:
            pairs = zip(self.steps[::2], self.steps[1::2], strict=True)
            self.steps = [row for pair in pairs for row in _mean(list(pair))]
            self.width *= 2


class Histories:
    """The histories of the runs that were looked at last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, History] = OrderedDict()

    def of(self, run: Run) -> list[Row]:
        """All rows of a run, after reading what has been added since."""
        with self._lock:
            history, file = self._known.pop(run.path, None), run.path / "events.jsonl"
            if history is None or _edge(file, history.offset) != history.edge:
                history = History()  # a resumed run has cut off what it repeats
            rows, offset = run.events(history.offset)
            for row in rows:
                history.add(row)
            if offset != history.offset:
                history.offset = offset
                history.edge = _edge(file, offset)
            self._known[run.path] = history
            while len(self._known) > MOST_RUNS:
                self._known.popitem(last=False)
            return history.rows()


@st.cache_resource(show_spinner=False)
def histories() -> Histories:
    """The one memory of this server, for all who look."""
    return Histories()


def _mean(rows: list[Row]) -> list[Row]:
    """Some neighbouring steps as one row: the last of them with the means of its numbers."""
    if len(rows) == 1:
        return rows
    joined = dict(rows[-1])
    for key in MEANS:
        values = [row[key] for row in rows if finite(row.get(key))]
        if values:
            joined[key] = sum(values) / len(values)
    return [joined]


def _edge(file: Path, offset: int) -> bytes:
    start = max(0, offset - EDGE)
    try:
        with open_regular(file) as opened:
            opened.seek(start)
            return opened.read(offset - start)
    except OSError:
        return b""
