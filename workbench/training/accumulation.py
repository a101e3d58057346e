"""The gradients of one optimizer step: micro-batches, then processes, as large as memory allows."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor

from workbench.data.batches import Batch, own_share, pad
from workbench.data.encode import Encoded, Row
from workbench.distributed.accelerator import free_unused, is_out_of_memory
from workbench.errors import TrainingError
from workbench.inference.predict import on_device
from workbench.methods import AdaptedModel
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask
from workbench.tasks.base import Losses
from workbench.training import state_dicts
from workbench.training.events import MicroBatch
from workbench.training.gradients import GradientSync
from workbench.training.launched import Number


@dataclass(frozen=True)
class Accumulated:
    """What a whole batch came to; its gradients lie in the parameters."""

    loss: Number
    """Mean loss per example (or labelled position) of the batch, over all processes."""
    parts: dict[str, Number]
    """The means that the loss was weighed from; empty where it is one loss."""
    tokens: int


@dataclass(kw_only=True)
class Accumulation:
    """Adds up the gradients of a whole batch from what fits into memory at once.

    Each loss is divided by the weight of the whole batch (its examples, or its positions with a
    label) wherever it is computed, so the effective batch is the recipe's whatever the number of
    processes and the size of the micro-batches.
    """

    accelerator: Accelerator
    gradients: GradientSync
    adapted: AdaptedModel
    task: AnyTask
    train: Encoded
    spec: TrainingSpec
    agree: Callable[[bool], bool]
    """True on every process when it is true on any."""
    size: int | None = field(init=False)
    """Examples per forward pass and process; None for all of the process's share."""
    stays_on_device: bool = field(default=False, init=False)
    """Whether losses are left on the device, for the step to be read later."""
    _ready: list[Batch] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.size = self.spec.micro_batch_size

    @property
    def largest(self) -> int:
        """Examples of the largest forward pass that a whole batch is made of."""
        share: int = math.ceil(self.spec.batch_size / self.accelerator.num_processes)
        return min(self.size or share, share)

    def make_ready(self, rows: Sequence[Row]) -> None:
        """Sends the rows of the next batch to the device while it computes."""
        self._ready = [self._batch(part or rows[:1], pinned=True) for part in self._parts(rows)]

    def accumulate(self, rows: Sequence[Row], step: int) -> Accumulated | MicroBatch:
        """Gradients of the mean loss over the rows of a batch, the same on every process.

        With ``auto_micro_batch`` a batch that does not fit leaves no trace but a smaller ``size``,
        agreed between the processes: the gradients are empty again and the random numbers as they
        were, so the next try is what it would have been with that size in the recipe.

        Raises:
            TrainingError: when not even one example fits.
        """
        if not self.spec.auto_micro_batch:
            return self._whole(self._pass(rows, exchanging=True), rows)
        device = self.accelerator.device
        random = state_dicts.random_state(device)
        sums: dict[str, Number] | None = None
        try:
            sums = self._pass(rows, exchanging=False)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Gradients travel only once all processes have theirs: one that ran out of memory in the
        # middle of its backward pass would leave the others waiting.
        if self.agree(sums is None) or sums is None:
            self._forget()
            state_dicts.restore_random_state(random, device)
            return self._halve(len(rows), step)
        self.gradients.all_reduce()
        return self._whole(sums, rows)

    def _pass(self, rows: Sequence[Row], *, exchanging: bool) -> dict[str, Number]:
        """Forward and backward over this process's share; its sums of losses.

        DistributedDataParallel averages over processes while it exchanges, so their number is
        multiplied back in.
        """
        factor = self.accelerator.num_processes if exchanging else 1
        total, parts = self._weight(rows), self._parts(rows)
        sums: dict[str, Number] = defaultdict(float)
        for number, part in enumerate(parts, 1):
            syncing = exchanging and number == len(parts)
            with nullcontext() if syncing else self.gradients.no_sync():
                losses = self._losses(part or rows[:1])
                loss = losses.total.sum() * (1.0 if part else 0.0)
                self.gradients.backward(loss * factor / total)
            named = {name: each.sum() for name, each in losses.parts.items()}
            for name, value in {"loss": loss, **named}.items():
                sums[name] += self._number(value.detach() if part else torch.zeros_like(value))
        return sums

    def _parts(self, rows: Sequence[Row]) -> list[list[Row]]:
        """This process's micro-batches of a batch, the same number on every process.

        A process without examples left still takes part in the exchange, with weight 0.
        """
        processes = self.accelerator.num_processes
        share = own_share(rows, self.accelerator.process_index, processes)
        largest_share = math.ceil(len(rows) / processes)
        size = self.size or largest_share
        return [share[start : start + size] for start in range(0, largest_share, size)]

    def _number(self, value: Tensor) -> Number:
        return value.double() if self.stays_on_device else float(value)

    def _losses(self, rows: Sequence[Row]) -> Losses:
        if self._ready and self._ready[0].rows == tuple(rows):
            batch = self._ready.pop(0)
        else:
            batch = self._batch(rows)
        return self.task.training_losses(self.gradients.model, batch, self.adapted.virtual_tokens)

    def _batch(self, rows: Sequence[Row], *, pinned: bool = False) -> Batch:
        batch = pad(rows, self.adapted.base.tokenizer, int(self.train.lengths.max()))
        return on_device(batch, self.accelerator.device, pinned=pinned)

    def _weight(self, rows: Sequence[Row]) -> float:
        return sum(self.task.training_weight(row) for row in rows) or 1.0

    def _whole(self, sums: dict[str, Number], rows: Sequence[Row]) -> Accumulated:
        """The losses of all processes together."""
        if self.accelerator.num_processes > 1:
            own = torch.stack([torch.as_tensor(each) for each in sums.values()]).float()
            added = self.accelerator.reduce(own.to(self.accelerator.device), "sum")
            numbers = added.double().unbind() if self.stays_on_device else added.tolist()
            sums = dict(zip(sums, numbers, strict=True))
        total = self._weight(rows)
        means = {name: each / total for name, each in sums.items()}
        tokens = sum(len(row["input_ids"]) for row in rows)
        return Accumulated(means.pop("loss"), means, tokens)

    def _forget(self) -> None:
        """Frees what the failed try has left behind."""
        self._ready.clear()
        for parameter in self.adapted.trainable().values():
            parameter.grad = None
        free_unused(self.accelerator.device)

    def _halve(self, examples: int, step: int) -> MicroBatch:
        share = math.ceil(examples / self.accelerator.num_processes)
        tried = min(self.size or share, share)
        if tried == 1:
            raise TrainingError(
                "out of memory with one example per forward pass",
                where=f"step {step}",
                why="training.auto_micro_batch has nothing left to halve",
                fix="lower model.max_length, switch training.gradient_checkpointing on, or take "
                "a smaller model",
            )
        self.size = tried // 2
        return MicroBatch(step, tried, self.size)
