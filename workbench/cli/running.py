"""Commands that change runs: ``run``, ``resume``, ``stop``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import distributed, executing
from workbench.cli.output import (
    JSON_OPTION,
    RUNS_OPTION,
    SET_OPTION,
    note,
    print_json,
    print_table,
    scores,
)
from workbench.cli.recipes import RECIPES
from workbench.errors import RunRefused, UsageError
from workbench.formatting import plural
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.cli.progress import Progress
    from workbench.recipe import Recipe
    from workbench.store import Run

INTERRUPTED = 128 + signal.SIGINT
STOP_SECONDS = 8.0
"""With the time that ending by force takes, a stop is over in ten."""


def run(
    recipe: list[str] = RECIPES,
    seeds: str | None = typer.Option(None, help="Seeds instead of the recipe's, e.g. 0,1."),
    overrides: list[str] | None = SET_OPTION,
    runs: Path = RUNS_OPTION,
    force: bool = typer.Option(False, help="Run again what has finished; old folders are kept."),
    detach: bool = typer.Option(False, help="Start a background process and return."),
    queue: bool = typer.Option(False, "--queue", help="Put them in the queue and return."),
    processes: int = typer.Option(1, min=1, help="Processes that train together."),
    shard: bool = typer.Option(
        False, "--shard", help="Share weights and optimizer between the processes (FSDP2)."
    ),
    zero: int = typer.Option(
        0,
        min=0,
        max=2,
        help="Share the optimizer state (1), the gradients too (2), by DeepSpeed's ZeRO.",
    ),
    executor: str | None = executing.EXECUTOR_OPTION,
    address: str = executing.ADDRESS_OPTION,
    cpus: float = executing.CPUS_OPTION,
    gpus: float | None = executing.GPUS_OPTION,
    memory: float | None = executing.MEMORY_OPTION,
    retries: int = executing.RETRIES_OPTION,
    store: str | None = executing.STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Run recipes, each once per seed; what has finished with the same values is skipped."""
    from workbench.recipe import load_recipes

    chosen = chosen_seeds(seeds)
    loaded = load_recipes(recipe, overrides or ())
    distributed.check_sharing(shard, zero, processes, queue)
    if queue and (detach or executor):
        raise UsageError(
            f"--queue with {'--detach' if detach else '--executor'}",
            why="the queue runs on this machine, in the background",
            fix="give one of them",
        )
    if executor is not None:
        executing.check(executor, detach, processes)
        from workbench.executors.ray import Needs

        needs = Needs(cpus, gpus, memory, retries)
        ended = executing.run_on_ray(loaded, chosen, runs, address, needs, force, store)
        _report(ended, as_json)
        return
    if queue:
        from workbench.cli.queue import put

        put(loaded, runs, chosen, force, processes, as_json=as_json, worker=True)
        return
    if detach:
        _start(loaded, runs, chosen, force, processes, shard, zero, as_json)
        return
    if processes > 1:
        from workbench.store import run_path

        paths = [run_path(runs, each, seed) for each in loaded for seed in chosen or each.seeds]
        command = _same_again(recipe, seeds, overrides, runs, force, as_json)
        raise typer.Exit(distributed.launch(command, processes, paths, shard=shard, zero=zero))
    from workbench.jobs import end_with_launcher

    end_with_launcher()
    with loading_libraries():
        from workbench.pipeline.runner import run_all

    plan = [f"{each.study}/{each.name}" for each in loaded for _ in chosen or each.seeds]
    with _watched(plan) as observer:
        finished = run_all(loaded, seeds=chosen, runs_dir=runs, force=force, observer=observer)
    _report(finished, as_json)


def _same_again(
    recipe: list[str],
    seeds: str | None,
    overrides: list[str] | None,
    runs: Path,
    force: bool,
    as_json: bool,
) -> list[str]:
    """The arguments by which each of several processes does the same."""
    options = [o for value in overrides or () for o in ("--set", value)]
    options += ["--runs", str(runs), *(["--seeds", seeds] if seeds else [])]
    options += [*(["--force"] if force else []), *(["--json"] if as_json else [])]
    return ["run", *options, "--", *recipe]


