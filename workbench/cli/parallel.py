"""``run --parallel``: the runs of a study at once, on the devices of this machine."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import distributed
from workbench.cli.output import note
from workbench.cli.parallel_progress import ParallelProgress
from workbench.errors import UsageError, WorkbenchError
from workbench.formatting import plural
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.executors.packing import Machine
    from workbench.jobs import Wanted
    from workbench.recipe import Recipe
    from workbench.store import Run

PARALLEL_OPTION = typer.Option(
    None,
    "--parallel",
    metavar="auto|N",
    help="Runs at once on this machine; auto: as many as GPUs, cores and memory take.",
)
THREADS_OPTION = typer.Option(
    None, "--threads", min=1, help="CPU threads per run; torch's default if left out."
)
AUTO = "auto"
Plans = dict[str, Mapping[str, Any]]


def check_request(parallel: str | None, others: Mapping[str, object]) -> int | None:
    """How many runs at once are asked for; None for ``auto`` or nothing.

    Raises:
        UsageError: when it is no number, or other options do not go with it.
    """
    if parallel is None:
        return None
    wrong = [name for name, given in others.items() if given]
    if wrong or distributed.is_worker():
        raise UsageError(
            f"--parallel with {' and '.join(wrong) or 'a launcher'}",
            why="each run is one process in the foreground, and these decide otherwise",
            fix="leave one of them out",
        )
    if parallel == AUTO:
        return None
    if not (parallel.isascii() and parallel.isdigit() and 1 <= int(parallel) <= 1024):
        raise UsageError(f"--parallel {parallel}", fix="auto, or a number of runs from 1 on")
    return int(parallel)


def set_threads(threads: int | None, others: Mapping[str, object] | None = None) -> None:
    """Has everything that this command starts compute with so many threads.

    Raises:
        UsageError: when another option starts runs where this one does not reach.
    """
    if threads is None:
        return
    for name in (name for name, given in (others or {}).items() if given):
        why = "the runs are started elsewhere, with the threads of that place"
        raise UsageError(f"--threads with {name}", why=why, fix="leave one of them out")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded, here and in runs
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def run(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    asked: int | None,
    *,
    seeds: Sequence[int] | None,
    force: bool,
) -> tuple[list[Run], int | None] | None:
    """Makes the runs, several at once; returns those that there are and the signal that ended it
    early. None where only one fits at a time, which `run_here` does with less to load."""
    with loading_libraries():
        from workbench import jobs
        from workbench.store import Queue, Run, read_run, run_path
        from workbench.store.disk import check_writable

    plan = [(recipe, seed) for recipe in recipes for seed in seeds or recipe.seeds]
    check_writable(runs_dir)
    try:
        wanted, remarks = _wanted(plan, runs_dir, force)
        machine = this_machine()
        several = len(wanted) > 1 and (machine.takes_several if asked is None else asked > 1)
        plans = _plans(wanted) if several else {}
        slots = _slots(wanted, asked, machine, plans) if wanted else []
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    wanted.sort(key=lambda each: -(_seconds(each, plans) or math.inf))  # the long ones first
    paths = {run_path(runs_dir, each.recipe, each.seed): each for each in wanted}
    waiting = {entry.id for entry in Queue(runs_dir).list()}  # of this command, killed before
    unfinished = any(f"{path.parent.name}/{path.name}" in waiting for path in paths)
    if (len(slots) < 2 or len(wanted) < 2) and not unfinished:
        return None
    for remark in remarks:
        note(remark)
    names = {path: f"{each.recipe.study}/{each.recipe.name}" for path, each in paths.items()}
    progress = ParallelProgress(names, at_once=len(slots))
    try:
        by_signal = jobs.run_at_once(
            wanted, runs_dir, slots, look=progress.look, warn=progress.line
        )
    finally:
        progress.close()
    every = dict.fromkeys(run_path(runs_dir, recipe, seed) for recipe, seed in plan)
    begun = [read_run(path) for path in every if path.exists()]
    left = [path for path in every if not path.exists()]
    return begun + [Run(path=path, state="stopped", reason="not begun") for path in left], by_signal


def _wanted(
    plan: Sequence[tuple[Recipe, int]], runs_dir: Path, force: bool
) -> tuple[list[Wanted], list[str]]:
    """The runs that have not finished, or were made from what has changed since; and remarks."""
    from workbench.jobs import Wanted
    from workbench.pipeline.runner import what_changed
    from workbench.pipeline.setup import StudyCache
    from workbench.store import read_run, run_path
    from workbench.store.leftovers import tidy

    found, remarks, cache = list[Wanted](), list[str](), StudyCache()
    once = {run_path(runs_dir, recipe, seed): (recipe, seed) for recipe, seed in plan}
    for path, (recipe, seed) in once.items():
        before = read_run(path)
        finished = before.state == "finished"
        stale = what_changed(recipe, before, cache) if finished else None
        if stale:
            remarks.append(f"{before.id}: warning: {stale}: it runs again")
        elif finished and not force:
            tidy([before])
            remarks.append(f"{before.id}: finished before, skipped")
            continue
        found.append(Wanted(recipe, seed, force=force or stale is not None))
    return found, remarks


def _slots(
    wanted: Sequence[Wanted], asked: int | None, machine: Machine, plans: Plans
) -> list[str]:
    """The slots to run on; says how many there are, and why."""
    from workbench.executors.packing import at_most_each, needed_bytes
    from workbench.jobs import WHOLE_MACHINE, shared_slots

    devices = machine.cards or (WHOLE_MACHINE,)
    total, why = (asked, "") if asked is not None else _fitting(wanted, machine, plans)
    total = min(total, max(1, len(wanted)))
    counts = [total // len(devices) + (n < total % len(devices)) for n in range(len(devices))]
    slots = [
        slot
        for device, count in zip(devices, counts, strict=True)
        for slot in (shared_slots(device, count) if count > 1 else [device] * count)
    ]
    said = f"{plural(total, 'run')} at once"
    if machine.cards:
        said += f" on {plural(len(machine.cards), 'GPU')}"
    else:
        said += f", {plural(machine.threads, 'thread')} each, on {plural(machine.cores, 'core')}"
        if machine.threads > 1 and (total * machine.threads > machine.cores or total == 1):
            why += "; with --threads 1 more of them fit (the number of threads may change the "
            why += "last digits of scores)"
    note(said + why)
    needed = [needed_bytes(plan) for plan in plans.values()]
    if max(counts) > (fitting := at_most_each(machine, needed)):
        note(f"WARNING: by their forecasts {fitting} of these runs fit into the free memory")
    return slots


def _fitting(wanted: Sequence[Wanted], machine: Machine, plans: Plans) -> tuple[int, str]:
    """How many runs at once the devices take, and why not more."""
    from workbench.executors.packing import at_once_each, needed_bytes, pays

    if not machine.takes_several:
        return 1, ": a run has as many threads as there are cores"
    each = at_once_each(machine, [needed_bytes(plan) for plan in plans.values()])
    total = each * max(1, len(machine.cards))
    seconds = [_seconds(each, plans) for each in wanted]
    if total > 1 and not pays(seconds, min(total, len(wanted))):
        return 1, ": they are so short that a process for each takes longer (--parallel N does it)"
    return total, ""


def this_machine() -> Machine:
    import psutil
    import torch

    from workbench.distributed.accelerator import free_memory
    from workbench.executors.packing import Machine
    from workbench.jobs import WHOLE_MACHINE, default_slots

    cards = [slot for slot in default_slots() if slot != WHOLE_MACHINE]
    if not torch.cuda.is_available():
        cards = []
    free = free_memory(torch.device("cpu"))
    if cards:
        free = min(free_memory(torch.device("cuda", n)) for n in range(len(cards)))
    cores = min(distributed.cores(), psutil.cpu_count(logical=False) or distributed.cores())
    return Machine(cards=cards, free_bytes=free, cores=cores, threads=torch.get_num_threads())


def _plans(wanted: Sequence[Wanted]) -> Plans:
    """The plan of each recipe by its fingerprint; one that cannot be planned says what is wrong
    with it when it runs."""
    from workbench.costs.plan import plan

    found: Plans = {}
    for recipe in {each.recipe.fingerprint: each.recipe for each in wanted}.values():
        with suppress(WorkbenchError):
            found[recipe.fingerprint] = plan(recipe)
        found.setdefault(recipe.fingerprint, {})
    return found


def _seconds(wanted: Wanted, plans: Plans) -> float | None:
    return plans.get(wanted.recipe.fingerprint, {}).get("train_seconds")
