"""One run on a node of a cluster: what the node does, whatever sent it there.

A node can be lost at any moment and the run be sent to another, so the work looks at the folder
first: a finished run is left alone, an interrupted one is resumed from its checkpoint.
"""

import sys
import time
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.executors.stores import upload_run
from workbench.recipe import Recipe
from workbench.store import ACTIVE, Run, read_run, run_path

SECONDS_UNTIL_DEAD = 120.0
"""How long a run may look alive after its machine is lost: twice what the store waits for."""


def do_run(
    recipe: dict[str, Any], seed: int, runs_dir: str, force: bool, store: str | None
) -> dict[str, Any]:
    """Runs one recipe with one seed in this process and returns what became of it.

    Args:
        recipe: the resolved recipe as plain values.
        store: where the folder of the ended run is copied to; None for nowhere.
    """
    resolved, root = Recipe.model_validate(recipe), Path(runs_dir)
    path = run_path(root, resolved, seed)
    try:
        run = _run(resolved, seed, root, force)
        uploaded = upload_run(run.path, store) if store else None
    except WorkbenchError as error:  # refused, or the store cannot be opened
        return {"path": str(path), "state": "failed", "reason": str(error)}
    metrics = run.result.get("metrics")
    return {
        "path": str(path),
        "state": run.state,
        "reason": run.reason,
        "metrics": metrics,
        "signal": run.status.get("signal"),
        "uploaded": uploaded,
    }


def _run(recipe: Recipe, seed: int, root: Path, force: bool) -> Run:
    from workbench.pipeline.runner import run_all, run_recipe

    path, deadline = run_path(root, recipe, seed), time.monotonic() + SECONDS_UNTIL_DEAD
    while (before := read_run(path)).state in ACTIVE and time.monotonic() < deadline:
        time.sleep(1.0)
    if before.state == "interrupted" and not force:
        _say("run", {"id": f"{before.id} resumed"})
        run = run_recipe(recipe, seed, root, resume=True, observer=_say)
        _say(run.state, {"reason": run.reason})
        return run
    return run_all([recipe], [seed], root, force=force, observer=_say)[0]


def _say(kind: str, fields: dict[str, Any]) -> None:
    """A line for each change of state; the cluster brings it to whoever started the study."""
    said = {
        "run": fields.get("id"),
        "phase": fields.get("phase"),
        "validation": f"validated at step {fields.get('step')}",
        "micro_batch": f"memory ran out: {fields.get('size')} examples at once from here on",
        "warning": fields.get("message"),
        "skipped": "finished before, skipped",
        "finished": "finished",
        "stopped": "stopped",
        "failed": f"failed: {fields.get('reason')}",
    }
    if kind in said:
        print(said[kind], file=sys.stderr, flush=True)
