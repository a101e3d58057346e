"""``run --executor ray``: the runs of a study on a cluster instead of one after the other here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.cli.output import note, scores
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.executors.ray import Needs
    from workbench.recipe import Recipe
    from workbench.store import Run

EXECUTOR_OPTION = typer.Option(
    None, "--executor", metavar="NAME", help="ray: hand the runs to a Ray cluster."
)
ADDRESS_OPTION = typer.Option(
    "auto",
    "--address",
    metavar="auto|HOST:PORT|ray://HOST:PORT|local",
    help="The Ray cluster; local starts one here for this study.",
)
CPUS_OPTION = typer.Option(1.0, "--cpus-per-run", min=0, help="CPUs that a run takes of a node.")
GPUS_OPTION = typer.Option(
    None, "--gpus-per-run", min=0, help="GPUs of a run; one where the cluster has any."
)
MEMORY_OPTION = typer.Option(
    None, "--memory-per-run", min=0, metavar="GIB", help="Main memory that a run reserves."
)
RETRIES_OPTION = typer.Option(
    3, "--retries", min=0, help="Times that a run is tried again when its node is lost."
)
STORE_OPTION = typer.Option(
    None, "--store", metavar="URL", help="fsspec address that ended run folders are copied to."
)


def check(executor: str, detach: bool, processes: int) -> None:
    """Refuses an unknown executor and options that mean nothing to one.

    Raises:
        UsageError: naming the option.
    """
    if executor != "ray":
        raise UsageError(f"--executor {executor}", why="there is no such executor", fix="ray")
    if detach:
        fix = "`ray job submit -- workbench run ...` goes on without this terminal"
        raise UsageError("--detach with --executor", fix=fix)
    if processes > 1:
        why = "each run is one task in one process"
        fix = "--processes or accelerate launch without --executor, or one GPU for each run"
        raise UsageError("--processes with --executor", why=why, fix=fix)


def run_on_ray(
    recipes: Sequence[Recipe],
    seeds: Sequence[int] | None,
    runs: Path,
    address: str,
    needs: Needs,
    force: bool,
    store: str | None,
) -> list[Run]:
    """Hands each run to a Ray cluster, says what became of it, and returns them all."""
    from workbench.executors.ray import run_study

    def say(run: Run, uploaded: str | None) -> None:
        metrics = run.result.get("metrics") or {}
        outcome = run.reason or scores(metrics.get("test"))
        note(f"{run.id}: {run.state}" + (f": {outcome}" if outcome else ""))
        if uploaded:
            note(f"  copied to {uploaded}")

    return run_study(
        recipes, seeds, runs, address=address, needs=needs, force=force, store=store, ended=say
    )
