"""Runs that read their steps one behind, as on CUDA, beside those that read each at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from workbench.distributed.policy import Policy
from workbench.models import policy_for
from workbench.pipeline import setup
from workbench.store import Run

TIMES = ("time", "seconds", "bytes")


def read_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*asked: Any, **options: Any) -> Policy:
        return replace(policy_for(*asked, **options), reads_behind=True)

    monkeypatch.setattr(setup, "policy_for", chosen)


def rows_of(run: Run) -> list[dict[str, Any]]:
    """What was logged, but for times and memory."""
    rows = [row for row in run.events()[0] if row["kind"] != "memory"]
    return [{key: row[key] for key in row if key not in TIMES} for row in rows]


def same(first: Run, second: Run) -> None:
    """Both have finished with the same log, scores and adapter, bit for bit."""
    assert [first.state, second.state] == ["finished", "finished"], second.reason
    assert rows_of(first) == rows_of(second)
    assert first.result["metrics"] == second.result["metrics"]
    for file in first.adapter.glob("*.safetensors"):
        ours, theirs = load_file(second.adapter / file.name), load_file(file)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
