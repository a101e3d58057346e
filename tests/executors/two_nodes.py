"""A study on a Ray cluster of two nodes, one of which is killed while it is at a run.

Usage: python two_nodes.py RECIPES RUNS. Prints what happened as JSON. A program of its own, so that
Ray's threads and warnings stay out of the test's process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from workbench.store import Run, list_runs

DEADLINE = 240.0


def main(recipes: str, runs: Path) -> None:
    """Starts the nodes and the study, kills a node, waits for the study."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)
    command = [sys.executable, "-m", "workbench", "run", recipes, "--runs", str(runs), "--json"]
    command += ["--executor", "ray", "--address", cluster.address]
    study = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        killed = _wait_for_run(runs, _raylet(second), study)
        pid, step = killed.status["pid"], _steps(killed)
        cluster.remove_node(second, allow_graceful=False)
        out, err = study.communicate(timeout=DEADLINE)
    finally:
        study.kill()
        cluster.shutdown()
    report = {
        "code": study.returncode,
        "killed": killed.id,
        "killed_at": step,
        "survived": psutil.pid_exists(pid),
        "answer": out,
        "said": err,
    }
    print(json.dumps(report))


def _raylet(node: Any) -> int:
    (process,) = node.all_processes["raylet"]
    return int(process.process.pid)


def _wait_for_run(runs: Path, raylet: int, study: subprocess.Popen[str]) -> Run:
    """A run with a checkpoint that is being trained on the node of a raylet."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and study.poll() is None:
        for run in list_runs(runs):
            saved = (run.path / "checkpoints").is_dir() and _steps(run) > 20
            if run.state == "running" and saved and _parent(run.status["pid"]) == raylet:
                return run
        time.sleep(0.2)
    raise SystemExit(f"no run got that far; the study ended with {study.poll()}")


def _steps(run: Run) -> int:
    return sum(row["kind"] == "step" for row in run.events()[0])


def _parent(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return None


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
