"""Runs recipes: opens the record, walks the line, and closes the record whatever happened."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch

from workbench.data import load_data
from workbench.devices import this_process
from workbench.errors import WorkbenchError
from workbench.export import VanillaLoader
from workbench.line import Line, Observer, Stopped
from workbench.logs import keeping_log
from workbench.recipe import Recipe
from workbench.stopping import StopRequest, catching_signals
from workbench.store import (
    DEFAULT_RUNS_DIR,
    Run,
    RunWriter,
    SilentWriter,
    State,
    open_run,
    read_run,
    run_path,
)


def run_all(
    recipes: Sequence[Recipe],
    seeds: Sequence[int] | None = None,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    *,
    force: bool = False,
    observer: Observer | None = None,
) -> list[Run]:
    """Runs each recipe with each seed, one after the other.

    What has finished with the same recipe on the same data is skipped; after a failed run the
    next one is tried; a request to stop ends them all. With several processes a failure ends
    them all too, because the others would wait for the one that failed.
    """
    plan = [(recipe, seed) for recipe in recipes for seed in (seeds or recipe.seeds)]
    notify = observer or _ignore
    runs: list[Run] = []
    with VanillaLoader() as loader, catching_signals() as request:
        for index, (recipe, seed) in enumerate(plan):
            before = read_run(run_path(runs_dir, recipe, seed))
            stale = before.state == "finished" and _data_changed(recipe, before)
            if before.state == "finished" and not (force or stale):
                notify("skipped", {"id": before.id})
                runs.append(before)
                continue
            notify("run", {"id": before.id, "index": index, "of": len(plan)})
            if stale:
                message = "the data has changed since this run finished: it runs again"
                notify("warning", {"message": message})
            run = run_recipe(
                recipe,
                seed,
                runs_dir,
                force=force or stale,
                observer=observer,
                loader=loader,
                request=request,
            )
            notify(run.state, {"id": run.id, "reason": run.reason, **_headline(run)})
            runs.append(run)
            if run.state == "stopped" or request.signal_number is not None:
                break
    return runs


def _data_changed(recipe: Recipe, finished: Run) -> bool:
    """True when local data no longer holds the rows that a finished run was trained on."""
    if not Path(recipe.data.source).expanduser().exists():
        return False
    recorded = part.get("content_hash") if (part := finished.result.get("data")) else None
    return bool(recorded != load_data(recipe.data, recipe.task).content_hash)


def run_recipe(
    recipe: Recipe,
    seed: int,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    *,
    force: bool = False,
    resume: bool = False,
    observer: Observer | None = None,
    loader: VanillaLoader | None = None,
    request: StopRequest | None = None,
) -> Run:
    """Runs one recipe with one seed and returns its run, finished, stopped or failed.

    Under ``accelerate launch`` every process calls this; the first one writes.

    Raises:
        RunRefused: when the run is active elsewhere, or finished and not forced.
    """
    process = this_process()
    path = run_path(runs_dir, recipe, seed)
    writer: RunWriter | SilentWriter = (
        open_run(runs_dir, recipe, seed, force=force, resume=resume)
        if process.is_main_process
        else SilentWriter(path)
    )
    with ExitStack() as stack:
        if process.is_main_process:
            stack.enter_context(keeping_log(path / "log.txt"))
        asked = request or stack.enter_context(catching_signals())
        own_loader = loader or stack.enter_context(VanillaLoader())
        line = Line(recipe, seed, writer, observer or _ignore, own_loader, asked, resume)
        state: State = "interrupted"
        try:
            writer.finish(line.run())
            line.forget_progress()
            state = "finished"
        except Stopped:
            state = "stopped"
            writer.update(signal=asked.signal_number)
            writer.close("stopped", "stopped on request; `workbench resume` goes on from here")
        except Exception as error:
            state = "failed"
            writer.close("failed", _reason(error))
            _log(path, error)
            if process.num_processes > 1:
                # The other processes would wait for this one; the launcher has to end them all.
                raise
        except BaseException:  # a second Ctrl-C, or the interpreter is ending
            writer.update(signal=asked.signal_number)
            writer.close("interrupted", "ended at once; it goes on from its last validation")
            raise
        finally:
            line.release()
    # The other processes must not judge by files that the first one may still be writing.
    return read_run(path) if process.is_main_process else Run(path, state, "")


def _headline(run: Run) -> dict[str, Any]:
    return {"metrics": run.result.get("metrics", {}).get("test", {})}


def _ignore(_kind: str, _fields: dict[str, Any]) -> None:
    """The observer of nobody."""


def _log(run: Path, error: Exception) -> None:
    """Appends the traceback to the run's log; it stays out of the terminal."""
    with suppress(OSError), open(run / "log.txt", "a", encoding="utf-8") as file:
        file.writelines(traceback.format_exception(error))


def _reason(error: Exception) -> str:
    """Why a run failed, in words."""
    if isinstance(error, WorkbenchError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error):
        return (
            "out of memory\n  fix: lower training.micro_batch_size (the effective batch stays the "
            "same), model.max_length, or switch training.gradient_checkpointing on"
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full: {error}\n  fix: free space and run again"
    return f"{type(error).__name__}: {error}\n  the traceback is in log.txt of the run"
