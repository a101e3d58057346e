"""``run --executor ray``: the runs of a study on a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.output import note, test_scores
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.recipe import Recipe
    from workbench.store import Run

EXECUTOR_OPTION = typer.Option(
    None, "--executor", metavar="NAME", help="ray: submit the runs to a Ray cluster."
)
ADDRESS_OPTION = typer.Option(
    "auto",
    "--address",
    metavar="auto|HOST:PORT|ray://HOST:PORT|local",
    help="The Ray cluster; local starts one here for this study.",
)
CPUS_OPTION = typer.Option(1.0, "--cpus-per-run", min=0, help="CPUs per run.")
GPUS_OPTION = typer.Option(
    None, "--gpus-per-run", min=0, help="GPUs per run; 1 by default if the cluster has any."
)
MEMORY_OPTION = typer.Option(
    None, "--memory-per-run", min=0, metavar="GIB", help="Main memory to reserve per run."
)
RETRIES_OPTION = typer.Option(3, "--retries", min=0, help="Retries of a run whose node was lost.")
STORE_OPTION = typer.Option(
    None, "--store", metavar="URL", help="fsspec address to copy finished run folders to."
)


def check(executor: str, detach: bool, processes: int) -> None:
    """Refuses an unknown executor and options that mean nothing to one.

    Raises:
        UsageError: naming the option.
    """
    if executor != "ray":
        raise UsageError(f"--executor {executor}", why="there is no such executor", fix="ray")
    if detach:
        fix = "`ray job submit -- workbench run ...` does not need this terminal"
        raise UsageError("--detach with --executor", fix=fix)
    if processes > 1:
        why = "each run is one task in one process"
        fix = "--processes or accelerate launch without --executor, or one GPU for each run"
        raise UsageError("--processes with --executor", why=why, fix=fix)


def run(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    address: str,
    needs: Mapping[str, Any],
    store: str | None,
    **which: Any,
) -> list[Run]:
    """Submits each run to a Ray cluster, prints how it ended, and returns them all.

    Args:
        needs: arguments of ``workbench.executors.ray.options_of``.
        which: ``seeds`` and ``force``.
    """
    from workbench.executors.ray import run_study

    def say(run: Run, uploaded: str | None) -> None:
        outcome = run.reason or test_scores(run)
        note(f"{run.id}: {run.state}" + (f": {outcome}" if outcome else ""))
        if uploaded:
            note(f"  copied to {uploaded}")

    return run_study(
        recipes, runs_dir, address=address, needs=needs, store=store, ended=say, **which
    )
