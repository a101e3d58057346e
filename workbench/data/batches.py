"""Which examples make up which step, and how they are padded.

The order is a function of (seed, epoch) alone, so a run can be repeated and resumed exactly, and
every process can work out its own part without talking to the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from workbench.data.encode import Row

_T = TypeVar("_T")

BUCKET_BATCHES = 20
"""Batches whose examples are sorted by length together: enough to save most padding, few enough
to keep the order random (the window of PEFT's own method comparison)."""

PAD_TO_MULTIPLE = 8


IGNORED = -100
"""Label of a position that carries none: transformers' and torch's own."""


@dataclass(frozen=True)
class Batch:
    """Features padded to the longest of them."""

    inputs: dict[str, Tensor]
    """Model inputs, each (batch, seq)."""
    rows: tuple[Row, ...]
    """The features as they were, unpadded, with their labels."""

    @property
    def tokens(self) -> int:
        """Real tokens in the batch, padding not counted."""
        return sum(len(row["input_ids"]) for row in self.rows)


def epoch_order(lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Batches of positions for one epoch: every example once, similar lengths together.

    In the first epoch the two batches with the longest texts come first, so that a run that does
    not fit into memory says so at once, and the peak is seen in the first two steps.
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    window = batch_size * BUCKET_BATCHES
    batches = []
    for start in range(0, len(shuffled), window):
        part = shuffled[start : start + window]
        part = part[np.argsort(-lengths[part], kind="stable")]
        batches += [part[i : i + batch_size].tolist() for i in range(0, len(part), batch_size)]
    batches = [batches[i] for i in rng.permutation(len(batches))]
    if epoch == 0:
        cost = [len(b) * int(lengths[b].max()) for b in batches]
        longest = sorted(range(len(batches)), key=lambda i: -cost[i])[:2]
        batches = [batches[i] for i in longest] + [
            b for i, b in enumerate(batches) if i not in longest
        ]
    return batches


def evaluation_order(lengths: np.ndarray, batch_size: int) -> list[list[int]]:
    """Batches of positions by falling length, every example once."""
    by_length = np.argsort(-lengths, kind="stable").tolist()
    return [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]


def own_share(batch: Sequence[_T], process: int, processes: int) -> list[_T]:
    """The examples of a batch that fall to one of several processes."""
    return list(batch[process::processes])


def pad(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, longest_possible: int) -> Batch:
    """Pads features to the longest of them, on the right.

    Inputs are (batch, seq) int64. The multiple of 8 stops at the longest feature of the split, so
    that padding never asks for positions that the model does not have.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    width = -(-longest // PAD_TO_MULTIPLE) * PAD_TO_MULTIPLE
    width = max(longest, min(width, longest_possible))
    fill = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    inputs = {
        name: padded([row[name] for row in rows], width, value)
        for name, value in fill.items()
        if name in rows[0]
    }
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    inputs["attention_mask"] = (torch.arange(width) < lengths.unsqueeze(1)).long()
    return Batch(inputs, tuple(rows))


def tensor_on(
    values: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """Numbers as a tensor on a device; CUDA copies them without waiting for what it computes."""
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=device.type == "cuda")


def padded(lists: Sequence[Sequence[int]], width: int, value: int) -> Tensor:
    """Lists of whole numbers as one (batch, width) int64 tensor, filled up on the right."""
    return torch.tensor([[*numbers, *[value] * (width - len(numbers))] for numbers in lists])