def resume(
    name: str = typer.Argument(metavar="RUN", help="Path, id or folder name of a run."),
    runs: Path = RUNS_OPTION,
    force: bool = typer.Option(
        False, help="Go on although recipe, data, devices or libraries have changed."
    ),
    detach: bool = typer.Option(False, help="Go on in a background process and return."),
    processes: int | None = typer.Option(
        None, min=1, help="Processes that train together; as many as before."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Go on with a run that was stopped, failed or interrupted, exactly where it was saved."""
    from workbench.recipe import stored_recipe
    from workbench.store import ACTIVE, find_run

    found = find_run(name, runs)
    if found.state in ACTIVE or found.state in ("finished", "unreadable"):
        fix = "resume a stopped, failed or interrupted run; `workbench runs` lists them"
        raise RunRefused(f"this run is {found.state}", where=found.id, fix=fix)
    if detach:
        from workbench import jobs

        job = jobs.resume(found, force=force, processes=processes)
        _started(job.runs, job.folder, as_json)
        return
    together = processes or int(found.status.get("processes") or 1)
    if together > 1 and not distributed.is_worker():
        options = [*(["--force"] if force else []), *(["--json"] if as_json else [])]
        command = ["resume", *options, "--runs", str(runs), "--", str(found.path)]
        shard, zero = bool(found.status.get("sharded")), int(found.status.get("zero") or 0)
        started = distributed.launch(command, together, [found.path], shard=shard, zero=zero)
        raise typer.Exit(started)
    recipe = stored_recipe(found.recipe_text(), str(found.path / "recipe.yaml"))
    from workbench.jobs import end_with_launcher

    end_with_launcher()
    with loading_libraries():
        from workbench.pipeline.runner import run_recipe

    folder, seed = found.path.absolute(), int(found.status.get("seed", 0))
    root = folder.parent.parent
    with _watched() as observer:
        if observer is not None:
            observer("run", {"id": found.id, "index": 0, "of": 1})
        done = run_recipe(
            recipe, seed, root, force=force, resume=True, folder=folder, observer=observer
        )
    _report([done], as_json)


def stop(
    name: str = typer.Argument(metavar="RUN", help="Path, id or folder name of a run."),
    runs: Path = RUNS_OPTION,
    wait: bool = typer.Option(True, help="Wait until it has saved; otherwise only ask."),
    wait_seconds: float = typer.Option(
        STOP_SECONDS, min=0, help="How long it may take to save before it is ended by force."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Ask a run to save and stop; end its processes if it does not."""
    from workbench import jobs
    from workbench.store import find_run, read_run

    found = find_run(name, runs)
    if wait:
        stopped = jobs.stop(found, grace_seconds=wait_seconds / 2)
    else:
        jobs.request_stop(found)
        stopped = read_run(found.path)
    if as_json:
        print_json({"id": stopped.id, "path": str(stopped.path), "state": stopped.state})
    else:
        typer.echo(f"{stopped.id}: {stopped.state}")
        if "by force" in stopped.reason:
            note(stopped.reason)


def chosen_seeds(text: str | None) -> list[int] | None:
    """The seeds that somebody typed, e.g. ``0,1``; None when nothing was typed.

    Raises:
        UsageError: when they are no seeds, or one is given twice.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) < 2**32 for part in parts):
        raise UsageError(
            f"--seeds {text}",
            why="seeds are whole numbers from 0 on, below 2**32",
            fix="e.g. --seeds 0,1,2",
        )
    numbers = [int(part) for part in parts]
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--seeds {text}", why="a seed is given twice", fix="name each once")
    return numbers


def _start(
    recipes: Sequence[Recipe],
    runs: Path,
    seeds: list[int] | None,
    force: bool,
    processes: int,
    shard: bool,
    zero: int,
    as_json: bool,
) -> None:
    from workbench import jobs

    sharing: dict[str, Any] = {"shard": shard, "zero": zero}
    job = jobs.start(recipes, runs, seeds=seeds, force=force, processes=processes, **sharing)
    _started(job.runs, job.folder, as_json)


def _started(paths: Sequence[Path], folder: Path, as_json: bool) -> None:
    if as_json:
        print_json({"job": str(folder), "runs": [str(path) for path in paths]})
        return
    for path in paths:
        typer.echo(str(path))
    note(f"{plural(len(paths), 'run')} started in the background; `workbench runs` shows them")


def _report(finished: Sequence[Run], as_json: bool) -> None:
    """Prints what became of the runs and ends with the exit code that says it.

    2 when what was asked for cannot be run (its recipe, model or data), 1 when something else
    failed; as shells expect, 143 after SIGTERM and 130 after Ctrl-C or a request to stop.
    """
    if distributed.is_main():
        if as_json:
            print_json({"runs": [_document(each) for each in finished]})
        else:
            rows = [
                (each.id, each.state, scores(_tested(each)) or each.reason, each.path)
                for each in finished
            ]
            print_table(("run", "state", "test", "folder"), rows)
    states = {each.state for each in finished}
    if "failed" in states or "unreadable" in states:
        codes = {each.status.get("exit_code") for each in finished if each.state == "failed"}
        raise typer.Exit(2 if codes == {2} and "unreadable" not in states else 1)
    if states & {"interrupted", "stopped", "stopping"}:
        numbers = [each.status.get("signal") for each in finished]
        raise typer.Exit(128 + next((n for n in numbers if isinstance(n, int)), signal.SIGINT))


def _tested(run: Run) -> Any:
    metrics = run.result.get("metrics")
    return metrics.get("test") if isinstance(metrics, dict) else None


def _document(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "path": str(run.path),
        "state": run.state,
        "reason": run.reason,
        "metrics": run.result.get("metrics"),
    }


@contextlib.contextmanager
def _watched(plan: Sequence[str] = ()) -> Iterator[Progress | None]:
    """The observer that shows progress; a second Ctrl-C ends with one line and no traceback."""
    from workbench.cli.progress import Progress

    observer = Progress(plan=plan) if distributed.is_main() else None
    try:
        yield observer
    except KeyboardInterrupt:
        note("\ninterrupted; `workbench resume RUN` goes on from the last saved state")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if observer is not None:
            observer.close()
