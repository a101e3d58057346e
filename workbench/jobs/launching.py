"""Starting a detached process. Its output goes to a file, never to a pipe: a full pipe that
nobody reads stops a training."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import workbench
from workbench.errors import RunRefused, UsageError
from workbench.jobs.claims import claim_run
from workbench.jobs.records import JOBS_DIR, Job
from workbench.recipe import Recipe, dump_recipe
from workbench.store import (
    ACTIVE,
    DEFAULT_RUNS_DIR,
    Run,
    process_start_time,
    run_path,
    write_json,
    write_text,
)


def start(
    recipes: Sequence[Recipe],
    runs_dir: Path | str = DEFAULT_RUNS_DIR,
    *,
    seeds: Sequence[int] | None = None,
    force: bool = False,
    processes: int = 1,
) -> Job:
    """Starts the runs of some recipes in a process of their own and returns at once.

    Args:
        recipes: what to run, one after the other.
        runs_dir: where the run folders go.
        seeds: one run of each recipe per seed; None for the recipes' own seeds.
        force: run again what has finished already (the old folders are kept aside).
        processes: data-parallel processes per run.

    Raises:
        RunRefused: when one of the runs is active, or about to be started by another job.
        UsageError: when there is nothing to run.
    """
    if not recipes or (seeds is not None and not seeds) or processes < 1:
        raise UsageError("nothing to start", fix="give at least one recipe, seed and process")
    root = Path(runs_dir).absolute()
    runs = [run_path(root, r, s) for r in recipes for s in (seeds or r.seeds)]
    folder = _new_folder(root)
    files = []
    for recipe in recipes:
        file = folder / recipe.study / f"{recipe.name}.yaml"
        file.parent.mkdir(exist_ok=True)
        write_text(file, dump_recipe(recipe))
        files.append(str(file))
    options = ["--runs", str(root)]
    if seeds is not None:
        options += ["--seeds", ",".join(map(str, seeds))]
    if force:
        options.append("--force")
    if processes > 1:
        options += ["--processes", str(processes)]
    return _launch(["run", *files, *options], folder, root, runs)


def resume(run: Run) -> Job:
    """Goes on with a stopped, failed or interrupted run, in a process of its own.

    Raises:
        RunRefused: when the run is active, has finished or cannot be read.
    """
    if run.state in ACTIVE or run.state in ("finished", "unreadable"):
        raise RunRefused(
            f"a run that is {run.state} cannot be resumed",
            where=run.id,
            fix="resume a stopped, failed or interrupted run",
        )
    path = run.path.absolute()
    root = path.parent.parent
    return _launch(["resume", str(path), "--runs", str(root)], _new_folder(root), root, [path])


def _launch(arguments: list[str], folder: Path, root: Path, runs: list[Path]) -> Job:
    claims: list[Path] = []
    try:
        for path in runs:
            claims.append(claim_run(path, root, folder.name))
        command = [sys.executable, "-m", "workbench", *arguments]
        with open(folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(),
            )
    except BaseException:
        for claim in claims:
            claim.unlink(missing_ok=True)
        _discard(folder)
        raise
    # Somebody has to wait for a child, or it stays behind as a zombie that looks alive.
    threading.Thread(target=process.wait, name=f"job-{process.pid}", daemon=True).start()
    started = process_start_time(process.pid) or time.time()
    job = Job(folder, process.pid, started, tuple(runs), tuple(command))
    write_json(
        folder / "job.json",
        {
            "pid": job.pid,
            "process_started_at": job.process_started_at,
            "command": list(job.command),
            "runs": [str(path) for path in job.runs],
        },
    )
    return job


def child_environment() -> dict[str, str]:
    """This process's environment, in which ``-m workbench`` means this very package."""
    environment = dict(os.environ)
    home = str(Path(workbench.__path__[0]).resolve().parent)
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join([home, *filter(None, known)])
    return environment


def _new_folder(root: Path) -> Path:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    folder = root / JOBS_DIR / name
    folder.mkdir(parents=True)
    return folder


def _discard(folder: Path) -> None:
    """Removes the folder of a job that never started, as far as it is the job's own."""
    for file in sorted(folder.rglob("*"), reverse=True):
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
    folder.rmdir()
