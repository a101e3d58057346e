"""log.txt: what happened to a run and when, between what it printed."""

import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.redact import without_secrets

LOG = "log.txt"
_QUIET = ("step", "memory")
"""Kinds of events with too many rows, or nothing to read, for a line each."""


def say(run: Path, text: str) -> None:
    """Appends a line with the time to the log of a run. A full disk costs the line: the run meets
    it where it can say so."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {without_secrets(text.rstrip())}\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError), os.fdopen(os.open(run / LOG, flags, 0o666), "ab", 0) as file:
        file.write(line.encode("utf-8", "replace"))


def say_event(run: Path, kind: str, fields: Mapping[str, Any]) -> None:
    """The same of an event, unless there is nothing to read in it."""
    if kind not in _QUIET:
        say(run, event_line({"kind": kind, **fields}))


def event_line(event: Mapping[str, Any]) -> str:
    """A row of events.jsonl, which anybody may have written, in words."""
    step, kind = _number(event, "step"), str(event.get("kind"))
    place = "" if step is None else f"step {step:.0f}: "
    if kind == "step":
        loss = _number(event, "loss")
        return place + ("no loss" if loss is None else f"loss {loss:.4f}")
    if kind == "phase":
        return f"phase: {event.get('phase')}"
    if kind == "checkpoint":
        return f"{place}checkpoint of {_OF.get(str(event.get('of')), 'the training')}"
    if kind == "resumed":
        return f"resumed after step {step or 0:.0f}"
    if kind == "forced":
        return f"resumed by force; changed: {event.get('changed')}"
    if kind == "micro_batch":
        tried, size = event.get("tried"), event.get("size")
        return f"{place}memory ran out with {tried} examples at once; trying {size}"
    scores = event.get("metrics")
    scores = scores if isinstance(scores, dict) else {}
    words = [
        f"{name} {value:.4f}" for name in scores if (value := _number(scores, name)) is not None
    ]
    words += [str(event["message"])] if "message" in event else []
    best = " (best so far)" if event.get("best") is True else ""
    return f"{place}{kind} {', '.join(words)}{best}".rstrip()


_OF = {"best": "the best state so far", "step": "the training, to resume from"}


def _number(of: Mapping[str, Any], key: str) -> float | None:
    value = of.get(key)
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None
