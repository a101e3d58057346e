"""Peak resident memory of this process, read the same way for both sides of a comparison."""

from __future__ import annotations

from pathlib import Path


def reset_peak() -> int:
    """Resets the kernel's high-water mark (Linux) and returns the resident bytes now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_bytes() -> int:
    """The high-water mark of resident memory since the last reset, in bytes."""
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}: this benchmark needs Linux")
