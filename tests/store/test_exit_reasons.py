"""Memory of the machine, or of the container that limits it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from workbench.distributed.accelerator import free_memory
from workbench.store import exit_reasons, memory_now

MB = 2**20
FILES = {
    "version 2": ("memory.max", "memory.current", "memory.stat"),
    "version 1": (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
}


@pytest.fixture(params=FILES)
def container(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A limit of 30 MB, of which 20 are used and 5 of these are files that give way."""
    (tmp_path / "memory").mkdir()
    limit, used, kinds = (tmp_path / name for name in FILES[request.param])
    limit.write_text(f"{30 * MB}\n")
    used.write_text(f"{20 * MB}\n")
    kinds.write_text(f"anon {15 * MB}\ninactive_file {5 * MB}\n")
    monkeypatch.setattr(exit_reasons, "CGROUP", tmp_path)
    return limit


def test_memory_now_is_what_the_container_leaves(container: Path) -> None:
    found = memory_now()
    assert (found["total_bytes"], found["available_bytes"]) == (30 * MB, 15 * MB)


def test_free_memory_of_a_plan_is_the_same(container: Path) -> None:
    assert free_memory(torch.device("cpu")) == 15 * MB


def test_memory_now_without_a_limit_is_the_machine_s(container: Path) -> None:
    container.write_text("max\n")
    assert memory_now()["total_bytes"] == psutil.virtual_memory().total
