"""Memory figures against allocations of known size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from workbench.costs.memory_meter import MemoryMeter, breakdown, read_whole

MEGABYTE = 1024**2
ROOT = Path(__file__).parents[2]


SCRIPT = """
import json, torch
from workbench.costs.memory_meter import MemoryMeter
block = 1024**2 // 4
torch.ones(block)
meter = MemoryMeter(torch.device("cpu"))
meter.start()
with meter.phase("big"):
    kept = [torch.ones(block) for _ in range(100)]
    del kept
with meter.phase("small"):
    other = torch.ones(10 * block)
print(json.dumps(meter.phases))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_the_peak_of_a_phase_is_what_was_allocated_in_it() -> None:
    """In a process of its own: what other tests left in this one would be counted too."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=ROOT
    )
    phases = json.loads(done.stdout)
    assert phases["big"] == pytest.approx(100 * MEGABYTE, rel=0.03)
    assert phases["small"] == pytest.approx(10 * MEGABYTE, rel=0.1)


def test_a_phase_entered_twice_keeps_the_higher_peak() -> None:
    meter = MemoryMeter(torch.device("cpu"))
    meter.start()
    for size in (40, 5):
        with meter.phase("train"):
            block = torch.ones(size * MEGABYTE // 4)
            del block
    meter.keep_freed()
    assert meter.phases["train"] >= 38 * MEGABYTE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_the_peak_of_a_first_batch_has_none_of_the_later_ones() -> None:
    meter = MemoryMeter(torch.device("cpu"))
    meter.start()
    with meter.first_batch("evaluate") as after_batch:
        for done, size in enumerate([40, 80], start=1):
            block = torch.ones(size * MEGABYTE // 4)
            del block
            after_batch(done, 2)
    assert 38 * MEGABYTE <= meter.phases["evaluate"] < 60 * MEGABYTE
    with meter.first_batch("evaluate"):  # of nothing: the higher peak stays
        pass
    assert 38 * MEGABYTE <= meter.phases["evaluate"] < 60 * MEGABYTE


def test_a_validation_on_a_gpu_is_no_part_of_the_peak_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its batches may be as large as free memory."""
    peaks = iter([500, 9000, 600])
    reset: list[object] = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: next(peaks))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _device: 10_000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    meter = MemoryMeter(torch.device("cuda"), baseline=100)
    meter.note_apart("train")
    meter.note_apart("validate")
    meter.note_cuda("train")
    assert meter.phases == {"train": 500, "validate": 8900} and len(reset) == 2


def test_the_breakdown_counts_bytes() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(100, 100), torch.nn.Linear(100, 10))
    model[0].requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    model(torch.ones(2, 100)).sum().backward()
    optimizer.step()
    parts = breakdown(model, optimizer)
    assert parts["weights_bytes"] == 4 * (100 * 100 + 100 + 100 * 10 + 10)
    assert parts["gradients_bytes"] == 4 * (100 * 10 + 10)
    # Two moments per number, and a step count per tensor.
    assert parts["optimizer_bytes"] == 2 * 4 * (100 * 10 + 10) + 2 * 4
    record = MemoryMeter(torch.device("cpu"), phases={"train": 100_000}).record(parts)
    assert record["breakdown"]["activations_bytes"] == 100_000 - sum(parts.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_rows_of_an_embedding_that_no_text_reads_count_too(tmp_path: Path) -> None:
    """A mapped file is resident as far as it was read, by figures of the kernel's own."""
    config = BertConfig(
        vocab_size=100_000, hidden_size=128, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=128,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path)
    with open(tmp_path / "model.safetensors", "rb") as file:
        # Small blocks in the page cache: a large one would be mapped whole at the first read.
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    model = BertModel.from_pretrained(tmp_path)

    def mapped() -> int:
        smaps = Path("/proc/self/smaps").read_text().split("model.safetensors", 1)[1]
        return int(smaps.split("Rss:", 1)[1].split()[0]) * 1024

    model(torch.tensor([[1, 2, 3]]))
    embedding = 100_000 * 128 * 4
    assert mapped() < embedding / 2
    read_whole(model)
    assert mapped() > embedding
