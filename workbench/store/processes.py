"""Which process a record means: a pid is reused, and a wall clock can be set."""

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

PROC = Path("/proc")
SLACK_SECONDS = 1.0
"""How far two readings of one process's start may lie apart: they are rounded to clock ticks."""


def process_start_time(pid: int) -> float | None:
    """Seconds since the epoch, or None when there is no such process. For people: where the wall
    clock is set, this moves with it; ``describe_process`` does not."""
    try:
        process = psutil.Process(pid)
        # A zombie has ended; only its parent has not looked yet.
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else float(process.create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        return None


def describe_process(pid: int) -> dict[str, Any]:
    """What is written down about a process so that ``find_process`` knows it again."""
    return {
        "pid": pid,
        "process_started_at": process_start_time(pid),
        "process_identity": _identity(pid),
    }


def is_alive(record: Mapping[str, Any]) -> bool:
    """True while the process of a record exists; a reused pid or a zombie does not count."""
    pid, started = record.get("pid"), record.get("process_started_at")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    identity = record.get("process_identity")
    if isinstance(identity, str) and identity:
        return _identity(pid) == identity
    actual = process_start_time(pid) if isinstance(started, int | float) else None
    return actual is not None and abs(actual - float(started or 0.0)) < SLACK_SECONDS


def find_process(record: Mapping[str, Any]) -> psutil.Process | None:
    """The process of a record, or None when it has ended; psutil knows it from its successors."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(record["pid"]) if is_alive(record) else None
        # Its pid may have been reused between the two looks.
        return process if is_alive(record) else None
    return None


def is_of_another_boot(record: Mapping[str, Any]) -> bool:
    """True when a record was written before this machine was last started."""
    identity, boot = record.get("process_identity"), _boot()
    return isinstance(identity, str) and bool(boot) and not identity.startswith(f"{boot}:")


@cache
def _boot() -> str:
    """This start of the machine's kernel; empty where the system does not name it."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _identity(pid: int) -> str | None:
    """Kernel start and the process's start in clock ticks after it: no clock can change them. None
    when there is no such process, and where ``/proc`` does not tell."""
    try:
        # The second field is the program's name in brackets and may hold anything.
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if not _boot() or len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return f"{_boot()}:{int(fields[19])}"


def launcher_of_this_process() -> int | None:
    """Pid of the program that started this one of several processes of a run, if one did: ours
    names itself; torchrun and ``accelerate launch`` are the parent."""
    named = os.environ.get("WORKBENCH_LAUNCHER", "")
    if named.isdigit():
        return int(named)
    return os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
