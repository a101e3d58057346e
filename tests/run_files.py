"""Two runs compared file by file, without what only clocks, process numbers and memory say."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

OF_A_PROCESS = {
    *("pid", "process_started_at", "process_identity", "launcher", "job"),
    *("started_at", "ended_at", "heartbeat_at", "uptime", "time", "seconds"),
    *("process_bytes", "available_bytes", "free_memory_bytes", "peak_bytes"),
    *("baseline_bytes", "activations_bytes", "peak_memory_bytes", "per_process", "phases"),
}
"""Fields of status.json, result.json and events.jsonl that no two processes have in common."""
TIMES = ("_seconds", "_per_second", "_share")
"""Ends of the names of other such fields."""
SAVES = ("checkpoint", "resumed", "phase", "memory", "damaged")
"""Rows of the log that say how often a run was saved and started."""
LOG = "log.txt"
"""For people: times of events, and what libraries printed, once for each process."""


def unlike(one: Path, other: Path, *, but: Collection[str] = ()) -> list[str]:
    """What differs between two folders of runs or exports, by file and field; empty if nothing.

    Args:
        but: fields, rows of the log, files or folders that may differ besides.
    """
    paths = [[p.relative_to(each) for p in each.rglob("*") if p.is_file()] for each in (one, other)]
    first, second = ({str(p) for p in each if not {LOG, *but} & {*p.parts}} for each in paths)
    found = [f"{name} is in one only" for name in sorted(first ^ second)]
    for name in sorted(first & second):
        contents = [(each / name).read_bytes() for each in (one, other)]
        if contents[0] == contents[1]:
            continue
        if (read := READERS.get(Path(name).name)) is None:
            found.append(name)
            continue
        fields = [dict(_fields(read(each, but), {*OF_A_PROCESS, *but})) for each in contents]
        keys = sorted({**fields[0], **fields[1]})
        # As texts, since a NaN is unlike itself.
        unequal = [key for key in keys if str(fields[0].get(key)) != str(fields[1].get(key))]
        found += [f"{name}: {key}" for key in unequal]
    return found


def _rows(content: bytes, but: Collection[str]) -> Any:
    rows = [json.loads(line) for line in content.splitlines()]
    return [row for row in rows if row["kind"] not in {*SAVES, *but}]


def _object(content: bytes, _but: Collection[str]) -> Any:
    return json.loads(content)


READERS: dict[str, Callable[[bytes, Collection[str]], Any]] = {
    "status.json": _object,
    "result.json": _object,
    "events.jsonl": _rows,
}


def _fields(value: Any, without: Collection[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value and its place, but for those of a process or a clock."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in without and not key.endswith(TIMES):
                yield from _fields(each, without, f"{place}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _fields(each, without, f"{place}.{number}")
    else:
        yield place, value
