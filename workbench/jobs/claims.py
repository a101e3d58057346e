"""Ten clicks, one run: who may start a run folder's process."""

from __future__ import annotations

import time
from pathlib import Path

from workbench.errors import RunRefused
from workbench.jobs.job_records import CLAIMS_DIR, JOBS_DIR, read_job, written_since
from workbench.store import ACTIVE, Run, read_run

STARTING_SECONDS = 10.0
"""How long a claim without a process behind it is believed: the time between the two writes."""


def claim_run(path: Path, root: Path, job_name: str) -> Path:
    """Takes a run for a job before its process exists.

    Claims of a run are numbered. Who finds the newest one spent creates the next number, which
    the file system grants to one of any number of starters at the same moment.
    """
    run = read_run(path, job=job_name)
    if run.state in ACTIVE:
        raise RunRefused(
            f"this run is {run.state} already", where=run.id, fix="watch it, or stop it first"
        )
    folder = root / JOBS_DIR / CLAIMS_DIR
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{path.parent.name}@{path.name}@"
    numbers = sorted(
        int(file.name.removeprefix(prefix))
        for file in folder.glob(f"{prefix}*")
        if file.name.removeprefix(prefix).isdigit()
    )
    newest = numbers[-1] if numbers else 0
    claim = folder / f"{prefix}{newest + 1}"
    if newest and _is_held(folder / f"{prefix}{newest}", path, root):
        raise _already_started(run)
    try:
        with open(claim, "x", encoding="utf-8") as file:
            file.write(job_name)
    except FileExistsError:
        raise _already_started(run) from None
    # The one before the newest stays, so that a slow starter cannot take its number again.
    for number in numbers[:-1]:
        (folder / f"{prefix}{number}").unlink(missing_ok=True)
    return claim


def _already_started(run: Run) -> RunRefused:
    return RunRefused(
        "this run has just been started by another job",
        where=run.id,
        why="one run folder has one writer",
        fix="watch that run; it appears within seconds",
    )


def _is_held(claim: Path, path: Path, root: Path) -> bool:
    try:
        # A claim from the future says that a clock was set, not that it is fresh.
        age = abs(time.time() - claim.stat().st_mtime)
        name = claim.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return False
    job = read_job(root / JOBS_DIR / name) if name else None
    if job is None:
        return age < STARTING_SECONDS
    if not job.alive:
        return False
    return not (written_since(path, job) and read_run(path).state not in ACTIVE)
