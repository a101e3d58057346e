"""``plan --devices``: the schedule of a study, printed and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.cli import parallel
from workbench.costs import plan as plans
from workbench.executors import ray
from workbench.executors.packing import CPU_PROCESS_BYTES, START_SECONDS, Machine
from workbench.recipe import Recipe, dump_recipe

Command = Callable[..., Any]
PLAN = {
    "trainable_parameters": 10,
    "total_parameters": 100,
    "device": "cpu",
    "precision": "fp32",
    "steps": 14,
    "seconds_per_step": 1.0,
    "train_seconds": 14.0,
    "train_seconds_range": None,
    "timings": 1,
    "peak_memory_bytes": 10**9,
    "memory": {"weights_bytes": 10**8},
    "notes": [],
}


@pytest.fixture
def file(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Three seeds; 56 texts to train on, 16 for validation, twice, and 24 for the test."""
    monkeypatch.setattr(plans, "plan", lambda *_, **__: PLAN)
    machine = Machine(cards=(), free_bytes=4 * 10**9, cores=2, threads=1)
    monkeypatch.setattr(parallel, "this_machine", lambda: machine)
    found = tmp_path / "lora.yaml"
    found.write_text(dump_recipe(make_recipe("lora", seeds=[0, 1, 2])), encoding="utf-8")
    return found


def test_a_study_on_cards(workbench: Command, file: Path) -> None:
    found = workbench("plan", file, "--devices", "2xA100:40GB", "--json").json["schedule"]
    run = START_SECONDS + 14.0 + (24 + 2 * 16) / 8 / 2
    assert found["makespan_seconds"] == pytest.approx(2 * run)
    assert found["reserved_hours"] == pytest.approx(4 * run / 3600)
    needed = 10**9 + 10**8 + CPU_PROCESS_BYTES
    assert found["peak_memory_bytes"] == needed and found["fits"] is True
    answer = workbench("plan", file, "--devices", "2xA100:1GB")
    assert "on 2 A100s" in answer.out and "3, 2 at once" in answer.out
    assert "DOES NOT FIT" in answer.out
    assert "as long as on this device (cpu fp32)" in answer.err


def test_runs_at_once_here_share_memory_and_cores(workbench: Command, file: Path) -> None:
    found = workbench("plan", file, "--devices", "2", "--json").json["schedule"]
    assert found["devices"] == 1 and found["runs_at_once"] == 2
    assert found["peak_memory_bytes"] == 2 * (10**9 + 10**8 + CPU_PROCESS_BYTES)
    assert found["device_memory_bytes"] == 4 * 10**9 and found["fits"] is True
    assert workbench("plan", file, "--devices", "two").code == 2


def test_a_ray_cluster_takes_a_run_for_each_cpu_or_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[dict[str, Any]] = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 1.0, "GPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]

    def cluster(*resources: str) -> None:
        total = {kind: 1.0 for kind in resources}
        there = SimpleNamespace(nodes=lambda: nodes, cluster_resources=lambda: total)
        monkeypatch.setattr(ray, "_connected", lambda _: nullcontext(there))

    cluster("CPU")
    assert ray.slots_of("auto") == (3, False)
    cluster("CPU", "GPU")
    assert ray.slots_of("auto") == (1, True), "one CPU for a run on a GPU"
