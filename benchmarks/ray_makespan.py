"""``make bench``: the makespan that ``plan --devices ray`` forecasts against that of a real study.

The cluster has two nodes of one CPU each on this machine, which so needs two free cores. The first
plan times this device; the second one is compared, as a user's would be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

RECIPES = ["bbc-news/lora", "bbc-news/bitfit", "bbc-news/head"]
SIZES = ["seeds=[0,1]", "training.epochs=1"]
BAR = 0.25


def main() -> None:
    """Starts the cluster, plans and runs the study, and prints a line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_makespan", description=__doc__)
    parser.add_argument("--recipe", nargs="+", default=RECIPES)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    sizes = [part for each in [*SIZES, *arguments.overrides] for part in ("--set", each)]
    nodes = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=nodes)
    try:
        cluster.add_node(num_cpus=1)
        environment = {**os.environ, "RAY_ADDRESS": cluster.address, "CUDA_VISIBLE_DEVICES": ""}
        environment |= {"HF_HUB_OFFLINE": "1"}
        plan = ["plan", *arguments.recipe, *sizes, "--devices", "ray"]
        _workbench(plan, environment)
        found = _workbench(plan, environment)["schedule"]
        with tempfile.TemporaryDirectory() as runs:
            run = ["run", *arguments.recipe, *sizes, "--executor", "ray", "--runs", runs]
            before, began = os.getloadavg()[0], time.monotonic()
            _workbench([*run, "--address", cluster.address], environment)
            took = time.monotonic() - began
            busy = [_seconds(path) for path in sorted(Path(runs).glob("*/*/status.json"))]
    finally:
        cluster.shutdown()
    forecast = found["makespan_seconds"]
    print(f"each run, by its own record: {', '.join(f'{each:.0f}' for each in busy)} s")
    print(
        f"{found['runs']} runs on {found['runs_at_once']} nodes, load {before:.1f} before: "
        f"forecast {forecast:.0f} s, measured {took:.0f} s, ratio {forecast / took:.2f} "
        f"(bar {1 - BAR:.2f} to {1 + BAR:.2f})"
    )


def _seconds(status: Path) -> float:
    record = json.loads(status.read_text(encoding="utf-8"))
    return float(record["ended_at"] - record["started_at"])


def _workbench(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    arguments = [sys.executable, "-m", "workbench", *command, "--json"]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    main()
