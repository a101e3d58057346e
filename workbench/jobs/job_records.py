"""What a job leaves on disk, and whether its process is still there."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from workbench.store import DEFAULT_RUNS_DIR, is_alive, open_regular, read_record

JOBS_DIR = ".jobs"
CLAIMS_DIR = "claims"


class Job(BaseModel, frozen=True):
    """One detached process and the run folders it will write, in order."""

    folder: Path
    record: dict[str, Any]
    """The content of job.json."""
    pid: int
    process_started_at: float
    runs: tuple[Path, ...]
    command: list[str]

    @property
    def alive(self) -> bool:
        """True while its process exists; a reused pid or a zombie does not count."""
        return is_alive(self.record)

    @property
    def pending(self) -> tuple[Path, ...]:
        """Runs of this job that have not started since it was started."""
        return tuple(path for path in self.runs if not written_since(path, self))

    def log_tail(self, max_bytes: int = 20_000) -> str:
        """The end of what the process printed; empty when there is nothing."""
        return tail(self.folder / "log.txt", max_bytes)


def read_job(folder: Path) -> Job | None:
    """The job in a folder, or None when it has not got that far or cannot be read."""
    record = read_record(folder / "job.json") or {}
    try:
        return Job(folder=folder, record=record, **record)
    except (ValidationError, TypeError):
        return None


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
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            chunk = file.read()
    except OSError:
        return ""
    if size > max_bytes:
        chunk = chunk.partition(b"\n")[2]
    return chunk.decode("utf-8", errors="replace")


def written_since(path: Path, job: Job) -> bool:
    """True once a job has opened the folder of a run."""
    return (read_record(path / "status.json") or {}).get("job") == job.folder.name
