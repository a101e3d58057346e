"""Runs recipes: opens the record, runs the pipeline, and closes the record whatever happened."""

import traceback
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

from workbench.adapters.init_from import start_digest
from workbench.adapters.plain_load import PlainLoader
from workbench.distributed.accelerator import is_out_of_memory, this_process
from workbench.errors import FULL, RunRefused, StorageError, WorkbenchError
from workbench.models import local_fingerprint, policy_for
from workbench.pipeline import environment
from workbench.pipeline.log_file import tee_log
from workbench.pipeline.pipeline import Observer, Pipeline, Stopped, no_op_observer
from workbench.pipeline.resume_check import check_unchanged, conditions_known
from workbench.pipeline.setup import StudyCache
from workbench.pipeline.signals import StopRequest, handle_signals
from workbench.recipe import Recipe
from workbench.redact import without_secrets
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
from workbench.store.allowed_metrics import check_allowed
from workbench.store.disk import check_writable, explain, system_error
from workbench.store.leftovers import tidy
from workbench.tasks import TASKS
from workbench.training.trackers import check_trackers


def run_all(
    recipes: Sequence[Recipe],
    seeds: Sequence[int] | None = None,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    *,
    force: bool = False,
    observer: Observer | None = None,
) -> list[Run]:
    """Runs each recipe with each seed, one after the other.

    What has finished with the same recipe, data, base model and adapter to start from is skipped;
    after a failed run the next one is tried; a request to stop ends them all. With several
    processes a failure ends them all too, because the others would wait for the one that failed.
    """
    check_allowed(recipes)
    check_trackers(name for recipe in recipes for name in recipe.training.report_to)
    plan = [(recipe, seed) for recipe in recipes for seed in (seeds or recipe.seeds)]
    notify, cache = observer or no_op_observer, StudyCache()
    runs: list[Run] = []
    with PlainLoader() as loader, handle_signals() as request:
        for index, (recipe, seed) in enumerate(plan):
            before = read_run(run_path(runs_dir, recipe, seed))
            finished = before.state == "finished"
            stale = what_changed(recipe, before, cache) if finished else None
            if finished and not (force or stale):
                tidy([before])
                notify("skipped", {"id": before.id})
                runs.append(before)
                continue
            notify("run", {"id": before.id, "index": index, "of": len(plan)})
            if stale:
                notify("warning", {"message": f"{stale}: it runs again"})
            run = run_recipe(
                recipe,
                seed,
                runs_dir,
                force=force or stale is not None,
                observer=observer,
                loader=loader,
                request=request,
                cache=cache,
            )
            scores = run.result.get("metrics", {}).get("test", {})
            notify(run.state, {"id": run.id, "reason": run.reason, "metrics": scores})
            runs.append(run)
            if run.state == "stopped" or request.signal_number is not None:
                break
    return runs


def what_changed(recipe: Recipe, finished: Run, cache: StudyCache | None = None) -> str | None:
    """What a finished run was made from and is no longer the same, in words.

    What is not there any more has not changed: the run could not be repeated.
    """
    if finished.result.get("fingerprint") not in (None, recipe.fingerprint):
        return "what finished here had been resumed by force with an edited recipe"
    if Path(recipe.data.source).expanduser().exists():
        rows = (finished.result.get("data") or {}).get("content_hash")
        if rows != (cache or StudyCache()).data(recipe).content_hash:
            return "the data has changed since this run finished"
    recorded = str((finished.result.get("comparability") or {}).get("base") or "")
    weights = local_fingerprint(recipe.model) if recorded else None
    if weights and recorded.partition(" after ")[0] != weights:
        return f"the base model in {recipe.model.source} has changed since this run finished"
    if recipe.init_from and (start := start_digest(recipe.init_from)):
        if not recorded.endswith(f" after {start}"):
            started = f"{recipe.init_from}, which it continues from,"
            return f"{started} has been trained again since this run finished"
    return None


