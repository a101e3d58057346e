"""Runs recipes: opens the record, walks the line, and closes the record whatever happened."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from workbench.devices import this_process
from workbench.errors import WorkbenchError
from workbench.export import VanillaLoader
from workbench.line import Line, Observer, Stopped
from workbench.logs import keeping_log
from workbench.recipe import Recipe
from workbench.stopping import catching_signals
from workbench.store import (
    DEFAULT_RUNS_DIR,
    Run,
    RunWriter,
    SilentWriter,
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

    What has finished with the same fingerprint is skipped; after a failed run the next one is
    tried; a request to stop ends them all.
    """
    plan = [(recipe, seed) for recipe in recipes for seed in (seeds or recipe.seeds)]
    runs = []
    with VanillaLoader() as loader:
        for index, (recipe, seed) in enumerate(plan):
            path = run_path(runs_dir, recipe, seed)
            notify = observer or _ignore
            if not force and path.is_dir() and read_run(path).state == "finished":
                notify("skipped", {"id": read_run(path).id})
                runs.append(read_run(path))
                continue
            notify("run", {"id": f"{recipe.study}/{path.name}", "index": index, "of": len(plan)})
            run = run_recipe(recipe, seed, runs_dir, force=force, observer=observer, loader=loader)
            notify(run.state, {"id": run.id, "reason": run.reason, **_headline(run)})
            runs.append(run)
            if run.state == "stopped":
                break
    return runs


def run_recipe(
    recipe: Recipe,
    seed: int,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    *,
    force: bool = False,
    resume: bool = False,
    observer: Observer | None = None,
    loader: VanillaLoader | None = None,
) -> Run:
    """Runs one recipe with one seed and returns its run, finished, stopped or failed.

    Under ``accelerate launch`` every process calls this; the first one writes.

    Raises:
        RunRefused: when the run is active elsewhere, or finished and not forced.
    """
    state = this_process()
    path = run_path(runs_dir, recipe, seed)
    writer: RunWriter | SilentWriter = (
        open_run(runs_dir, recipe, seed, force=force, resume=resume)
        if state.is_main_process
        else SilentWriter(path)
    )
    with ExitStack() as stack:
        if state.is_main_process:
            stack.enter_context(keeping_log(path / "log.txt"))
        request = stack.enter_context(catching_signals())
        own_loader = loader or stack.enter_context(VanillaLoader())
        line = Line(recipe, seed, writer, observer or _ignore, own_loader, request, resume)
        try:
            result = line.run()
            writer.finish(result)
        except Stopped:
            writer.update(signal=request.signal_number)
            writer.close("stopped", "stopped on request; `workbench resume` goes on from here")
        except Exception as error:
            traceback.print_exc(file=_LogOnly(path))
            writer.close("failed", _reason(error))
            if state.num_processes > 1:
                # The other processes would wait for this one; the launcher has to end them all.
                raise
        except BaseException:  # a second Ctrl-C, or the interpreter is ending
            writer.update(signal=request.signal_number)
            writer.close("interrupted", "ended at once; it goes on from its last validation")
            raise
        finally:
            line.release()
    return read_run(path)


def _headline(run: Run) -> dict[str, Any]:
    return {"metrics": run.result.get("metrics", {}).get("test", {})}


def _ignore(_kind: str, _fields: dict[str, Any]) -> None:
    """The observer of nobody."""


class _LogOnly:
    """A stream that appends to a run's log, so that tracebacks stay out of the terminal."""

    def __init__(self, run: Path) -> None:
        self._path = run / "log.txt"

    def write(self, text: str) -> int:
        with open(self._path, "a", encoding="utf-8") as file:
            return file.write(text)


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
