"""Commands that change runs: ``run``, ``resume``, ``stop``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from workbench.cli import distributed, parallel, ray_executor
from workbench.cli import until_decided as until
from workbench.cli.ending import end_as, report_runs
from workbench.cli.metric_code import ALLOW_OPTION, load_allowed, settle_metric_code
from workbench.cli.options import (
    FORCE_OPTION,
    JSON_OPTION,
    RECIPES,
    RUN,
    RUNS_OPTION,
    SEEDS_OPTION,
    SET_OPTION,
    chosen_seeds,
)
from workbench.cli.output import note, print_answer
from workbench.cli.queue import put
from workbench.errors import RunRefused, UsageError
from workbench.formatting import plural
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.cli.progress import Progress
    from workbench.jobs import Job
    from workbench.recipe import Recipe
    from workbench.store import Run

INTERRUPTED = 128 + signal.SIGINT
MOST_THREADS = 1024
STOP_SECONDS = 8.0
"""With the time that ending by force takes, a stop is over in ten."""


def run(
    context: typer.Context,
    recipe: list[str] = RECIPES,
    seeds: str | None = SEEDS_OPTION,
    overrides: list[str] | None = SET_OPTION,
    runs: Path = RUNS_OPTION,
    force: bool = FORCE_OPTION,
    detach: bool = typer.Option(False, help="Start a background process and return."),
    queue: bool = typer.Option(False, "--queue", help="Add them to the queue and return."),
    until_decided: bool = until.UNTIL_OPTION,
    max_seeds: int | None = until.MAX_OPTION,
    at_once: str | None = parallel.PARALLEL_OPTION,
    threads: int | None = parallel.THREADS_OPTION,
    processes: int = typer.Option(1, min=1, help="Data-parallel processes per run."),
    shard: bool = distributed.SHARD_OPTION,
    zero: int = distributed.ZERO_OPTION,
    executor: str | None = ray_executor.EXECUTOR_OPTION,
    address: str = ray_executor.ADDRESS_OPTION,
    cpus: float = ray_executor.CPUS_OPTION,
    gpus: float | None = ray_executor.GPUS_OPTION,
    memory: float | None = ray_executor.MEMORY_OPTION,
    retries: int = ray_executor.RETRIES_OPTION,
    store: str | None = ray_executor.STORE_OPTION,
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Run recipes, once per seed; finished runs are skipped."""
    which: dict[str, Any] = {"seeds": chosen_seeds(seeds), "force": force}
    loaded = _loaded(recipe, overrides, allow)
    distributed.check_sharing(shard, zero, processes, queue)
    elsewhere = _elsewhere(queue, detach, executor, processes)
    until.check_request(until_decided, max_seeds, elsewhere | {"--force": force})
    wanted = parallel.check_request(at_once, elsewhere | {"--until-decided": until_decided})
    parallel.set_threads(threads, {"--queue": queue, "--executor": executor})
    if until_decided:
        finish = partial(_finish, loaded, runs)
        until.run_until_decided(loaded, runs, which["seeds"], max_seeds, as_json, finish)
    elif executor is not None:
        needs = {"cpus": cpus, "gpus": gpus, "memory_gb": memory, "retries": retries}
        report_runs(ray_executor.run(loaded, runs, address, needs, store, **which), as_json=as_json)
    elif queue:
        put(loaded, runs, processes=processes, as_json=as_json, worker=True, **which)
    elif detach:
        _detach(loaded, runs, as_json, processes=processes, shard=shard, zero=zero, **which)
    elif processes > 1 and not distributed.is_rank():
        _launch(context, _paths(loaded, runs, which["seeds"]), processes, shard=shard, zero=zero)
    else:
        ended = parallel.run(loaded, runs, wanted, **which) if at_once else None
        report_runs(*(ended or (run_here(loaded, runs, **which), None)), as_json=as_json)


def _loaded(names: list[str], overrides: list[str] | None, allow: list[str] | None) -> list[Recipe]:
    """The recipes, once it is clear that their end can be announced."""
    from workbench.jobs import check_webhook

    check_webhook()
    return load_allowed(names, overrides, allow)


def _elsewhere(
    queue: bool, detach: bool, executor: str | None, processes: int
) -> dict[str, object]:
    """What was given of the options by which runs are made elsewhere than in this process.

    Raises:
        UsageError: when two of them contradict each other.
    """
    if queue and (detach or executor):
        what = f"--queue with {'--detach' if detach else '--executor'}"
        raise UsageError(what, why="the queue runs in the background", fix="give one of them")
    if executor is not None:
        ray_executor.check(executor, detach, processes)
    given = {"--queue": queue, "--detach": detach, "--executor": executor}
    return {**given, "--processes": processes > 1}


def _detach(recipes: Sequence[Recipe], runs: Path, as_json: bool, **which: Any) -> None:
    from workbench import jobs

    _started(jobs.start(recipes, runs, **which), as_json)


def _launch(
    context: typer.Context, paths: Sequence[Path], processes: int, *, shard: bool, zero: int
) -> NoReturn:
    raise typer.Exit(distributed.launch(context.obj, processes, paths, shard=shard, zero=zero))


