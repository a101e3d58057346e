"""``workbench queue``: the queue of runs and its workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.metric_code import ALLOW_OPTION, load_allowed
from workbench.cli.options import (
    FORCE_OPTION,
    JSON_OPTION,
    RECIPES,
    RUNS_OPTION,
    SEEDS_OPTION,
    SET_OPTION,
    chosen_seeds,
)
from workbench.cli.output import echo, note, print_answer, print_json, print_table
from workbench.errors import UsageError
from workbench.formatting import plural

if TYPE_CHECKING:
    from workbench.jobs import WorkerRecord
    from workbench.recipe import Recipe
    from workbench.store import Entry, Queue

queue_app = typer.Typer(
    help="Queue of runs and the worker that executes them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
RUN = typer.Argument(metavar="RUN", help="Number in the list, id or folder name of a run.")


@queue_app.callback()
def list_queue(
    context: typer.Context, runs: Path = RUNS_OPTION, as_json: bool = JSON_OPTION
) -> None:
    """List queued and started runs, and the workers."""
    if context.invoked_subcommand is None:
        _print(runs, as_json)


@queue_app.command("add")
def add(
    recipe: list[str] = RECIPES,
    seeds: str | None = SEEDS_OPTION,
    overrides: list[str] | None = SET_OPTION,
    runs: Path = RUNS_OPTION,
    force: bool = FORCE_OPTION,
    processes: int = typer.Option(1, min=1, help="Data-parallel processes per run."),
    devices: str | None = typer.Option(None, help="Devices the run requires, e.g. 0,1 or cpu."),
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Add runs at the end of the queue, one per recipe and seed."""
    loaded = load_allowed(recipe, overrides, allow)
    put(loaded, runs, chosen_seeds(seeds), force, processes, devices, as_json=as_json)


def put(
    recipes: list[Recipe],
    runs: Path,
    seeds: list[int] | None,
    force: bool,
    processes: int,
    devices: str | None = None,
    *,
    as_json: bool,
    worker: bool = False,
) -> None:
    """Adds runs, starts a worker if asked to, and prints the result."""
    from workbench import jobs

    added, finished = jobs.enqueue(
        recipes, runs, seeds=seeds, force=force, processes=processes, devices=devices
    )
    if worker and added:
        jobs.ensure_worker(runs)
    ids = [entry.id for entry in added]
    print_answer(as_json, {"queued": ids, "finished": [run.id for run in finished]}, ids)
    if finished:
        note(f"{plural(len(finished), 'run')} skipped: finished already, --force reruns them")
    there = worker or _workers(runs)
    hint = "`workbench queue` lists them" if there else "`workbench queue start` executes them"
    note(f"{plural(len(added), 'run')} added; {hint}")


@queue_app.command("cancel")
def cancel(
    name: str | None = typer.Argument(None, metavar="RUN", help=RUN.help),
    every: bool = typer.Option(False, "--all", help="All runs that wait."),
    runs: Path = RUNS_OPTION,
) -> None:
    """Remove a queued run, or all. `workbench stop` stops a started one."""
    from workbench.errors import RunRefused

    queue = _queue(runs)
    if every == (name is not None):
        raise UsageError("give one run or --all", fix="`workbench queue` numbers its runs")
    if name is None:
        removed = queue.clear()
        echo(f"{plural(len(removed), 'run')} removed")
        return
    with queue.changing():
        entry = queue.named(name)
        if entry.job:
            fix = f"`workbench stop {entry.id}` stops and removes it"
            raise RunRefused("this run has been started", where=entry.id, fix=fix)
        queue.remove(entry)
    echo(f"{entry.id}: removed")


@queue_app.command("move")
def move(
    name: str = RUN,
    first: bool = typer.Option(False, "--first", help="To the front."),
    last: bool = typer.Option(False, "--last", help="To the end."),
    before: str | None = typer.Option(None, metavar="RUN", help="Before another run."),
    runs: Path = RUNS_OPTION,
) -> None:
    """Move a queued run to another position."""
    if first + last + (before is not None) != 1:
        raise UsageError("give exactly one position", fix="--first, --last or --before RUN")
    queue = _queue(runs)
    with queue.changing():
        target = queue.named(before) if before is not None else None
        queue.move(queue.named(name), target or ("first" if first else "last"))
    _print(runs, as_json=False)


@queue_app.command("start")
def start(
    devices: list[str] | None = typer.Option(
        None, help="Devices for one run at a time, e.g. 0 or 0,1 or cpu. Repeatable."
    ),
    foreground: bool = typer.Option(False, help="Work in this process instead of a new one."),
    runs: Path = RUNS_OPTION,
) -> None:
    """Start a worker. It executes queued runs, one per set of devices, until none is left."""
    from workbench import jobs

    slots = list(devices or ())
    if foreground:
        jobs.work(runs, slots, note)
        return
    worker = jobs.start_worker(runs, slots)
    if worker is None:
        note("no queued run fits these devices")
    else:
        note(f"process {worker.pid} works on the queue; `workbench queue stop` ends it")


@queue_app.command("stop")
def stop(
    now: bool = typer.Option(False, help="Stop the started runs too; they are queued again."),
    runs: Path = RUNS_OPTION,
) -> None:
    """Ask the workers to stop after their current runs. Queued runs stay."""
    from workbench import jobs

    for worker in jobs.stop_workers(runs, now=now):
        when = "and its runs stop now" if now else "stops after its current runs"
        echo(f"process {worker.pid} on {worker.host} {when}")


def _print(runs: Path, as_json: bool) -> None:
    entries, workers = _queue(runs).list(), _workers(runs)
    rows = [_row(number, entry) for number, entry in enumerate(entries, 1)]
    if as_json:
        shown = {"pid", "host", "slots"}
        known = [w.model_dump(include=shown) | {"stopping": w.stopping} for w in workers]
        print_json({"queue": rows, "workers": known})
        return
    if entries:
        keys = ("number", "id", "state", "devices", "processes")
        cells = [[row[key] for key in keys] for row in rows]
        print_table(("", "run", *keys[2:]), cells)
    waiting = sum(not entry.job for entry in entries)
    said = []
    for worker in workers:
        state = "stops after its current runs" if worker.stopping else "works"
        where = f"{worker.host} {state} (devices {' '.join(worker.slots)})"
        said.append(f"process {worker.pid} on {where}")
    said = said or ["no worker; `workbench queue start`"]
    echo(f"{plural(waiting, 'run')} waiting; {'; '.join(said)}")


def _row(number: int, entry: Entry) -> dict[str, Any]:
    return {
        "number": number,
        "id": entry.id,
        "state": "started" if entry.job else "waiting",
        "processes": entry.processes,
        "devices": entry.slot or entry.devices,
        "added_at": entry.added_at,
    }


def _queue(runs: Path) -> Queue:
    from workbench.store import Queue

    return Queue(runs)


def _workers(runs: Path) -> list[WorkerRecord]:
    from workbench.jobs import list_workers

    return list_workers(_queue(runs))
