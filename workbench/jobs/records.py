"""What a job leaves on disk, and whether its process is still there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from workbench.store import DEFAULT_RUNS_DIR, read_json

JOBS_DIR = ".jobs"
CLAIMS_DIR = "claims"


@dataclass(frozen=True)
class Job:
    """One detached process and the run folders it will write, in order."""

    folder: Path
    pid: int
    process_started_at: float
    runs: tuple[Path, ...]
    command: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """True while its process exists; a reused pid or a zombie does not count."""
        return find_process(self.pid, self.process_started_at) is not None

    @property
    def pending(self) -> tuple[Path, ...]:
        """Runs of this job that have not started since it was started."""
        return tuple(path for path in self.runs if not written_since(path, self))

    def log_tail(self, max_bytes: int = 20_000) -> str:
        """The end of what the process printed; empty when there is nothing."""
        return tail(self.folder / "log.txt", max_bytes)


def read_job(folder: Path) -> Job | None:
    """The job in a folder, or None when it has not got that far or cannot be read."""
    record = read_json(folder / "job.json") or {}
    pid, started = record.get("pid"), record.get("process_started_at")
    runs, command = record.get("runs"), record.get("command")
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return None
    if not isinstance(runs, list) or not isinstance(command, list):
        return None
    return Job(folder, pid, float(started), tuple(map(Path, runs)), tuple(map(str, command)))


def list_jobs(runs_dir: Path | str = DEFAULT_RUNS_DIR, *, newest: int = 50) -> list[Job]:
    """The latest jobs of a runs folder, newest first."""
    try:
        folders = sorted((Path(runs_dir) / JOBS_DIR).iterdir(), reverse=True)
    except OSError:
        return []
    jobs = (read_job(folder) for folder in folders[: newest + 1] if folder.name != CLAIMS_DIR)
    return [job for job in jobs if job is not None][:newest]


def tail(path: Path, max_bytes: int = 20_000) -> str:
    """The end of a text file, from a line start on; empty when it is not there."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            chunk = file.read()
    except OSError:
        return ""
    if size > max_bytes:
        chunk = chunk.partition(b"\n")[2]
    return chunk.decode("utf-8", errors="replace")


def written_since(path: Path, job: Job) -> bool:
    started = (read_json(path / "status.json") or {}).get("started_at")
    # A second of slack: process start times are counted in clock ticks since boot.
    return isinstance(started, int | float) and started >= job.process_started_at - 1.0


def find_process(pid: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > 1.0:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        return None