def _paths(recipes: Sequence[Recipe], runs: Path, seeds: Sequence[int] | None) -> list[Path]:
    from workbench.store import run_path

    return [run_path(runs, each, seed) for each in recipes for seed in seeds or each.seeds]


def _finish(recipes: Sequence[Recipe], runs_dir: Path, seeds: Sequence[int]) -> None:
    """Runs what has not finished, or ends the command."""
    end_as(run_here(recipes, runs_dir, seeds, force=False))


def run_here(
    recipes: Sequence[Recipe], runs_dir: Path, seeds: Sequence[int] | None, force: bool
) -> list[Run]:
    from workbench.jobs import end_with_launcher
    from workbench.store.turns import turns_of_this_run

    end_with_launcher()
    turns_of_this_run()  # before the libraries are loaded, which takes seconds of a core
    with loading_libraries():
        from workbench.pipeline.runner import run_all

    plan = [f"{each.study}/{each.name}" for each in recipes for _ in seeds or each.seeds]
    with _watched(plan) as observer:
        return run_all(recipes, seeds=seeds, runs_dir=runs_dir, force=force, observer=observer)


def resume(
    context: typer.Context,
    name: str = RUN,
    runs: Path = RUNS_OPTION,
    force: bool = typer.Option(
        False, help="Resume even if recipe, data, devices or libraries have changed."
    ),
    detach: bool = typer.Option(False, help="Resume in a background process and return."),
    processes: int | None = typer.Option(
        None, min=1, help="Data-parallel processes; as many as before by default."
    ),
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Resume a stopped, failed or interrupted run.

    It continues exactly from its last checkpoint.
    """
    from workbench.jobs import check_webhook
    from workbench.recipe import stored_recipe
    from workbench.store import ACTIVE, find_run

    check_webhook()
    found = find_run(name, runs)
    if found.state in ACTIVE or found.state in ("finished", "unreadable"):
        fix = "resume a stopped, failed or interrupted run; `workbench runs` lists them"
        raise RunRefused(f"this run is {found.state}", where=found.id, fix=fix)
    recipe = stored_recipe(found.recipe_text(), str(found.path / "recipe.yaml"))
    settle_metric_code([recipe], allow)
    parallel.set_threads(_threads_of(found))
    if detach:
        from workbench import jobs

        _started(jobs.resume(found, force=force, processes=processes), as_json)
        return
    together = processes or int(found.status.get("processes") or 1)
    if together > 1 and not distributed.is_worker():
        shard, zero = bool(found.status.get("sharded")), int(found.status.get("zero") or 0)
        paths = [found.path]
        _launch(context, paths, together, shard=shard, zero=zero)
    report_runs([_resume_here(found, recipe, force)], as_json=as_json)


def _threads_of(run: Run) -> int | None:
    """The threads that a run began with: sums over others are rounded otherwise."""
    threads = run.status.get("threads")
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def _resume_here(run: Run, recipe: Recipe, force: bool) -> Run:
    from workbench.jobs import end_with_launcher
    from workbench.store.turns import turns_of_this_run

    end_with_launcher()
    turns_of_this_run()  # before the libraries are loaded, which takes seconds of a core
    with loading_libraries():
        from workbench.pipeline.runner import run_recipe

    folder, seed = run.path.absolute(), int(run.status.get("seed", 0))
    root = folder.parent.parent
    with _watched() as observer:
        if observer is not None:
            observer("run", {"id": run.id, "index": 0, "of": 1})
        return run_recipe(
            recipe, seed, root, force=force, resume=True, folder=folder, observer=observer
        )


def stop(
    name: str = RUN,
    runs: Path = RUNS_OPTION,
    wait: bool = typer.Option(True, help="Wait until it has stopped."),
    wait_seconds: float = typer.Option(
        STOP_SECONDS, min=0, help="How long it may take to save before it is killed."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Ask a run to save and stop; kill it if it does not."""
    from workbench import jobs
    from workbench.store import find_run, read_run

    found = find_run(name, runs)
    if wait:
        stopped = jobs.stop(found, grace_seconds=wait_seconds / 2)
    else:
        jobs.request_stop(found)
        stopped = read_run(found.path)
    document = {"id": stopped.id, "path": str(stopped.path), "state": stopped.state}
    print_answer(as_json, document, [f"{stopped.id}: {stopped.state}"])
    if "by force" in stopped.reason:
        note(stopped.reason)


def _started(job: Job, as_json: bool) -> None:
    paths = [str(path) for path in job.runs]
    print_answer(as_json, {"job": str(job.folder), "runs": paths}, paths)
    note(f"{plural(len(paths), 'run')} started in the background; `workbench runs` shows them")


@contextlib.contextmanager
def _watched(plan: Sequence[str] = ()) -> Iterator[Progress | None]:
    """The observer that shows progress; a second Ctrl-C ends with one line and no traceback."""
    from workbench.cli.progress import Progress

    observer = Progress(plan=plan) if distributed.is_main() else None
    try:
        yield observer
    except KeyboardInterrupt:
        note("\ninterrupted; `workbench resume RUN` continues from the last checkpoint")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if observer is not None:
            observer.close()
