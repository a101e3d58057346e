"""File systems in memory that are small enough to be filled, and what fills them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A file system of its own, e.g. with ``size=64k,nr_inodes=20``, where one may be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_bytes(ballast: Path) -> None:
    """Leaves no block for anything else."""
    ballast.mkdir()
    with open(ballast / "all", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**16))
        except OSError:
            pass


def fill_inodes(ballast: Path) -> None:
    """Leaves no inode for anything else, and nearly all bytes."""
    ballast.mkdir()
    try:
        for number in range(2**16):
            (ballast / str(number)).touch()
    except OSError:
        pass
