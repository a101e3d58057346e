"""Starting a detached process. Its output goes to a file, never to a pipe: a full pipe that
nobody reads stops a training."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import workbench
from workbench.errors import RecipeError, RunRefused, UsageError
from workbench.jobs.claims import claim_run
from workbench.jobs.job_records import JOBS_DIR, Job
from workbench.recipe import Recipe, dump_recipe, stored_recipe
from workbench.store import (
    ACTIVE,
    BESIDE_VARIABLE,
    DEFAULT_RUNS_DIR,
    JOB_VARIABLE,
    Run,
    describe_process,
    run_path,
    write_json,
    write_text,
)
from workbench.store.allowed_metrics import check_allowed
from workbench.store.turns import TURNS_VARIABLE

ENDS_WITH_VARIABLE = "WORKBENCH_ENDS_WITH"
"""Environment variable with the process that started a job which is to end with it."""
OF_THIS_PROCESS = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("WORKBENCH_LAUNCHER", JOB_VARIABLE, BESIDE_VARIABLE, TURNS_VARIABLE),
    ENDS_WITH_VARIABLE,
)
"""What would make a new process take itself for one of several, or for a part of this job."""


def start(
    recipes: Sequence[Recipe],
    runs_dir: Path | str = DEFAULT_RUNS_DIR,
    *,
    seeds: Sequence[int] | None = None,
    force: bool = False,
    processes: int = 1,
    shard: bool = False,
    zero: int = 0,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Job:
    """Starts the runs of some recipes in a process of their own and returns at once.

    Args:
        seeds: one run of each recipe per seed; None for the recipes' own seeds.
        force: run again what has finished already (the old folders are kept).
        processes: data-parallel processes per run.
        shard: let them share the weights (FSDP2).
        zero: stage of DeepSpeed's ZeRO in which they share optimizer state; 0 for none.
        name: the job's name, from ``new_name``; None for a new one.
        environment: variables to set for it, e.g. ``CUDA_VISIBLE_DEVICES``.

    Raises:
        RunRefused: when one of the runs is active or queued, or about to be started by another job.
        UsageError: when there is nothing to run, or a metric of the Hub is not allowed to.
    """
    if not recipes or (seeds is not None and not seeds) or processes < 1:
        raise UsageError("nothing to start", fix="give at least one recipe, seed and process")
    check_allowed(recipes)
    root = Path(runs_dir).absolute()
    runs = [run_path(root, r, s) for r in recipes for s in (seeds or r.seeds)]
    folder = _new_folder(root, name)
    files = _written(recipes, folder)
    options = ["--runs", str(root)]
    if seeds is not None:
        options += ["--seeds", ",".join(map(str, seeds))]
    if force:
        options.append("--force")
    if processes > 1:
        options += ["--processes", str(processes), *(["--shard"] if shard else [])]
        options += ["--zero", str(zero)] if zero else []
    return _launch(["run", *files, *options], folder, root, runs, environment)


def start_search(
    recipes: Sequence[Recipe], trials: int, runs_dir: Path | str = DEFAULT_RUNS_DIR
) -> Job:
    """Starts ``workbench tune`` on some recipes in a process of its own and returns at once.

    Raises:
        UsageError: when a metric of the Hub is not allowed to run.
    """
    check_allowed(recipes)
    root = Path(runs_dir).absolute()
    folder = _new_folder(root, None)
    options = ["--trials", str(trials), "--runs", str(root)]
    return _launch(["tune", *_written(recipes, folder), *options], folder, root, [], None)


def _written(recipes: Sequence[Recipe], folder: Path) -> list[str]:
    """The files of a job's recipes."""
    files = []
    for recipe in recipes:
        file = folder / recipe.study / f"{recipe.name}.yaml"
        file.parent.mkdir(exist_ok=True)
        write_text(file, dump_recipe(recipe))
        files.append(str(file))
    return files


def resume(
    run: Run,
    *,
    force: bool = False,
    processes: int | None = None,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Job:
    """Resumes a stopped, failed or interrupted run, in a process of its own.

    Args:
        force: even if recipe, data, devices or libraries have changed.
        processes: how many train together; None for as many as before.

    Raises:
        RunRefused: when the run is active, has finished or cannot be read.
        UsageError: when a metric of the Hub is not allowed to run.
    """
    if run.state in ACTIVE or run.state in ("finished", "unreadable"):
        what = f"a run that is {run.state} cannot be resumed"
        raise RunRefused(what, where=run.id, fix="resume a stopped, failed or interrupted run")
    with suppress(RecipeError):  # the process that resumes says what is wrong with it
        check_allowed([stored_recipe(run.recipe_text(), str(run.path / "recipe.yaml"))])
    path = run.path.absolute()
    root = path.parent.parent
    arguments = ["resume", str(path), "--runs", str(root), *(["--force"] if force else [])]
    arguments += ["--processes", str(processes)] if processes is not None else []
    return _launch(arguments, _new_folder(root, name), root, [path], environment)


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a process that outlives this one: a session of its own, without any pipe."""
    inherited = {k: v for k, v in child_environment().items() if k not in OF_THIS_PROCESS}
    with open(log, "ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**inherited, **environment},
        )
    # Somebody has to wait for a child, or it stays behind as a zombie that looks alive.
    threading.Thread(target=process.wait, name=f"job-{process.pid}", daemon=True).start()
    return process


def _launch(
    arguments: list[str],
    folder: Path,
    root: Path,
    runs: list[Path],
    environment: Mapping[str, str] | None,
) -> Job:
    claims: list[Path] = []
    try:
        for path in runs:
            claims.append(claim_run(path, root, folder.name))
        command = [sys.executable, "-P", "-m", "workbench", *arguments]
        given = {**(environment or {}), JOB_VARIABLE: folder.name}
        supervisor = [sys.executable, "-P", "-m", "workbench.jobs.supervisor", str(folder)]
        process = spawn([*supervisor, *command], folder / "log.txt", given)
    except BaseException:
        for claim in claims:
            claim.unlink(missing_ok=True)
        shutil.rmtree(folder)
        raise
    record = {**describe_process(process.pid), "command": command, "runs": list(map(str, runs))}
    # A process that has ended already has no start; without one the job would not be found.
    record["process_started_at"] = record["process_started_at"] or time.time()
    write_json(folder / "job.json", record)
    return Job(folder=folder, record=record, **record)


def child_environment() -> dict[str, str]:
    """This process's environment, in which ``-m workbench`` means this very package."""
    environment = dict(os.environ)
    home = str(Path(workbench.__path__[0]).resolve().parent)
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join([home, *filter(None, known)])
    return environment


def command_of(pid: int) -> str:
    """What the entries of a command in the queue call it."""
    return f"{socket.gethostname()}:{pid}"


def new_name() -> str:
    """A unique job name: its time, so that jobs sort, and something random."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"


def _new_folder(root: Path, name: str | None) -> Path:
    folder = root / JOBS_DIR / (name or new_name())
    folder.mkdir(parents=True)
    return folder
