"""Ten clicks, one run: who may start a run folder's process."""

from pathlib import Path

from workbench.errors import RunRefused
from workbench.jobs.job_records import CLAIMS_DIR, JOBS_DIR, read_job, written_since
from workbench.store import ACTIVE, Run, lock_of, read_run
from workbench.store.files import seconds_unchanged

STARTING_SECONDS = 10.0
"""How long a claim without a process behind it is believed: the time between the two writes."""


def claim_run(path: Path, root: Path, job_name: str) -> Path:
    """Takes a run for a job before its process exists; of many starters one gets it.

    Raises:
        RunRefused: when the run is active, or another job has just started it.
    """
    run = read_run(path, job=job_name)
    refuse_active(run)
    folder = root / JOBS_DIR / CLAIMS_DIR
    claim = folder / f"{path.parent.name}@{path.name}"
    with lock_of(folder / ".lock"):
        if _is_held(claim, path, root):
            raise RunRefused(
                "this run has just been started by another job",
                where=run.id,
                why="one run folder has one writer",
                fix="watch that run; it appears within seconds",
            )
        claim.write_text(job_name, encoding="utf-8")
    return claim


def refuse_active(run: Run) -> None:
    """Refuses to start a run a second time.

    Raises:
        RunRefused: when it is active.
    """
    if run.state in ACTIVE:
        what = f"this run is {run.state} already"
        raise RunRefused(what, where=run.id, fix="watch it, or stop it first")


def _is_held(claim: Path, path: Path, root: Path) -> bool:
    try:
        # A claim from the future says that a clock was set, not that it is fresh.
        age = abs(seconds_unchanged(claim))
        name = claim.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return False
    job = read_job(root / JOBS_DIR / name) if name else None
    if job is None:
        return age < STARTING_SECONDS
    if not job.alive:
        return False
    return not (written_since(path, job) and read_run(path).state not in ACTIVE)
