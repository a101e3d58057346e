"""A study on a Ray cluster: each run is a task; Ray places, retries and reports them.

A task is a process of its own that ends with its run (``max_calls=1``), so that memory is measured
as anywhere else and a run ends with its node.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.executors.stores import open_store
from workbench.executors.work import do_run
from workbench.recipe import Recipe
from workbench.store import Run, run_path

SECONDS_TO_SAVE = 60.0
"""How long runs get to save and stop after Ctrl-C."""


def run_study(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    *,
    seeds: Sequence[int] | None = None,
    address: str = "auto",
    needs: Mapping[str, Any] | None = None,
    force: bool = False,
    store: str | None = None,
    ended: Callable[[Run, str | None], None] = lambda _run, _uploaded: None,
) -> list[Run]:
    """Runs each recipe with each seed on a Ray cluster and waits for all of them.

    Finished runs are skipped, interrupted ones resumed; on Ctrl-C the runs save and stop.

    Args:
        runs_dir: the folder of the runs, at the same path on every node. Only where it is one
            shared folder can a run that lost its node be resumed elsewhere.
        address: of a running cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:10001``; ``local``
            starts one on this machine.
        needs: what each run has for itself: arguments of ``options_of``.
        store: an fsspec address that the folders of ended runs are copied to.
        ended: told of each run that has ended, and where it was copied to.

    Raises:
        UsageError: when Ray is not installed, no cluster answers, or the store cannot be opened.
    """
    if store is not None:
        open_store(store)  # before anything is run for it
    plan = [(recipe, seed) for recipe in recipes for seed in (seeds or recipe.seeds)]
    root, runs, tasks = runs_dir.absolute(), dict[int, Run](), dict[Any, int]()
    with _connected(address) as ray:
        options = options_of(ray.cluster_resources(), **(needs or {}))
        task = ray.remote(max_calls=1, **options)(do_run)
        for index, (recipe, seed) in enumerate(plan):
            named, values = f"{recipe.study}/{recipe.name}-s{seed}", recipe.model_dump(mode="json")
            handle = task.options(name=named).remote(values, seed, str(root), force, store)
            tasks[handle] = index
        try:
            while waiting := [handle for handle, index in tasks.items() if index not in runs]:
                (handle,), _ = ray.wait(waiting, num_returns=1)
                index = tasks[handle]
                runs[index], uploaded = _outcome(ray, handle, run_path(root, *plan[index]))
                ended(runs[index], uploaded)
        except KeyboardInterrupt:  # the others save and stop
            for handle in waiting:
                ray.cancel(handle)
            ray.wait(waiting, num_returns=len(waiting), timeout=SECONDS_TO_SAVE)
            raise
    return [runs[index] for index in range(len(plan))]


def options_of(
    cluster: Mapping[str, float],
    *,
    cpus: float = 1.0,
    gpus: float | None = None,
    memory_gb: float | None = None,
    retries: int = 3,
) -> dict[str, Any]:
    """Ray's options for one run, which starts on a node where all of it is free.

    Args:
        gpus: None for one where the cluster has any, else none.
        memory_gb: main memory to reserve, in GiB; None to reserve nothing.
        retries: how often a run is tried again after its node was lost.
    """
    if gpus is None:
        gpus = 1.0 if cluster.get("GPU") else 0.0
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
    return options | ({"memory": int(memory_gb * 1024**3)} if memory_gb is not None else {})


def slots_of(address: str) -> tuple[int, bool]:
    """How many runs a cluster takes at once by the options of a run, and whether on GPUs.

    Raises:
        UsageError: when Ray is not installed, or no cluster answers.
    """
    with _connected(address) as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        options = options_of(ray.cluster_resources())
    needs = {"CPU": options["num_cpus"], "GPU": options["num_gpus"]}
    each = [
        min(int(node.get(kind, 0) // need) for kind, need in needs.items() if need)
        for node in nodes
    ]
    return max(1, sum(each)), bool(options["num_gpus"])


def _outcome(ray: Any, handle: Any, path: Path) -> tuple[Run, str | None]:
    try:
        found = ray.get(handle)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Run(path=path, state="interrupted", reason=f"lost by the cluster: {lines[-1]}"), None
    status = {"signal": found.get("signal")}
    result = {"metrics": found.get("metrics")}
    return Run(
        path=path, state=found["state"], reason=found["reason"], status=status, result=result
    ), found.get("uploaded")


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "Ray is not installed",
            where="--executor ray",
            fix="pip install 'peft-workbench[ray]'",
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        ray.init(address=address, log_to_driver=True, logging_level=logging.ERROR)
    except (ConnectionError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster at {address}: {str(error).splitlines()[0]}",
            where="--address",
            fix="`ray start --head` starts one, --address local one for this study alone",
        ) from error
    try:
        # Ray prints what the nodes say on stdout, which belongs to the command's own answer.
        with redirect_stdout(sys.stderr):
            yield ray
    finally:
        ray.shutdown()
