"""Why a run's process is gone, in words: from what it wrote, and from how it ended."""

import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from workbench.store.processes import is_of_another_boot

NEARLY_FULL = 0.1
"""With less than this share of the memory available, a kill is attributed to memory."""
CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Limit, use and kinds of a container's memory: cgroups of version 2 and version 1."""
OUT_OF_MEMORY_FIX = (
    "\n  fix: lower training.micro_batch_size (the effective batch stays the same) or "
    "model.max_length, or run less beside it; `workbench resume` continues"
)

ENDED_BY_FORCE = (
    "stopped by force, because it did not save in time; `workbench resume` continues from its last "
    "checkpoint"
)


def memory_now() -> dict[str, int]:
    """Bytes of this process's memory, and of its machine's or container's."""
    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for limits in _LIMITS:
        limit_file, used_file, kinds = (CGROUP / name for name in limits)
        limit, used = _number(limit_file), _number(used_file)
        if limit is not None and used is not None and limit < total:
            # Cached files count as used there, though they give way.
            cached = _entry(kinds, "inactive_file") or 0
            total, available = limit, min(available, limit - used + cached)
    return {
        "process_bytes": psutil.Process().memory_info().rss,
        "available_bytes": max(0, available),
        "total_bytes": total,
    }


def count_oom_kills() -> int | None:
    """How many processes the kernel has killed for lack of memory; None where it does not say."""
    counted = _entry(CGROUP / "memory.events", "oom_kill")
    return counted if counted is not None else _entry(Path("/proc/vmstat"), "oom_kill")


def exit_reason(status: Mapping[str, Any], silent: float) -> str:
    """Why a run whose process is gone is no longer running, from its last status alone.

    Args:
        silent: seconds since that was written.
    """
    if (host := status.get("host")) != socket.gethostname():
        set_back = "that can be right: a clock was set"
        since = f"for {_minutes(silent)}" if silent >= 0 else set_back
        return f"no heartbeat from {host} {since}: its process or that machine is gone"
    if is_of_another_boot(status):
        return "the machine was restarted while it ran; `workbench resume` continues"
    if memory := _memory_in_words(status):
        return f"killed by the system, probably for memory: {memory}{OUT_OF_MEMORY_FIX}"
    why = "killed from outside, crashed, or unable to write into this folder"
    return f"its process is gone without saying why: {why}"


def stall_reason(status: Mapping[str, Any], seconds: float) -> str:
    """What to say of a process that exists and has shown no sign of life for some time."""
    pid = status.get("pid")
    return f"no sign of life for {_minutes(seconds)}, though process {pid} exists: it may hang"


def kill_reason(
    code: int, status: Mapping[str, Any], oom_kills_before: int | None, printed: str = ""
) -> str:
    """Why a process ended that wrote no ending, told by the one who waited for it.

    Args:
        code: exit code, as of ``subprocess``: negative for a signal.
        oom_kills_before: ``count_oom_kills`` from when it was started.
        printed: where what it printed is kept.
    """
    number = -code if code < 0 else code - 128
    if number not in {int(each) for each in signal.Signals}:
        where = f"; what it printed is in {printed}" if printed else ""
        return f"its process ended with exit code {code} and no ending{where}"
    name = signal.Signals(number).name
    if number == getattr(signal, "SIGKILL", None):
        now = count_oom_kills()
        counted = now is not None and oom_kills_before is not None and now > oom_kills_before
        memory = _memory_in_words(status)
        if counted or memory:
            detail = memory or "the kernel has just ended a process for lack of memory"
            return f"killed by the system, likely out of memory: {detail}{OUT_OF_MEMORY_FIX}"
    return f"killed by {name} (signal {number}); `workbench resume` continues"


def _memory_in_words(status: Mapping[str, Any]) -> str:
    """How full the memory was at the last heartbeat; empty unless it was nearly full."""
    memory = status.get("memory")
    if not isinstance(memory, dict):
        return ""
    total, available = memory.get("total_bytes"), memory.get("available_bytes")
    if not isinstance(total, int) or not isinstance(available, int):
        return ""
    if total <= 0 or available >= NEARLY_FULL * total:
        return ""
    return f"{(total - available) / 1e9:.1f} of {total / 1e9:.1f} GB were in use at its last sign"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such limit, or the word "max"
        return None


def _entry(file: Path, key: str) -> int | None:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = (line.split() for line in lines if line.startswith(f"{key} "))
    return next((int(words[1]) for words in found if len(words) > 1 and words[1].isdigit()), None)
