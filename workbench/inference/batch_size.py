"""How many examples an evaluation takes at once: on CUDA as many as free memory holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from accelerate.utils import gather_object
from torch import nn

from workbench.distributed.accelerator import free_memory, free_unused, is_out_of_memory
from workbench.distributed.tensors import is_sharded

T = TypeVar("T")
R = TypeVar("R")

MOST = 512
"""Examples of the largest batch that is taken of free memory."""
SHARE = 0.7
"""Of the free memory that a batch may take: a forecast counts tensors, and neither the work space
of kernels nor what lies unused between tensors. Not measured on a GPU yet."""


@dataclass(kw_only=True)
class EvaluationBatch:
    """The examples that an evaluation takes at once. Order, scores and answers do not depend on
    them but for rounding."""

    least: int
    """Examples of a batch, shared by all processes, where free memory is not asked."""
    row_bytes: int | None = None
    """What one example of ``row_tokens`` takes beside the weights; None not to ask for memory."""
    row_tokens: int = 1
    fits: int | None = field(default=None, init=False)
    """Examples that a process takes at once since memory ran out; None while it has not."""
    largest: int = field(default=0, init=False)
    """Examples of the largest batch so far that a process has taken."""

    @classmethod
    def of(cls, size: int | EvaluationBatch) -> EvaluationBatch:
        return size if isinstance(size, EvaluationBatch) else cls(least=size)

    def examples(self, tokens: int, device: torch.device, processes: int = 1) -> int:
        """Examples of a batch for so many processes, the same on each of them.

        Args:
            tokens: of the longest example, with virtual and padded ones.
        """
        if self.row_bytes is None:
            return self.least
        longer = tokens / self.row_tokens
        # Attention over all pairs of positions is the part that grows fastest.
        row = self.row_bytes * longer * max(1.0, longer)
        rows = min(MOST, int(SHARE * free_memory(device) / max(1.0, row)))
        if processes > 1:
            rows = int(min(gather_object([rows])))
        return max(self.least, processes << max(1, rows).bit_length() - 1)

    def each(
        self, model: nn.Module, items: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]
    ) -> list[R]:
        """What ``work`` returns for all items: at once, or in parts half as large each time that
        memory runs out, down to single ones.

        What processes share has to be worked on by all of them equally often, so there it is all
        at once or the error.
        """
        done: list[R] = []
        while len(done) < len(items):
            part = items[len(done) : len(done) + (self.fits or len(items))]
            try:
                done += work(part)
                self.largest = max(self.largest, len(part))
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(part) == 1 or is_sharded(model):
                    raise
            self.fits = self.largest = len(part) // 2
            free_unused(next(model.parameters()).device)
        return done

    def give_back(self, model: nn.Module) -> None:
        """Frees what a batch larger than usual has left with torch's allocator on CUDA."""
        if self.row_bytes is not None and next(model.parameters()).is_cuda:
            torch.cuda.empty_cache()

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know; nothing while memory has been enough."""
        if self.fits is None:
            return ()
        return ("memory ran out in an evaluation: its batches are halved until they fit",)
