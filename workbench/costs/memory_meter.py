"""Peak memory by phase, and what it is made of.

CUDA: the allocator's own peaks. CPU: the kernel's high-water mark of resident memory, which Linux
resets when "5" is written to /proc/self/clear_refs (man proc_pid_clear_refs). glibc keeps freed
blocks, which inflates the mark; while it is exact (``heap.py``) the figure agrees with what was
allocated within the 3% that a test allows. That makes steps slower, so it stays on for loading and
the first two training steps, which hold the longest batches and are not timed.
"""

import mmap
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from workbench.costs import heap
from workbench.models.quantized import scale_bytes

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class MemoryMeter:
    """Measures one run on one device, phase by phase, above what was in use before it."""

    device: torch.device
    baseline: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Takes what is in use now as the zero of all later figures."""
        heap.trim_eagerly()
        if self.device.type == "cuda":
            self.baseline = torch.cuda.memory_allocated(self.device)
        else:
            self.baseline = _proc_kb("VmRSS") * 1024 if _STATUS.exists() else self._peak()

    def keep_freed(self) -> None:
        heap.keep_freed()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Records the peak while the block runs, without what glibc kept; the most of several."""
        heap.give_back()
        self.reset()
        try:
            yield
        finally:
            self.note(name)
            heap.give_back()

    @contextmanager
    def first_batch(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """A phase whose peak is that of its first batch, which has the longest texts (on a GPU, of
        all); what it gives is to be called after each batch. The heap is exact until then."""
        measured = False

        def after_batch(_done: int, _of: int) -> None:
            nonlocal measured
            if measured or self.device.type == "cuda":
                return
            measured = True
            self.note(name)
            heap.keep_freed()

        heap.trim_eagerly(again=True)
        self.reset()
        try:
            yield after_batch
        finally:
            if not measured:
                self.note(name)
                heap.keep_freed()
            heap.give_back()

    def reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif _CLEAR.exists():
            _CLEAR.write_text("5")

    def note(self, name: str) -> None:
        """Takes the peak since the last reset into a phase, in bytes above the baseline."""
        peak = self._peak() - self.baseline
        self.phases[name] = max(self.phases.get(name, 0), peak)
        if self.device.type == "cuda":
            reserved = torch.cuda.max_memory_reserved(self.device)
            self.reserved[name] = max(self.reserved.get(name, 0), reserved)

    def note_cuda(self, name: str) -> None:
        """Takes a peak as ``note`` where that costs nothing and the phase is over already."""
        if self.device.type == "cuda":
            self.note(name)

    def note_apart(self, name: str) -> None:
        """The same, and what follows is another phase: how much memory an evaluation takes is no
        figure of the training."""
        if self.device.type == "cuda":
            self.note(name)
            self.reset()

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if _STATUS.exists():
            return _proc_kb("VmHWM") * 1024
        # Elsewhere the peak of the whole process is all there is; macOS counts it in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def record(self, breakdown: dict[str, int]) -> dict[str, Any]:
        """The figures for result.json in bytes; activations are what the training peak holds beyond
        weights, gradients and optimizer state.

        The peak is at least these three. The kernel counts resident pages per processor and adds
        them up later, so the mark of a model of a few kB can lie below the baseline.
        """
        known = sum(breakdown.values())
        peak = max(self.phases.get("train", 0), known)
        cuda = self.device.type == "cuda"
        return {
            "peak_memory_bytes": peak,
            "baseline_bytes": self.baseline,
            "phases": dict(self.phases),
            "reserved": dict(self.reserved) or None,
            "breakdown": {**breakdown, "activations_bytes": max(0, peak - known)},
            "how": "torch.cuda.max_memory_allocated"
            if cuda
            else "resident high-water mark of the first two steps, which hold the longest batches",
        }


def read_whole(model: nn.Module) -> None:
    """Reads a byte of every page of a model's weights, which brings those to memory that are mapped
    from their file.

    Otherwise the peak hangs on the words of the first two batches (LoRA on MiniLM in fp32, 16 x 48
    tokens: 142 MB of 170), on the size of the kernel's cached blocks and on the method: training
    the word embedding reads it whole. Over an epoch nearly all of it is read whatever is trained.
    """
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and not isinstance(parameter, DTensor):
            storage = parameter.detach().untyped_storage()
            torch.empty(0, dtype=torch.uint8).set_(storage)[:: mmap.PAGESIZE].sum()


def over_processes(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The memory of a run from the records of its processes, by rank: summed; ``per_process`` holds
    the training peaks, ``pieces_per_process`` weights, gradients and optimizer state of each."""
    found: dict[str, Any] = {
        key: sum(record[key] for record in records)
        for key in ("peak_memory_bytes", "baseline_bytes")
    }
    found["per_process"] = [record["peak_memory_bytes"] for record in records]
    found["pieces_per_process"] = [
        sum(size for name, size in record["breakdown"].items() if name != "activations_bytes")
        for record in records
    ]
    for key in ("phases", "reserved", "breakdown"):
        names = records[0][key] or {}
        found[key] = {name: sum(record[key][name] for record in records) for name in names} or None
    return {**found, "how": records[0]["how"]}


def own_bytes(tensor: Tensor) -> int:
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return own.numel() * own.element_size()


def breakdown(model: nn.Module, optimizer: Optimizer, kept_bytes: int = 0) -> dict[str, int]:
    """Bytes that this process holds of weights (with buffers), gradients and optimizer state;
    ``kept_bytes``: frozen fp32 weights that lie beside the bf16 copies which stand in for them."""
    parameters = list(model.parameters())
    weights = kept_bytes + sum(own_bytes(t) for t in [*parameters, *model.buffers()])
    weights += scale_bytes(model)
    gradients = sum(own_bytes(p) for p in parameters if p.requires_grad)
    states = [t for state in optimizer.state.values() for t in state.values()]
    optimizer_bytes = sum(own_bytes(t) for t in states if isinstance(t, torch.Tensor))
    return {
        "weights_bytes": weights,
        "gradients_bytes": gradients,
        "optimizer_bytes": optimizer_bytes,
    }


def _proc_kb(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0
