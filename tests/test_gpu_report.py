"""``make gpu`` without a card: the same way with tiny models; no failure of a part ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.adapters_at_once import Adapters
from benchmarks.gpu.parts import _tried
from benchmarks.gpu.steps import result_row

ROOT = Path(__file__).parents[1]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_all_parts_are_taken_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--pretend", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    report = json.loads((tmp_path / "gpu-pretended.json").read_text())
    assert {row["part"] for row in report["rows"]} == set(gpu.PARTS), done.stderr
    # Bars are for a card; that each part comes to its figures is asked here.
    failed = [row for row in report["rows"] if row["verdict"].startswith("failed")]
    assert not failed and report["packages"]["torch"] == torch.__version__
    assert (tmp_path / "gpu-pretended.md").read_text().count("\n| ") >= len(report["rows"])


def test_a_part_that_breaks_or_takes_too_long_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PRETEND_SECONDS", 0.2)
    (row,) = gpu._part("tests", pretend=True)
    assert row["verdict"] == "failed: not done in 0.2 s" and row["part"] == "tests"
    monkeypatch.setattr(gpu, "PRETEND_SECONDS", 60)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (row,) = gpu._part("memory", pretend=True)
    assert row["verdict"] == "failed: it ended without a word"


def test_a_figure_that_cannot_be_had_is_a_row() -> None:
    def broken() -> dict[str, str]:
        raise RuntimeError("CUDA error: no kernel image\nmore")

    failed = "failed: CUDA error: no kernel image"
    assert _tried("lora", broken) == {"what": "lora", "verdict": failed}
    row = _tried("lora", lambda: result_row("lora", "7%", "within 5%", reached=False))
    assert row["verdict"] == "missed"


def test_members_of_a_pass_compute_as_they_would_alone() -> None:
    """Each with LoRA's own formula on its part of the batch."""
    layer = torch.nn.Linear(8, 6)
    together, inputs = Adapters(layer, 3), torch.randn(6, 5, 8)
    expected = [
        layer(part) + 2.0 * part @ down.T @ up.T
        for part, down, up in zip(inputs.split(2), together.down, together.up, strict=True)
    ]
    torch.testing.assert_close(together(inputs), torch.cat(expected))


def test_the_eight_minutes_are_shared_out() -> None:
    assert sum(part.seconds for part in gpu.PARTS.values()) <= 480