def run_recipe(
    recipe: Recipe,
    seed: int,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    *,
    force: bool = False,
    resume: bool = False,
    folder: Path | None = None,
    observer: Observer | None = None,
    loader: PlainLoader | None = None,
    request: StopRequest | None = None,
    trial: bool = False,
    until: float = 1.0,
    cache: StudyCache | None = None,
) -> Run:
    """Runs one recipe with one seed and returns its run, finished, stopped or failed.

    Args:
        force: run what has finished again; with ``resume``, even if recipe, data, devices
            or libraries are not what they were, which the record then says.
        resume: from the newest valid checkpoint.
        folder: the run's own, when its recipe may have been edited since it was named.
        until: part of the steps after which a trial pauses, scored.
        cache: what the runs of one command share; a run by itself makes all of it anew.

    Raises:
        RunRefused: when the run is active elsewhere, finished and not forced, or is to be resumed
            under other conditions and not forced to.
        StorageError: when the runs folder cannot be written to.
        UsageError: when a metric of the Hub is not allowed to run, or a tracker not installed.
    """
    check_allowed([recipe])
    check_trackers(recipe.training.report_to)
    path = folder or run_path(runs_dir, recipe, seed)
    main = this_process().is_main_process
    writer = _open(recipe, seed, runs_dir, path, force=force, resume=resume)
    with ExitStack() as stack:
        pipeline = Pipeline(
            recipe=recipe,
            seed=seed,
            writer=writer,
            observer=observer or no_op_observer,
            loader=loader or stack.enter_context(PlainLoader()),
            request=request or stack.enter_context(handle_signals()),
            resume=resume,
            force=force,
            trial=trial,
            until=until,
            cache=cache or StudyCache(),
        )
        state = _run_to_end(pipeline)
    # The other processes must not judge by files that the first one may still be writing.
    return read_run(path) if main else Run(path=path, state=state, reason="")


def _open(
    recipe: Recipe, seed: int, runs_dir: Path, path: Path, *, force: bool, resume: bool
) -> RunWriter | SilentWriter:
    """Opens the record where nothing speaks against the run.

    Under ``accelerate launch`` every process runs the recipe; the first one writes.
    """
    process, before = this_process(), read_run(path)
    if not process.is_main_process:
        return SilentWriter(path)
    check_writable(runs_dir)
    if resume and not force:
        auto_class, on = TASKS[recipe.task.name].auto_class, (process.device, process.num_processes)
        policy = policy_for(recipe.model, auto_class, recipe.training, *on)
        now = conditions_known(recipe, seed, policy, environment.describe()["packages"])
        check_unchanged(before, now, recipe.fingerprint)
    return open_run(runs_dir, recipe, seed, force=force, resume=resume, folder=path)


def _run_to_end(pipeline: Pipeline) -> State:
    """Runs a pipeline to whatever end it comes to, and writes down which.

    Raises:
        RunRefused: data or base are not what they were when the run was saved.
    """
    writer = pipeline.writer
    try:
        with tee_log(writer.path / "log.txt") if isinstance(writer, RunWriter) else nullcontext():
            writer.finish(pipeline.run(), pipeline.forget_progress)
        return "finished"
    except Stopped as stop:
        reason = str(stop) or "stopped on request; `workbench resume` continues from here"
        writer.close("stopped", reason, signal=pipeline.request.signal_number)
        return "stopped"
    except RunRefused as error:
        writer.close("interrupted", str(error))
        raise
    except Exception as error:
        kind, reason = _diagnosis(error, writer.path)
        code = getattr(error, "exit_code", 1)
        writer.close("failed", without_secrets(reason), exit_code=code, failure=kind)
        _log(writer.path, error)
        if this_process().num_processes > 1:
            # The other processes would wait for this one; the launcher has to end them all.
            raise
        return "failed"
    except BaseException:  # a second Ctrl-C, or the interpreter is ending
        reason = "ended at once; `workbench resume` continues from its last checkpoint"
        writer.close("interrupted", reason, signal=pipeline.request.signal_number)
        raise
    finally:
        pipeline.release()


def _log(run: Path, error: Exception) -> None:
    """Appends the traceback to the run's log; it stays out of the terminal."""
    with suppress(OSError), open(run / "log.txt", "a", encoding="utf-8") as file:
        file.write(without_secrets("".join(traceback.format_exception(error))))


def _diagnosis(error: Exception, run: Path) -> tuple[str, str]:
    """The kind of a failure (a kind of error, ``memory``, ``disk`` or ``defect``), and why."""
    if isinstance(error, WorkbenchError):
        return error.kind, str(error)
    if is_out_of_memory(error):
        return "memory", (
            "out of memory\n  fix: set training.auto_micro_batch or lower "
            "training.micro_batch_size (the effective batch stays the same), lower "
            "model.max_length, or switch training.gradient_checkpointing on"
        )
    refused = system_error(error)
    if refused is not None and refused.errno in FULL:
        where = Path(refused.filename) if isinstance(refused.filename, str) else run
        return StorageError.kind, str(explain(refused, where, None, "a file"))
    what = f"{type(error).__name__}: {error}"
    return "defect", f"{what}\n  the traceback is in log.txt of the run"
