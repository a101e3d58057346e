"""Adding runs to the queue; starting and stopping its workers."""

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import RunRefused, UsageError
from workbench.jobs.claims import refuse_active
from workbench.jobs.job_records import tail
from workbench.jobs.launch import spawn
from workbench.jobs.worker_records import WorkerRecord, as_slot, ask_to_stop, list_workers
from workbench.recipe import Recipe, dump_recipe
from workbench.store import (
    DEFAULT_RUNS_DIR,
    Entry,
    Queue,
    Run,
    describe_run,
    read_run,
    run_path,
)
from workbench.store.allowed_metrics import check_allowed

BEGIN_SECONDS = 30.0
"""How long a worker may take to begin; on a busy machine its imports take seconds."""


def enqueue(
    recipes: Sequence[Recipe],
    runs_dir: Path | str = DEFAULT_RUNS_DIR,
    *,
    seeds: Sequence[int] | None = None,
    force: bool = False,
    processes: int = 1,
    devices: str | None = None,
    command: str = "",
) -> tuple[list[Entry], list[Run]]:
    """Puts one run per recipe and seed at the end of the queue.

    Args:
        devices: the devices it has to have, e.g. ``0,1``; None for those of any slot. The other
            arguments are those of ``start``.
        command: the one that runs them, from ``command_of``.

    Returns what was added, and the runs that were not because they have finished.

    Raises:
        RunRefused: when one of the runs is active or in the queue; then none is added.
        UsageError: when there is nothing to run, the devices make no sense, or a metric of the Hub
            is not allowed to run.
    """
    queue = Queue(runs_dir)
    given: dict[str, Any] = {"force": force, "processes": processes, "command": command}
    given["devices"] = as_slot(devices) if devices is not None else None
    entries, finished = list[Entry](), list[Run]()
    if not recipes or (seeds is not None and not seeds) or processes < 1:
        raise UsageError("nothing to queue", fix="give at least one recipe, seed and process")
    check_allowed(recipes)
    for recipe, seed in ((r, s) for r in recipes for s in (seeds or r.seeds)):
        path = run_path(queue.root, recipe, seed)
        run = read_run(path)
        if run.state == "finished" and not force:
            finished.append(run)
            continue
        if run.status.get("pid"):
            refuse_active(run)
        given |= {"fields": describe_run(recipe, seed), "seed": seed}
        text = dump_recipe(recipe)
        entries.append(Entry(study=recipe.study, name=path.name, recipe=text, **given))
    queue.add(entries)
    return entries, finished


def start_worker(
    runs_dir: Path | str = DEFAULT_RUNS_DIR, slots: Sequence[str] = ()
) -> WorkerRecord | None:
    """Starts a worker in the background; returns it once it has begun.

    Args:
        slots: the devices, one run at a time on each; empty for one slot per GPU.

    Returns None when it had nothing to do and has ended already.

    Raises:
        RunRefused: when it could not begin, with what it said.
    """
    queue = Queue(runs_dir)
    queue.folder.mkdir(parents=True, exist_ok=True)
    log = queue.folder / "log.txt"
    size = log.stat().st_size if log.exists() else 0
    options = [o for slot in slots for o in ("--devices", as_slot(slot))]
    command = [sys.executable, "-P", "-m", "workbench", "queue", "start", "--foreground", *options]
    process = spawn([*command, "--runs", str(queue.root)], log, {})
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline and not process.poll():
        found = next((w for w in list_workers(queue) if w.pid == process.pid), None)
        if found is not None or process.poll() == 0:
            return found
        time.sleep(0.05)
    said = tail(log, max(1, log.stat().st_size - size)).strip()
    raise RunRefused("the queue's worker could not begin", where=str(log), why=said)


def ensure_worker(runs_dir: Path | str = DEFAULT_RUNS_DIR) -> WorkerRecord | None:
    """Starts a worker in the background unless this machine has one for the queue."""
    found = _here(Queue(runs_dir))
    if found:
        return found[0]
    try:
        return start_worker(runs_dir)
    except RunRefused:
        # Two may see at once that there is none; one of their workers holds the devices.
        if not (found := _here(Queue(runs_dir))):
            raise
        return found[0]


def stop_workers(
    runs_dir: Path | str = DEFAULT_RUNS_DIR, *, now: bool = False
) -> list[WorkerRecord]:
    """Asks all workers of a queue to stop after what is running, or now together with it.

    A run that is stopped with its worker is queued again; the next worker resumes it.

    Raises:
        RunRefused: when the queue has no worker.
    """
    queue = Queue(runs_dir)
    workers = list_workers(queue)
    if not workers:
        fix = "`workbench queue start` starts a worker"
        raise RunRefused("this queue has no worker", where=str(queue.folder), fix=fix)
    for worker in workers:
        ask_to_stop(worker, now=now)
    return workers


def _here(queue: Queue) -> list[WorkerRecord]:
    """The workers of this machine that still take what is added."""
    with queue.changing():
        workers = list_workers(queue)
    return [w for w in workers if w.host == socket.gethostname() and not w.stopping]
